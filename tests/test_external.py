import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medjax import external
from medjax.data import dataset as datasets
from medjax.data.source import MemorySource
from medjax.errors import InputError
from medjax.evidence.predictions import Predictions
from medjax.predictor import Predictor
from medjax.tasks import Classification, MultiLabel, Ordinal, Regression, Survival

COLUMNS = ["age", "weight"]


@pytest.fixture
def model(small):
    import dataclasses

    task = Classification(positive="sick", classes=("sick", "well"))
    record = {"data": {"columns": COLUMNS, "name": "own"}, "plan": {"threshold": 0.8}}
    return Predictor(dataclasses.replace(small, task=task), record, {}, {})


def predictions(values, classes=("sick", "well"), kind="probability"):
    values = np.asarray(values, np.float64)
    members, count = values.shape[:2]
    ids = np.array([f"c{i}" for i in range(count)])
    number, unknown = np.arange(members), np.full(count, -1)
    target = np.full(count, np.nan) if kind == "value" else unknown
    return Predictions(ids, ids, target, values, number, number, unknown, kind, classes)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_class_of_two_follows_the_frozen_threshold_of_the_positive_one(model):
    found = rows(external.prediction_csv(model, predictions([[[0.9, 0.1], [0.8, 0.2], [0.79, 0.21], [0.1, 0.9]]])))
    assert [row["prediction"] for row in found] == ["sick", "sick", "well", "well"]  # 0.8 counts as positive
    assert list(found[0]) == ["id", "prediction", "probability_sick", "probability_well"]
    assert [float(row["probability_sick"]) for row in found] == [0.9, 0.8, 0.79, 0.1]
    assert [row["id"] for row in found] == ["c0", "c1", "c2", "c3"]


def test_times_to_an_event_come_with_median_and_mean(model):
    import dataclasses

    of_times = dataclasses.replace(model.experiment, task=Survival(until=4, horizons=(2,), points=2))
    one = Predictions(
        np.array(["a", "b"]), np.array(["a", "b"]), np.full((2, 2), np.nan),
        np.array([[[0.3, 0.6, 0.2], [-0.1, 0.9, 0.8]]]), np.array([0]), np.array([0]), np.full(2, -1), "survival",
        times=(2.0, 4.0), horizons=(2.0,),
    )  # fmt: skip
    first, second = rows(external.prediction_csv(dataclasses.replace(model, experiment=of_times), one))
    assert list(first) == ["id", "median", "mean_until_4", "risk", "survival_2", "survival_4"]
    np.testing.assert_allclose([float(first[key]) for key in ("median", "mean_until_4", "risk")], [2.5, 2.4, 0.3])
    assert second["median"] == ""  # the curve ends above one half
    causes = dataclasses.replace(
        one, classes=("x", "y"), values=np.array([[[1.0, 2.0, 0.1, 0.2, 0.3, 0.4]] * 2]), times=(2.0, 4.0)
    )
    (first, _) = rows(external.prediction_csv(model, causes))
    assert list(first) == ["id", "risk_x", "risk_y", "incidence_x_2", "incidence_x_4", "incidence_y_2", "incidence_y_4"]


def test_a_table_for_external_validation_needs_time_and_event(model, tmp_path):
    import dataclasses

    of_times = dataclasses.replace(model.experiment, task=Survival(until=4, horizons=(2,), points=2))
    model = dataclasses.replace(model, experiment=of_times)
    found = external._read_rows(
        model, write(tmp_path / "a.csv", "age,weight,time,event\n60,70,3,1\n50,,2.5,0\n"), "time"
    )
    assert [(case["time"], case["event"]) for case in found] == [(3.0, 1.0), (2.5, 0.0)]
    with pytest.raises(InputError, match="'event'"):
        external._read_rows(model, write(tmp_path / "b.csv", "age,weight,time\n60,70,3\n"), "time")


