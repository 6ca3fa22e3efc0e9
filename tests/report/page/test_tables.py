"""The tables hold the numbers of the evaluation, or say that they are not reported."""

import dataclasses
import json

import numpy as np

from medjax.report import formats
from medjax.report.page import flow, summary, tables
from medjax.report.page.reading import read

SCRIPT = "<script>alert(1)</script>"


def test_results_hold_every_metric_with_interval_reference_and_notes(binary):
    run = read(binary)
    found = tables.results(run)
    assert found["head"][:4] == ["metric", "this run", "logistic regression", "paired difference"]
    rows = {row[0]: row[1:] for row in found["rows"]}
    entry = run.evaluation["metrics"]["sensitivity"]
    (sensitivity,) = (row for name, row in rows.items() if name.startswith("sensitivity"))
    assert sensitivity[0].endswith(f"{entry['numerator']}/{entry['denominator']}")
    assert found["rows"][0][0].startswith("AUROC")
    assert found["rows"][0][3].endswith(run.evaluation["comparison"]["predictors"]["auroc"]["verdict"])
    assert len(found["rows"]) >= len(run.evaluation["metrics"]) + 6
    # Each note number leads to the method of that entry.
    number = sensitivity[-1].split("[")[1].split("]")[0]
    methods = [run.evaluation[part]["metrics"]["sensitivity"]["method"] for part in ("reference",)]
    methods += [entry["method"], run.evaluation["comparison"]["predictors"]["sensitivity"]["method"]]
    assert any(f"[{number}] {method}" in found["notes"] for method in methods)
    assert any("WARNING" in note and "fewer than 200" in note for note in found["notes"])
    assert any(text.startswith("AUROC: with fewer than 200") for text in formats.warnings(run.evaluation))


def test_every_reference_has_its_columns_and_its_sentence(binary):
    path = binary / "evaluation/test.json"
    evaluation = json.loads(path.read_text())
    second = {**evaluation["reference"], "name": "a forest", "comparison": evaluation["comparison"]}
    path.write_text(json.dumps(evaluation | {"further_references": [second]}))
    run = read(binary)
    found = tables.results(run)
    assert found["head"][2:6] == ["logistic regression", "paired difference", "a forest", "paired difference"]
    assert {len(row) for row in found["rows"]} == {8}
    assert all(row[2:4] == row[4:6] for row in found["rows"])
    assert sum("Beside a forest on the same cases" in text for text in summary.sentences(run)) == 1


def test_what_is_absent_is_not_reported_and_never_invented(binary):
    path = binary / "evaluation/test.json"
    evaluation = json.loads(path.read_text())
    for key in ("cases", "patients", "without_target"):
        del evaluation["counts"][key]
    evaluation["metrics"]["accuracy"] = {}
    del evaluation["comparison"]["predictors"]["auprc"]
    path.write_text(json.dumps(evaluation))
    run = read(binary)
    rows = {row[0].split(",")[0]: row for row in tables.results(run)["rows"]}
    assert rows["accuracy"][1] == "not reported"
    assert rows["AUPRC"][3] == "not reported"
    one = {row[0]: row[1:] for row in tables.table_one(run)["rows"]}
    assert one["patients"] == ["not reported", "30", "not reported"]
    assert one["judged, with known target"] == ["not reported", "60", "not reported"]
    assert "not reported" in " ".join(summary.sentences(run))


def test_table_one_counts_classes_attributes_and_gaps(tmp_path, predictions, write_run):
    sex = np.array(["f", "m", ""] * 20)
    age = np.array([str(20 + k) for k in range(60)])
    site = np.array(["a"] * 60)
    found = predictions(attributes={"sex": sex, "age": age, "site": site})
    run = read(write_run(tmp_path / "run", {"test": found}))
    one = {row[0]: row[1:] for row in tables.table_one(run)["rows"]}
    assert one["cases"] == ["100", "60"]
    ill = int((found.target == 0).sum())
    assert one["ill"] == ["not reported", f"{ill} ({100 * ill / 60:.0f} %)"]
    assert one["sex"][1] == "f: 20 (50 %); m: 20 (50 %)"
    assert one["sex, missing"][1] == "20 (33 %)"
    assert one["age, median (quartiles)"][1] == "49.5 (34.75 to 64.25)"
    assert one["site"][1] == "a: 60 (100 %)"
    assert "lack at least one" in tables.table_one(run)["notes"][0]


def test_folds_add_up(tmp_path, predictions, write_run):
    run = read(write_run(tmp_path / "run", {"out_of_fold": predictions(folds=3, each=2)}))
    found = tables.table_one(run)
    assert found["head"] == ["", "all", "fold 0", "fold 1", "fold 2"]
    for row in found["rows"][:4]:
        everyone, *folds = (int(cell.split(" ")[0]) for cell in row[1:])
        assert everyone == sum(folds)
    drawn = flow.diagram(run)
    assert drawn.columns["cases"][:3] == ["62", "2", 2]
    assert drawn.columns["cases"][4:] == [20, 20, 20]


def test_the_confusion_matrix_has_shares_of_the_true_class(binary):
    run = read(binary)
    found = tables.confusion(run)
    for row, counts in zip(found["rows"], run.evaluation["confusion_matrix"], strict=True):
        assert [int(cell["count"]) for cell in row["cells"]] == counts
        assert sum(cell["strength"] for cell in row["cells"]) in (99, 100, 101)
    assert found["threshold"] == 0.5


def test_splits_stand_side_by_side_and_labels_have_their_table(binary, tmp_path, predictions, write_run):
    run = read(binary)
    found = tables.splits(run)
    assert found["head"] == ["metric", "test (60 cases)", "validation (60 cases)"]
    auroc = run.evaluations["validation"]["metrics"]["auroc"]["estimate"]
    assert found["rows"][0][2].startswith(f"{auroc:.3f}"[1:])
    labels = predictions("labels", classes=("a", "b", SCRIPT))
    other = read(write_run(tmp_path / "labels", {"validation": labels}))
    assert tables.splits(other) is None
    assert [row[0] for row in tables.classes(other)["rows"]] == ["a", "b", SCRIPT]
    assert tables.classes(run) is None


def test_the_summary_says_what_kind_of_validation_it_was(binary, tmp_path, predictions, write_run):
    text = " ".join(summary.sentences(read(binary)))
    assert text.startswith("This is an internal validation on a test set that was sealed")
    assert "30 patients with 60 cases" in text
    assert "never opened" in text
    assert "logistic regression on the same cases the verdict is: " in text
    alone = dataclasses.replace(predictions(), group=predictions().id)
    run = read(write_run(tmp_path / "other", {"external_elsewhere": alone}))
    assert summary.sentences(run)[0] == "This is an external validation."
    assert "each case is taken as one patient" in summary.sentences(run)[1]
    assert "at sites other than" in summary.not_shown(run)
    assert "no verdict" in " ".join(summary.sentences(run))
