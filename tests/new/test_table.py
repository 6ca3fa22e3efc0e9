"""`medjax new` on tables: the file that it writes trains, and says why it chose what it chose."""

import csv

import numpy as np
import pytest

from medjax import config, job, new
from medjax.data.split import Folds, HashedSplit
from medjax.errors import InputError
from medjax.tasks import Classification, Ordinal, Regression


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path / "cache"))


def table(path, rows=120, target="yesno", seed=0, **more):
    """A table in which `a` and `b` tell something about the target, and `sex` nothing."""
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=(2, rows))
    risk = a + 0.5 * b + draw.normal(size=rows)
    targets = {
        "yesno": np.where(risk > 0, "yes", "no"),
        "grades": np.clip(np.round(risk + 1.5), 0, 3).astype(int),
        "kinds": np.where(risk > 0.7, "ape", np.where(risk > -0.7, "bee", "cow")),
        "value": np.round(10 * risk, 3),
    }[target]
    columns = {
        "a": np.round(a, 4),
        "b": np.round(b, 4),
        "sex": draw.choice(["m", "f"], rows),
        "code": draw.integers(1, 4, rows),
        "target": targets,
    } | {name: column(draw, rows, targets) if callable(column) else column for name, column in more.items()}
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def written(path, name="mine", **settings):
    file, notes = new.write(name, table=path, target="target", **settings)
    return config.load_experiment(file), file.read_text(), notes


def test_every_column_gets_its_place_with_a_reason(tmp_path):
    path = table(
        tmp_path / "t.csv",
        number=np.arange(120) + 7000,
        nothing=[""] * 120,
        same=["x"] * 120,
        seen=["2021-03-04"] * 60 + ["2022-01-01"] * 60,
        gaps=lambda draw, rows, _: np.where(draw.random(rows) < 0.2, "", np.round(draw.normal(size=rows), 2)),
    )
    experiment, text, notes = written(path)
    origin = experiment.data.origin
    assert origin.numeric == ("a", "b", "gaps")
    assert origin.categorical == (("sex", ("f", "m")), ("code", ("1", "2", "3")))
    assert origin.classes == ("no", "yes")
    for name, why in (
        ("number", "numbers or names the rows"),
        ("nothing", "no value"),
        ("same", "one value"),
        ("seen", "dates"),
    ):
        assert f"# left out: {name}: " in text
        assert any(name in note and why in note for note in notes)
    assert "flag_missing" in text
    assert experiment.task == Classification(positive="yes")
    assert isinstance(experiment.data.splits, Folds)
    assert experiment.evaluation.reference is not None


@pytest.mark.parametrize(
    ("target", "task", "primary"),
    [
        ("yesno", Classification(positive="yes"), "auroc"),
        ("grades", Ordinal(), "quadratic_weighted_kappa"),
        ("kinds", Classification(), "auroc"),
        ("value", Regression(), "mean_absolute_error"),
    ],
)
def test_the_target_decides_on_task_and_metric(tmp_path, target, task, primary):
    experiment, _, _ = written(table(tmp_path / "t.csv", target=target))
    assert experiment.task == task
    assert experiment.evaluation.primary == primary


@pytest.mark.slow
def test_many_patients_get_a_sealed_test_set_and_few_are_folded(tmp_path):
    few, _, _ = written(table(tmp_path / "few.csv"), "few")
    many, text, _ = written(table(tmp_path / "many.csv", rows=900), "many")
    assert isinstance(few.data.splits, Folds)
    assert isinstance(many.data.splits, HashedSplit)
    assert many.training.select == "auroc"
    assert "15 % sealed until the end" in text


def test_rows_of_a_patient_that_repeats_stay_together(tmp_path):
    path = table(tmp_path / "t.csv", patient=[f"P{k // 2}" for k in range(120)])
    experiment, text, _ = written(path)
    assert experiment.data.origin.group == "patient"
    assert "60 patients" in text
    work = job.build(experiment)
    folds = work.partition.assignment
    groups = np.asarray(work.dataset.index.group)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))


