"""Predictions survive the trip through CSV exactly; broken files are refused by name."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evidence.prediction_files import read_csv, write_csv
from medjax.evidence.predictions import Predictions, ensemble, known, select

FIELDS = ("id", "group", "target", "values", "replicate", "seed", "fold")


def make(members: int = 3, size: int = 7, folds: bool = False) -> Predictions:
    generator = np.random.default_rng(0)
    positive = generator.random((members, size))
    fold = np.arange(size) % 2 if folds else np.full(size, -1)
    replicate = fold[None] * members + np.arange(members)[:, None] if folds else np.arange(members)
    return Predictions(
        id=np.array([f'case "{k}", left' for k in range(size)]),
        group=np.array([f"patient {k // 2}" for k in range(size)]),
        target=np.array([0, 1, -1, 1, 0, 0, 1][:size]),
        values=np.stack([1 - positive, positive], axis=-1),
        replicate=replicate,
        seed=np.arange(members) + 10,
        fold=fold,
        kind="probability",
        classes=("no disease", "disease"),
    )


@pytest.mark.parametrize("folds", [False, True])
def test_csv_round_trip_is_exact(tmp_path, folds):
    predictions = make(folds=folds)
    write_csv(tmp_path / "out" / "test.csv", predictions)
    again = read_csv(tmp_path / "out" / "test.csv")
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(predictions, name))
    assert (again.kind, again.classes) == (predictions.kind, predictions.classes)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["test.csv"]


def test_values_round_trip_with_unknown_targets(tmp_path):
    values = np.random.default_rng(1).normal(size=(2, 7, 1)) * 1e-7
    target = np.array([0.1, np.nan, 1e30, -2, 0.3, 0.4, 0.5])
    predictions = replace(make(2), values=values, target=target, kind="value", classes=())
    write_csv(tmp_path / "value.csv", predictions)
    again = read_csv(tmp_path / "value.csv")
    np.testing.assert_array_equal(again.values, values)
    np.testing.assert_array_equal(again.target, target)


def test_ensemble_is_the_mean_over_members_and_select_keeps_order():
    predictions = make(folds=True)
    np.testing.assert_allclose(ensemble(predictions), predictions.values.mean(0))
    chosen = select(predictions, np.array([4, 1]))
    assert chosen.id.tolist() == [predictions.id[4], predictions.id[1]]
    np.testing.assert_array_equal(chosen.values, predictions.values[:, [4, 1]])
    np.testing.assert_array_equal(chosen.replicate, predictions.replicate[:, [4, 1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("0.", "x.", 1), "row 2"),
        (lambda text: text.replace("fold", "slice", 1), "unknown column 'slice'"),
        (lambda text: "\n".join(text.split("\n")[:-2]), "same number of rows"),
        (lambda text: text.replace(",11,", ",12,", 1), "disagree"),
        (lambda text: "", "header"),
    ],
)
def test_broken_files_are_refused(tmp_path, change, message):
    path = tmp_path / "broken.csv"
    write_csv(path, make())
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=message):
        read_csv(path)


def test_impossible_predictions_are_refused():
    predictions = make()
    bad = predictions.values.copy()
    bad[1, 2, 0] = np.nan
    with pytest.raises(InputError, match='case "2", left, seed 11'):
        replace(predictions, values=bad)
    with pytest.raises(InputError, match="repeat"):
        replace(predictions, id=np.array(["a"] * 7))


def labels(members: int = 2) -> Predictions:
    generator = np.random.default_rng(3)
    target = (generator.random((7, 3)) < 0.5).astype(float)
    target[generator.random((7, 3)) < 0.3] = np.nan
    target[4] = np.nan
    values = generator.random((members, 7, 3)) ** 9
    return replace(make(members), target=target, values=values, kind="labels", classes=("a", "b, c", "target_d"))


def grades() -> Predictions:
    values = np.random.default_rng(4).dirichlet(np.ones(3), (3, 7))
    return replace(make(), values=values, kind="grade", classes=("0", "1", "2"))


def quantiles() -> Predictions:
    values = np.sort(np.random.default_rng(5).normal(size=(3, 7, 4)), axis=-1)
    target = np.random.default_rng(6).normal(size=7)
    return replace(make(), target=target, values=values, kind="value", classes=(), quantiles=(0.05, 0.5, 0.95))


@pytest.mark.parametrize("predictions", [labels(), labels(1), grades(), quantiles()])
def test_every_kind_survives_the_file_exactly(tmp_path, predictions):
    write_csv(tmp_path / "x.csv", predictions)
    again = read_csv(tmp_path / "x.csv")
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(predictions, name))
    for name in ("kind", "classes", "quantiles"):
        assert getattr(again, name) == getattr(predictions, name)


def test_the_columns_say_what_they_hold(tmp_path):
    def rows(predictions):
        write_csv(tmp_path / "x.csv", predictions)
        with open(tmp_path / "x.csv", newline="") as file:
            return list(csv.DictReader(file))

    first = rows(labels())[0]
    assert list(first)[5:] == [
        "target_a", "target_b, c", "target_target_d", "probability_a", "probability_b, c", "probability_target_d",
    ]  # fmt: skip
    unknown = [row["target_a"] for row in rows(labels())[8:10]]  # case 4, both members
    assert unknown == ["", ""]
    assert {row[name] for row in rows(labels()) for name in list(first)[5:8]} == {"", "0", "1"}
    for row in rows(grades()):
        above = np.cumsum([float(row[f"probability_{k}"]) for k in (2, 1, 0)])[:2]
        assert int(row["grade"]) == (above > 0.5).sum()
    assert list(rows(quantiles())[0])[5:] == ["target", "prediction", "quantile_0.05", "quantile_0.5", "quantile_0.95"]


def test_a_case_is_known_where_one_of_its_labels_is():
    assert known(labels()).tolist() == [True] * 4 + [False] + [True] * 2
    np.testing.assert_array_equal(select(labels(), np.array([5, 0])).target, labels().target[[5, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("target_a", "target_z", 1), "same as target_<label>"),
        (lambda text: text.replace("probability_a", "probability_z", 1), "the outputs must be"),
        (lambda text: text.replace("target_a,", "", 1), "same as target_<label>"),
    ],
)
def test_labels_and_probabilities_must_fit(tmp_path, change, message):
    write_csv(tmp_path / "x.csv", labels())
    (tmp_path / "x.csv").write_text(change((tmp_path / "x.csv").read_text()))
    with pytest.raises(InputError, match=message):
        read_csv(tmp_path / "x.csv")
    with pytest.raises(InputError, match="do not fit the kind"):
        replace(labels(), target=np.zeros(7))


def foreign(tmp_path, text: str):
    path = tmp_path / "foreign.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_another_tool_needs_no_more_than_ids_targets_and_probabilities(tmp_path):
    text = "probability_sick,id,target,probability_well,attribute_site\n0.25,a,sick,0.75,north\n0.9,b,well,0.1,\n.5,c,,.5,x\n"
    for content in (text, "\ufeff" + text, text.replace("\n", "\r\n"), text + "\n"):
        found = read_csv(foreign(tmp_path, content))
        assert found.classes == ("sick", "well")
        assert found.target.tolist() == [0, 1, -1]
        assert found.group.tolist() == found.id.tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(found.values, [[[0.25, 0.75], [0.9, 0.1], [0.5, 0.5]]])
        assert found.attributes["site"].tolist() == ["north", "", "x"]
        assert select(found, np.array([1])).attributes["site"].tolist() == [""]
    # Positions where no target is a name; names win where classes are called by numbers.
    assert read_csv(foreign(tmp_path, text.replace(",sick,", ",1,").replace(",well,", ",0,"))).target.tolist() == [
        1,
        0,
        -1,
    ]
    numbered = "id,target,probability_1,probability_2\na,1,.5,.5\nb,2,.5,.5\n"
    assert read_csv(foreign(tmp_path, numbered)).target.tolist() == [0, 1]


def test_several_models_a_case_are_told_apart_by_their_seed(tmp_path):
    text = "id,group,seed,target,prediction\na,p,1,2.5,2\nb,p,1,,3\na,p,2,2.5,4\nb,p,2,,5\n"
    found = read_csv(foreign(tmp_path, text))
    np.testing.assert_array_equal(found.values[..., 0], [[2, 3], [4, 5]])
    assert (found.seed.tolist(), found.kind, found.group.tolist()) == ([1, 2], "value", ["p", "p"])


def test_attributes_survive_the_file(tmp_path):
    predictions = replace(make(), attributes={"sex": np.array(["f", "m", "", "f", "m", "f", "a, b"])})
    write_csv(tmp_path / "x.csv", predictions)
    again = read_csv(tmp_path / "x.csv")
    assert again.attributes["sex"].tolist() == predictions.attributes["sex"].tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has nothing"),
        ("a,1,0.5\nb,2,0.5\n", "is the first row the header"),
        ("id,target,probability_a,probability_b\n", "no row of predictions"),
        ("id,probability_a,probability_b\na,.5,.5\n", "the header must name id, target"),
        ("target,probability_a,probability_b\n0,.5,.5\n", "the header must name id, target"),
        ("id,target,probability_a\na,0,.5\n", "add the column of the other class"),
        ("id,target,sex,probability_a,probability_b\na,0,f,.5,.5\n", "attribute_sex"),
        ("id,id,target,probability_a,probability_b\na,a,0,.5,.5\n", "more than once"),
        ("id,target,probability_a,probability_b\na,0,.5,.5\na,0,.5,.5\n", "case a stands in rows 2 and 3"),
        ("id,seed,target,probability_a,probability_b\na,1,0,.5,.5\na,1,0,.5,.5\n", "a seed stands twice"),
        ("id,target,probability_a,probability_b\na,0,1.5,-.5\n", r"row 2 \(case a\): a probability lies outside"),
        ("id,target,probability_a,probability_b\na,0,.5,.6\n", "sum to 1.1"),
        ("id,target,probability_a,probability_b\na,0,nan,.6\n", "NaN"),
        ("id,target,probability_a,probability_b\na,0,,.6\n", "is no number"),
        ("id,target,probability_a,probability_b\na,2,.5,.5\n", "target '2' is none of the classes a, b"),
        ("id,target,probability_a,probability_b\na,a,.5,.5\nb,1,.5,.5\n", r"row 3 \(case b\): target '1'"),
        ("id,target,probability_a,probability_b\n,a,.5,.5\n", "row 2: the id is empty"),
        ("id,target,probability_a,probability_b\na,a,.5\n", "row 2: 3 cells"),
        ("id,fold,target,probability_a,probability_b\na,x,a,.5,.5\n", "fold 'x' is no whole number"),
        ("id,target_a,probability_a\nx,2,.5\n", "a label is 1, 0 or empty"),
        ("id,target,prediction\nx,high,.5\n", "'high' is no number"),
        ('id,target,probability_a,probability_b\n"a,0,.5,.5\n', "not a readable predictions file"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_csv(foreign(tmp_path, text))


# Times to an event.


def followed(causes: tuple[str, ...] = (), members: int = 2, size: int = 6) -> Predictions:
    generator = np.random.default_rng(4)
    number = max(len(causes), 1)
    values = np.concatenate(
        [generator.normal(size=(members, size, number)), generator.random((members, size, number * 3)) / number], -1
    )
    target = np.stack([generator.exponential(size=size), np.arange(size) % (number + 1)], -1).astype(np.float64)
    target[1], target[2, 1] = np.nan, np.nan
    return replace(
        make(members, size), target=target, values=values, kind="survival", classes=causes, times=(0.333333, 12.0, 60.5)
    )


@pytest.mark.parametrize("causes", [(), ("relapse", "death"), ("relapse", "relapse_late", "12")])
def test_survival_predictions_round_trip_exactly(tmp_path, causes):
    predictions = followed(causes)
    write_csv(tmp_path / "test.csv", predictions)
    again = read_csv(tmp_path / "test.csv")
    for name in (*FIELDS, "kind", "classes", "times"):
        np.testing.assert_array_equal(getattr(again, name), getattr(predictions, name))
    assert again.horizons == ()
    assert known(again).tolist() == [True, False, False, True, True, True]


def test_the_columns_of_another_tool_in_any_order(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("survival_12,event,id,risk,survival_3,time\n0.5,1,a,-3,0.75,12.5\n0.25,0,b,7.5,0.5,3\n")
    found = read_csv(path)
    assert found.times == (3.0, 12.0)
    np.testing.assert_array_equal(found.values, [[[-3, 0.75, 0.5], [7.5, 0.5, 0.25]]])
    np.testing.assert_array_equal(found.target, [[12.5, 1], [3, 0]])


OUTPUTS = "must be 'risk' and survival_<time>, or of every competing cause risk_<cause>"


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("id,time,risk,survival_3", "a,2,0,.5", "the header must name id, target"),
        ("id,time,event,survival_3", "a,2,1,.5", OUTPUTS),
        ("id,time,event,risk", "a,2,1,0", OUTPUTS),
        ("id,time,event,risk,survival_late", "a,2,1,0,.5", OUTPUTS),
        ("id,time,event,risk,survival_3,risk_a,incidence_a_3", "a,2,1,0,.5,0,.5", OUTPUTS),
        ("id,time,event,risk_a,incidence_a_3,risk_b", "a,2,1,0,.5,0", OUTPUTS),
        ("id,time,event,risk_a,incidence_a_3,risk_b,incidence_b_4", "a,2,1,0,.5,0,.5", OUTPUTS),
        ("id,time,event,risk,survival_3,incidence_b_3", "a,2,1,0,.5,.5", OUTPUTS),
        ("id,time,event,risk_a,incidence_a_3,risk_b,incidence_b_3,survival_3", "a,2,1,0,.5,0,.5,0", OUTPUTS),
        ("id,time,event,risk,survival_0", "a,2,1,0,.5", "curves are given at 0; times of curves are different numbers"),
        ("id,time,event,risk,survival_nan", "a,2,1,0,.5", "times of curves are different numbers after 0"),
        ("id,time,event,risk,survival_3,survival_3.0", "a,2,1,0,.5,.5", "curves are given at 3, 3.0; times of curves"),
        ("id,time,event,risk,survival_3", "a,2,1,0,1.5", r"row 2 \(case a\): a survival or incidence lies outside 0 to 1"),
        ("id,time,event,risk,survival_3", "a,2,1,inf,.5", r"row 2 \(case a\): an output is NaN or infinite"),
        ("id,time,event,risk,survival_3", "a,2,1,high,.5", "'high' is no number"),
        ("id,time,event,risk,survival_3", "a,-2,1,0,.5", r"time -2, event 1; a time is at least 0, an event 0 \(censored\) or 1"),
        ("id,time,event,risk,survival_3", "a,2,2,0,.5", r"time 2, event 2; .* or 1"),
        ("id,time,event,risk,survival_3", "a,2,dead,0,.5", "a target in '2, dead' is no number"),
        ("id,time,event,risk_a,risk_b,incidence_a_3,incidence_b_3", "a,2,3,0,0,.1,.1", "the number of a cause, 1 to 2"),
        ("id,time,event,risk,survival_3,prediction", "a,2,1,0,.5,4", "broken.csv, row 1: the column 'prediction' has no meaning"),
        ("id,time,event,grade,risk,survival_3", "a,2,1,2,0,.5", "broken.csv, row 1: the column 'grade' has no meaning"),
        ("id,time,event,risk,survival_3,quantile_0.5", "a,2,1,0,.5,4", "row 1: the column 'quantile_0.5' has no meaning"),
        (
            "id,time,event,risk_a,risk_b,incidence_a_3,incidence_a_6,incidence_b_3,incidence_b_6", "a,2,1,0,0,.1,.6,.2,.5",
            r"row 2 \(case a\): incidence_a_6 \+ incidence_b_6 is 1.1; competing causes share one chance",
        ),
    ],
)  # fmt: skip
def test_broken_survival_files_are_refused_by_name(tmp_path, header, row, message):
    path = tmp_path / "broken.csv"
    path.write_text(f"{header}\n{row}\n")
    with pytest.raises(InputError, match=message):
        read_csv(path)


def test_incidences_that_round_to_a_little_more_than_one_are_read(tmp_path):
    (tmp_path / "a.csv").write_text("id,time,event,risk_a,risk_b,incidence_a_3,incidence_b_3\na,2,1,0,0,.5005,.5\n")
    assert read_csv(tmp_path / "a.csv").values[0, 0].tolist() == [0, 0, 0.5005, 0.5]
