"""Tables of predictions that any tool made get the evidence that a run gets."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medjax import cli, judge, verbs
from medjax.errors import InputError
from medjax.evidence.evaluation import evaluate
from medjax.evidence.prediction_files import write_csv
from medjax.evidence.predictions import Predictions


def table(path, size=80, seed=0, **columns):
    """Write what another tool might: class names as targets, few digits, two cases a patient."""
    generator = np.random.default_rng(seed)
    sick = generator.random(size) < 0.4
    score = np.round(1 / (1 + np.exp(-generator.normal(size=size) - 2 * sick + 1)), 4)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "group", "target", "probability_well", "probability_sick", *columns])
        for k in range(size):
            name = "sick" if sick[k] else "well"
            row = [f"scan {k}", f"patient {k // 2}", name, round(1 - score[k], 4), score[k]]
            writer.writerow(row + [values[k] for values in columns.values()])
    return sick.astype(int), score


def test_a_foreign_file_gets_the_numbers_of_a_run(tmp_path):
    target, score = table(tmp_path / "other.csv")
    found = judge.evaluate_file(tmp_path / "other.csv", positive="sick", resamples=50)
    assert found["metrics"]["auroc"]["estimate"] == pytest.approx(roc_auc_score(target, score))
    assert (found["counts"]["cases"], found["counts"]["patients"]) == (80, 40)
    own = Predictions(
        id=np.array([f"scan {k}" for k in range(80)]), group=np.array([f"patient {k // 2}" for k in range(80)]),
        target=target, values=np.stack([1 - score, score], -1)[None], replicate=np.array([0]), seed=np.array([0]),
        fold=np.full(80, -1), kind="probability", classes=("well", "sick"),
    )  # fmt: skip
    write_csv(tmp_path / "own.csv", own)
    again = judge.evaluate_file(tmp_path / "own.csv", positive="sick", resamples=50)
    assert again["metrics"] == evaluate(own, positive=1, resamples=50)["metrics"]
    for name, one in found["metrics"].items():
        assert one["estimate"] == pytest.approx(again["metrics"][name]["estimate"], abs=1e-9), name
    # Without the patients every scan counts as one, and the intervals are shorter than they may be: it says so.
    text = (tmp_path / "other.csv").read_text().splitlines()
    (tmp_path / "rows.csv").write_text("\n".join(",".join([r.split(",")[0], *r.split(",")[2:]]) for r in text))
    rows = judge.evaluate_file(tmp_path / "rows.csv", positive="sick", resamples=50)
    assert rows["about"]["patients"] == "patients unknown (taken as independent)"
    assert rows["counts"]["patients"] == 80


def typed(capsys, *words):
    code = cli.guarded(verbs.evaluate_command, cli.parser().parse_args(["evaluate", *map(str, words)]))
    return code, *capsys.readouterr()


def test_the_command_prints_the_table_and_writes_the_json(tmp_path, capsys):
    table(tmp_path / "other.csv")
    out = tmp_path / "deep" / "evidence.json"
    words = ["--positive", "sick", "--prevalence", ".05", "--out", out]
    code, text, _ = typed(capsys, "--predictions", tmp_path / "other.csv", *words)
    assert code == 0
    assert "PPV at 5.0 % (stated)" in text
    assert "AUROC  [primary]" in text
    assert "80 cases, 40 patients" in text
    assert json.loads(out.read_text())["metrics"]["auroc"]["cases"] == 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--predictions", "{}"], "say which of the two classes is the positive one"),
        (["--predictions", "{}", "--positive", "ill"], "none of the classes well, sick"),
        (["--predictions", "{}", "--positive", "sick", "--threshold", "2"], "lies outside 0 to 1"),
        (["--predictions", "{}", "--positive", "sick", "--primary", "dice"], "does not apply"),
        (
            ["--predictions", "{}", "--positive", "sick", "--prevalence", "1.5"],
            "--prevalence 1.5 must lie between 0 and 1",
        ),
        (["--predictions", "{}", "--positive", "sick", "--split", "test"], "needs no run and no --split"),
        (["--predictions", "absent.csv", "--positive", "sick"], "absent.csv: not a readable predictions file"),
        ([], "needs a run folder, or --predictions"),
        (["some_run", "--positive", "sick"], "goes with --predictions"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, capsys, words, message):
    table(tmp_path / "other.csv")
    code, text, error = typed(capsys, *[word.format(tmp_path / "other.csv") for word in words])
    assert (code, text) == (2, "")
    assert message in error
    assert error.count("\n") == 1


def test_too_little_to_judge_is_refused(tmp_path):
    table(tmp_path / "few.csv", size=9)
    with pytest.raises(InputError, match="9 cases with a target; at least 10"):
        judge.evaluate_file(tmp_path / "few.csv", positive="sick")
    table(tmp_path / "one.csv", size=40)
    (tmp_path / "one.csv").write_text((tmp_path / "one.csv").read_text().replace(",sick,", ",well,"))
    with pytest.raises(InputError, match="every case is 'well'"):
        judge.evaluate_file(tmp_path / "one.csv", positive="sick")


def test_files_of_two_tools_are_compared_on_the_same_cases(tmp_path, capsys):
    for name, noise in (("one.csv", 0.0), ("two.csv", 0.4)):
        table(tmp_path / name)
        rows = (tmp_path / name).read_text().splitlines()
        generator, out = np.random.default_rng(1), [rows[0]]
        for row in rows[1:]:
            *head, _, sick = row.split(",")
            sick = min(max(float(sick) + noise * generator.normal(), 0.0), 1.0)
            out.append(",".join([*head, f"{1 - sick:.6f}", f"{sick:.6f}"]))
        (tmp_path / name).write_text("\n".join([out[0], *reversed(out[1:])] if noise else out))  # another order of rows
    words = ["compare", str(tmp_path / "one.csv"), str(tmp_path / "two.csv"), "--positive", "sick", "--margin", "0.05"]
    out = tmp_path / "difference.json"
    assert cli.guarded(verbs.compare_command, cli.parser().parse_args([*words, "--out", str(out)])) == 0
    text, found = capsys.readouterr().out, json.loads(out.read_text())
    alone = [judge.evaluate_file(tmp_path / f"{name}.csv", positive="sick", resamples=50) for name in ("one", "two")]
    (pair,) = found["predictors"]["pairs"]
    difference = alone[0]["metrics"]["auroc"]["estimate"] - alone[1]["metrics"]["auroc"]["estimate"]
    assert pair["estimate"] == pytest.approx(difference)
    assert "Comparison of 2 in AUROC [primary]; positive class: sick; margin .05" in text
    reference = cli.parser().parse_args([*words, "--reference", str(tmp_path / "two.csv"), "--primary", "brier"])
    assert cli.guarded(verbs.compare_command, reference) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{0}", "absent"], "absent: no such run folder or predictions file"),
        (["{0}", "{0}"], "is named twice"),
        (["{0}"], "one entry only"),
        (["{0}", "{1}"], "lacks 9 cases"),
        (["{0}", "{2}"], "share no split with predictions"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, capsys, words, message):
    table(tmp_path / "a.csv"), table(tmp_path / "b.csv", size=71)
    (tmp_path / "empty").mkdir()
    names = [str(tmp_path / name) for name in ("a.csv", "b.csv", "empty")]
    arguments = cli.parser().parse_args(["compare", *(word.format(*names) for word in words), "--positive", "sick"])
    assert cli.guarded(verbs.compare_command, arguments) == 2
    assert message in capsys.readouterr().err