def test_a_column_that_tells_the_target_is_left_out(tmp_path):
    path = table(
        tmp_path / "t.csv",
        later=lambda draw, rows, targets: np.where(targets == "yes", 5, 1) + np.round(draw.random(rows), 3),
        word=lambda draw, rows, targets: np.where(targets == "yes", "ward", "home"),
    )
    experiment, text, notes = written(path)
    assert "later" not in experiment.data.origin.numeric
    assert "word" not in dict(experiment.data.origin.categorical)
    assert sum("alone separates the classes (AUROC 1.000)" in note for note in notes) == 2
    assert "# left out: later: " in text


def test_zeros_far_from_all_other_values_are_pointed_out(tmp_path):
    def pressure(draw, rows, _):
        return np.where(draw.random(rows) < 0.1, 0, draw.integers(60, 140, rows))

    _, _, notes = written(table(tmp_path / "t.csv", pressure=pressure))
    assert [note.split(":")[0] for note in notes if "zeros" in note] == ["column 'pressure'"]


def test_a_table_with_decimal_commas_and_semicolons_is_the_same_table(tmp_path):
    path = table(tmp_path / "t.csv", dose=[f"{k % 37} mg" for k in range(120)])
    other = tmp_path / "u.csv"
    other.write_text(path.read_text().replace(",", ";").replace(".", ","))
    (one, _, _), (two, text, notes) = written(path), written(other, name="yours")
    assert two.data.origin.numeric == one.data.origin.numeric == ("a", "b")
    np.testing.assert_array_equal(*(np.asarray(job.build(found).arrays["table"]) for found in (one, two)))
    assert any("column 'a': 120 cells such as" in note for note in notes)
    assert "# left out: dose: '0 mg' is a number with something behind it" in text


def test_a_time_beside_an_event_is_pointed_out(tmp_path):
    path = table(tmp_path / "t.csv", target="value", death_event=[k % 2 for k in range(120)])
    path.write_text(path.read_text().replace("target", "time_days", 1))
    _, notes = new.write("mine", table=path, target="time_days")
    assert any("--event 'death_event' learns survival" in note for note in notes)
    _, notes = new.write("yours", table=path, target="a")
    assert not any("--event" in note for note in notes)


def test_a_class_of_a_few_rows_stops_or_is_left_out(tmp_path):
    path = table(tmp_path / "t.csv")
    text = path.read_text().splitlines()
    text[5] = text[5].rpartition(",")[0] + ",unclear"
    path.write_text("\n".join(text) + "\n")
    with pytest.raises(InputError, match=r"column 'target': 'unclear' stands in 1 of 120 rows.*--on-error skip"):
        written(path)
    experiment, _, notes = written(path, on_error="skip")
    assert experiment.data.origin.classes == ("no", "yes")
    assert any("line 6" in note for note in notes)
    assert len(job.build(experiment).dataset.skipped) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": None}, "--table needs --target, the column to be learnt; the columns are a, b, sex"),
        ({"target": "targt"}, "did you mean 'target'"),
        ({"group": "pateint"}, "--group 'pateint': there is no such column"),
        ({"positive": "maybe"}, "--positive 'maybe' is none of the classes"),
        ({"name": "1st"}, "begin with a letter"),
        ({"name": "../up"}, "begin with a letter"),
    ],
)
def test_mistakes_are_named(tmp_path, settings, message):
    path = table(tmp_path / "t.csv")
    settings = {"name": "mine", "target": "target"} | settings
    with pytest.raises(InputError, match=message):
        new.write(settings.pop("name"), table=path, **settings)


def test_a_file_that_is_there_is_kept(tmp_path):
    path = table(tmp_path / "t.csv")
    file, _ = new.write("mine", table=path, target="target")
    file.write_text("mine\n")
    with pytest.raises(InputError, match="is there already"):
        new.write("mine", table=path, target="target")
    assert file.read_text() == "mine\n"
    new.write("mine", table=path, target="target", force=True)
    assert "Experiment(" in file.read_text()


def test_what_is_written_trains_to_a_result(tmp_path):
    from medjax import run
    from medjax.report.screen import Silent

    experiment, _, _ = written(table(tmp_path / "t.csv"))
    experiment = config.override(
        experiment, ["training.duration.epochs=3", "replicates.seeds=1", "evaluation.resamples=50"]
    )
    (evaluation,) = run.train(experiment, tmp_path / "run", screen=Silent()).values()
    assert evaluation["metrics"]["auroc"]["estimate"] > 0.6
    assert evaluation["reference"]["name"] == "logistic regression"