def test_of_several_members_mean_and_spread_are_written(model):
    values = [[[0.9, 0.1]], [[0.5, 0.5]]]
    (found,) = rows(external.prediction_csv(model, predictions(values)))
    assert float(found["probability_sick"]) == 0.7
    np.testing.assert_allclose(float(found["probability_sick_standard_deviation"]), np.std([0.9, 0.5], ddof=1))
    assert found["prediction"] == "well"  # 0.7 is below the threshold, though above one half
    (alone,) = rows(external.prediction_csv(model, predictions(values[:1])))
    assert "probability_sick_standard_deviation" not in alone


def test_of_many_classes_the_most_probable_is_named_and_a_value_is_written_alone(model):
    import dataclasses

    three = Predictor(
        dataclasses.replace(model.experiment, task=Classification(classes=("a", "b", "c"), positive="a")),
        model.record, {}, {},
    )  # fmt: skip
    (found,) = rows(external.prediction_csv(three, predictions([[[0.3, 0.3, 0.4]]], ("a", "b", "c"))))
    assert found["prediction"] == "c"
    value = Predictor(dataclasses.replace(model.experiment, task=Regression()), model.record, {}, {})
    (found,) = rows(external.prediction_csv(value, predictions([[[2.5]]], (), "value")))
    assert found == {"id": "c0", "prediction": "2.5"}


def test_files_of_every_kind_are_read(model, tmp_path):
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(tmp_path / "a.png")
    np.savez(tmp_path / "b.NPZ.npz", images=np.zeros((2, 3, 4), np.uint8), ids=np.array(["x", "y"]))
    write(tmp_path / "t.csv", "weight,id,age\n70,p,\n60,q,30\n")
    (image,) = external.read_inputs(model, [tmp_path / "a.png"])
    assert image["image"].shape == (3, 4, 1)
    assert [case["id"] for case in external.read_inputs(model, [tmp_path / "b.NPZ.npz"])] == ["x", "y"]
    first, second = external.read_inputs(model, [tmp_path / "t.csv"])
    assert second["table"].tolist() == [30, 60]  # in the order of the run's columns
    assert np.isnan(first["table"]).tolist() == [True, False]
    assert len(external.read_inputs(model, [tmp_path / "a.png", tmp_path / "t.csv"])) == 3


def test_columns_that_the_model_must_not_see_need_not_be_there(model, tmp_path):
    """A column that is known only after prediction time is exactly what a file to predict cannot hold."""
    import dataclasses

    data = dataclasses.replace(model.experiment.data, exclude=("age",))
    model = Predictor(dataclasses.replace(model.experiment, data=data), model.record, {}, {})
    (case,) = external.read_inputs(model, [write(tmp_path / "t.csv", "id,weight\np,70\n")])
    assert model.pipeline(case)["table"].tolist() == [70]
    (case,) = external.read_inputs(model, [write(tmp_path / "u.csv", "id,weight,age\np,70,30\n")])
    assert model.pipeline(case)["table"].tolist() == [70]
    labelled = external.cases(model, str(write(tmp_path / "v.csv", "id,weight,label\np,70,well\n")))
    assert model.pipeline(labelled[0])["table"].tolist() == [70]
    with pytest.raises(InputError, match="'weight' is missing"):
        external.read_inputs(model, [write(tmp_path / "w.csv", "id,age\np,30\n")])


def test_an_id_that_comes_twice_is_named(model, tmp_path):
    for name in ("t", "u"):
        write(tmp_path / f"{name}.csv", "id,age,weight\np,1,2\n")
    with pytest.raises(InputError, match="the id 'p' occurs more than once"):
        external.read_inputs(model, [tmp_path / "t.csv", tmp_path / "u.csv"])


@pytest.mark.parametrize("name", ["absent.png", "absent.npz", "absent.csv"])
def test_a_missing_file_is_named(model, tmp_path, name):
    with pytest.raises(InputError, match=name):
        external.read_inputs(model, [tmp_path / name])


def test_labelled_cases_from_files(model, tmp_path):
    path = write(tmp_path / "t.csv", "id,group,age,weight,label,outcome\np,g,1,2,well,sick\nq,g,3,4,0,well\n")
    source = external.cases(model, str(path))
    assert [source[i]["label"] for i in range(2)] == [1, 0]
    assert source[0]["group"] == "g"
    other = external.cases(model, str(path), target="outcome")
    assert [other[i]["label"] for i in range(2)] == [0, 1]
    np.savez(tmp_path / "t.npz", table=np.ones((2, 2), np.float32), labels=np.array([1, 0]))
    assert external.cases(model, str(tmp_path / "t.npz"))[0]["label"] == 1
    with pytest.raises(InputError, match="'outcome' is missing"):
        external.cases(model, str(write(tmp_path / "u.csv", "id,age,weight\np,1,2\n")), target="outcome")


def test_a_data_set_must_be_another_one_with_the_same_classes(model, monkeypatch):
    class Set:
        name, classes, splits = "own", ("sick", "well"), {"train": 1, "test": 2}

    monkeypatch.setattr(datasets, "prepare", lambda name, data_dir: Set)
    monkeypatch.setattr(datasets, "open_split", lambda made, split: MemorySource([{"id": split}] * made.splits[split]))
    with pytest.raises(InputError, match="'own' is the data that this run was trained on"):
        external.cases(model, "own")
    Set.name = "other"
    source = external.cases(model, "other")
    assert [source[i]["id"] for i in range(len(source))] == ["train", "test", "test"]  # every split of other data
    assert len(external.cases(model, "medmnist/other")) == 3
    Set.classes = ("well", "sick")  # the same names in another order would swap the labels
    with pytest.raises(InputError, match="'other' has the classes well, sick, but this run knows sick, well"):
        external.cases(model, "other")


def test_a_path_that_is_not_there_is_no_unknown_data_set(model, tmp_path):
    for name, message in (
        (str(tmp_path / "gone"), "no such file or folder"),
        (str(tmp_path), "holds nothing that this run"),
    ):
        with pytest.raises(InputError, match=message):
            external.cases(model, name)


def test_labels_above_the_threshold_are_listed_and_grades_are_the_median(model):
    import dataclasses

    def of(task):
        return Predictor(dataclasses.replace(model.experiment, task=task), model.record, {}, {})

    found = of(MultiLabel(classes=("mass", "hernia")))
    values = np.array([[[0.9, 0.8], [0.79, 0.85], [0.1, 0.2]]])
    ids, none = np.array(["x", "y", "z"]), np.array([0])
    unknown = np.full((3, 2), np.nan)
    several = Predictions(ids, ids, unknown, values, none, none, np.full(3, -1), "labels", ("mass", "hernia"))
    text = external.prediction_csv(found, several)
    assert [row["prediction"] for row in rows(text)] == ["mass; hernia", "hernia", ""]
    assert list(rows(text)[0]) == ["id", "prediction", "probability_mass", "probability_hernia"]
    three = of(Ordinal(classes=("a", "b", "c")))
    (grade,) = rows(external.prediction_csv(three, predictions([[[0.3, 0.3, 0.4]]], ("a", "b", "c"), "grade")))
    assert grade["prediction"] == "b"  # the most probable one would be c


@pytest.fixture
def image_model(model):
    import dataclasses

    data = dataclasses.replace(model.experiment.data, inputs=("image",))
    record = {**model.record, "data": {**model.record["data"], "shapes": {"image": [[5, 4, 1], "uint8"]}}}
    return dataclasses.replace(model, experiment=dataclasses.replace(model.experiment, data=data), record=record)


def test_a_run_on_images_takes_folders_and_lists_of_them(image_model, tmp_path):
    for name in ("well/a.png", "sick/b.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.full((5, 4), 9, np.uint8)).save(tmp_path / name)
    listed = write(tmp_path / "list.csv", "path,label\nwell/a.png,well\n")
    assert [case["id"] for case in external.read_inputs(image_model, [tmp_path])] == ["sick/b.png", "well/a.png"]
    assert [case["id"] for case in external.read_inputs(image_model, [listed])] == ["well/a.png"]
    judged = external.cases(image_model, str(tmp_path))
    assert [judged[i]["label"] for i in range(len(judged))] == [0, 1]
    assert external.cases(image_model, str(listed))[0]["label"] == 1
    with pytest.raises(InputError, match="more than once"):
        external.read_inputs(image_model, [tmp_path, listed])
