"""The printed table: numbers as journals print them, within the width, for every kind of evaluation."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from medjax.evidence.evaluation import evaluate
from medjax.evidence.thresholds import attained, choose_threshold
from medjax.report import formats, table

_path = Path(__file__).parents[1] / "evidence" / "test_evaluation.py"
_specification = importlib.util.spec_from_file_location("evaluation_cases", _path)
cases = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(cases)


@pytest.mark.parametrize(
    ("value", "decimals", "signed", "expected"),
    [
        (0.953, 3, False, ".953"),
        (-0.0031, 3, True, "-.003"),
        (-0.0001, 3, True, ".000"),
        (1.0, 2, False, "1.00"),
        (0.02, 2, True, "+.02"),
    ],
)
def test_numbers_are_printed_as_journals_do(value, decimals, signed, expected):
    assert formats.fixed(value, decimals, signed=signed) == expected


def test_binary_table_says_what_a_reader_needs():
    evaluation = evaluate(
        cases.binary(),
        positive=1,
        threshold=0.37,
        reference=cases.binary(seed=7),
        margin=0.02,
        prevalences=(0.1,),
        resamples=50,
    )
    header = {
        "title": "Some disease",
        "validation": "INTERNAL cross-validation",
        "patients": "patients unknown (taken as independent)",
        "excluded": 0,
        "missing": 3,
        "duplicates": 2,
        "plan": "3f2a",
        "opening": "opening 1, 1 model",
    }
    text = table.results_table(evaluation, header)
    for part in (
        "INTERNAL cross-validation, 5 folds x 3 seeds, out-of-fold; positive class: ill",
        "200 cases, patients unknown (taken as independent)",
        "2 duplicates",
        "plan 3f2a",
        "opening 1, 1 model",
        "AUROC  [primary]",
        "sensitivity, thr. .37",
        "margin .02",
        "PPV at 10 % (stated)",
        "accuracy, thr. .50",
        "calibration slope",
        "net benefit at .10",
        "single seeds, AUROC",
        "conditional on the fold models, training-set variation not included",
        "detectable here with power .80",
        "Not evidence for other hospitals.",
    ):
        assert part in text, part
    assert "equal models need for non-inferiority within .02:" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= 110
    entry = evaluation["metrics"]["sensitivity"]
    second = {**evaluation["reference"], "name": "a forest", "comparison": evaluation["comparison"]}
    two = table.results_table({**evaluation, "further_references": [second]}, header).splitlines()
    begin = next(row for row, line in enumerate(two) if line.split() == ["a", "forest", "paired", "difference"])
    assert two[begin + 1].startswith("AUROC  [primary]")
    assert formats.cell(evaluation["comparison"]["predictors"]["auroc"], 3, "auroc", signed=True) in two[begin + 1]
    assert sum("difference to a forest" in line for line in two) == 1
    assert [line for line in two if line in text.splitlines()][:begin] == two[:begin]
    assert f"{entry['numerator']}/{entry['denominator']}" in text
    assert text.isascii()


def test_other_tables_and_missing_keys():
    several = table.results_table(evaluate(cases.several(), resamples=50), {"title": "x", "validation": "EXTERNAL"})
    assert "AUROC, macro  [primary]" in several
    assert "class against the rest" in several
    assert "other hospitals" not in several
    value = table.results_table(evaluate(cases.values(), primary="r2", resamples=50))
    assert "R2  [primary]" in value
    assert max(len(line) for line in (several + value).splitlines()) <= 110
    assert "Results: validation" in table.results_table({}, {})


def test_warnings_and_undefined_are_printed():
    predictions = cases.binary(30, folds=False)
    text = table.results_table(evaluate(predictions, positive=1, resamples=50))
    assert "WARNING" in text
    assert "independent patients" in text


def test_tables_of_labels_grades_and_quantiles_show_their_own_rows():
    path = Path(__file__).parents[1] / "evidence" / "test_labels.py"
    specification = importlib.util.spec_from_file_location("label_cases", path)
    labels = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(labels)
    several = table.results_table(evaluate(labels.several(), threshold=0.3, resamples=50))
    for part in (
        "200 cases, 200 patients; 3 labels;",
        "of the answers unknown",
        "AUROC, macro  [primary]",
        "all labels right",
        "label, cases/known       AUROC                       AUPRC",
        "label                    sensitivity                 specificity                 PPV",
        "probability of at least .30, one",
    ):
        assert part in several, part
    assert "positive class" not in several
    grades = table.results_table(evaluate(labels.grades(), primary="quadratic_weighted_kappa", resamples=50))
    first = grades.splitlines()[[line.startswith("weighted kappa") for line in grades.splitlines()].index(True)]
    assert first.startswith("weighted kappa  [primary]")
    assert grades.index("weighted kappa") < grades.index("mean abs. grade error") < grades.index("Confusion matrix")
    assert "the median of the probabilities" in grades
    ranges = table.results_table(evaluate(labels.ranges(), primary="pinball_loss", resamples=50))
    for part in ("pinball loss  [primary]", "90 % interval: coverage", "90 % interval: width"):
        assert part in ranges, part
    for text in (several, grades, ranges):
        assert max(len(line) for line in text.splitlines()) <= 110
        assert text.isascii()


def test_of_many_labels_some_are_shown_and_the_rest_counted():
    entry = {"estimate": 0.9, "low": 0.8, "high": 0.95}
    names = [f"finding {k}" for k in range(30)]
    classes = {name: dict.fromkeys(("auroc", "auprc", "f1"), entry) for name in names}
    lines = table._block(classes, "label", ("auroc", "auprc", "f1"), dict.fromkeys(names, " 3/9"))
    assert sum("finding" in line for line in lines) == table.LABELS_SHOWN
    assert lines[-1] == "  and 10 more in the JSON of this evaluation"
    assert "finding 3 3/9" in lines[5]


@pytest.mark.parametrize(("level", "said"), [(".9", "may well be lower"), (".995", "NOT MET")])
def test_the_rule_of_the_threshold_and_what_it_attained_are_told(level, said):
    made = cases.binary()
    probability, target = made.values.mean(0)[:, 1], made.target == 1
    rule = f"sensitivity>={level}"
    if said == "NOT MET":  # somebody ill whom the model calls the healthiest of all
        probability, target = np.append(probability, 0.0), np.append(target, True)
    chosen = choose_threshold(probability, target, rule=rule)
    attains = attained(probability, target, np.arange(len(target)), chosen, rule=rule)
    text = table.results_table(evaluate(made, positive=1, threshold=chosen, resamples=50) | {"chosen": attains})
    plain = " ".join(text.split())
    assert f"by the rule '{rule}' on validation: sensitivity" in plain
    assert said in plain
    assert max(len(line) for line in text.splitlines()) <= 110


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.21, ".21"), (0.05, ".05"), (0.012, ".012"), (0.004, ".004"), (0.0004, ".0004"), (2.5, "2.50")],
)
def test_rough_numbers_never_read_as_zero(value, said):
    assert formats.rough(value) == said


def test_leading_zeros_go_and_other_numbers_stay():
    assert (
        formats.short("between 0.1 and 10.05, 0.5%, version 1.0.2, 0") == "between .1 and 10.05, .5%, version 1.0.2, 0"
    )


# Times to an event.


def body(text: str) -> list[str]:
    """The rows with a metric."""
    return [line for line in text.splitlines() if "(" in line and (line[:1].isalpha()) and " to " in line]


def test_survival_rows_are_named_and_stand_in_order():
    evaluation = evaluate(
        cases.times(60), primary="concordance_index", reference=cases.times(60, 1, seed=9), margin=0.05, resamples=20
    )
    text = table.results_table(evaluation, {"title": "Some cancer", "unit": "months", "validation": "TEST set"})
    lines = text.splitlines()
    assert max(map(len, lines)) <= formats.WIDTH
    counts = evaluation["counts"]
    assert lines[0] == "Some cancer: TEST set, 2 seeds"
    assert lines[1] == (
        f"60 cases, 60 patients; {counts['events']} with the event; {counts['censored']} censored; median follow-up "
        f"{counts['median_follow_up']:.4g} months;"
    )
    assert lines[2] == "  times in months, judged up to 8"
    known = {
        name: formats.fixed(one["one_curve_for_all"], 3)
        for name, one in evaluation["metrics"].items()
        if "one_curve_for_all" in one
    }
    expected = [
        "concordance  [primary]",
        *(
            label
            for at in ("4", "8")
            for label in (f"AUROC at {at}", f"IPA at {at}", f"Brier at {at} (KM {known[f'brier_at_{at}']})", f"observed/expected at {at}")
        ),
        f"integrated Brier (KM {known['integrated_brier']})",
        "concordance, Uno",
        "concordance in time",
    ]  # fmt: skip
    start = next(number for number, line in enumerate(lines) if "[primary]" in line)
    rows = [line for line in lines[start : start + 20] if line[:1].strip()][: len(expected)]
    for row, label in zip(rows, expected, strict=True):
        assert row.startswith(label + " "), row
    entry = evaluation["metrics"]["concordance_index"]
    assert formats.cell(entry, 3, "concordance_index") in rows[0]
    test = evaluation["survival"]["event"]["groups"]
    shown = ", ".join(f"{name} {one['events']}/{one['cases']}" for name, one in test["curves"].items())
    told = " ".join(text.split())
    assert (
        f"Thirds of predicted risk, events/cases: {shown}; log-rank chi-squared {test['log_rank']['statistic']:.1f}"
        in told
    )
    assert "IPA: 1 - Brier score / that of one Kaplan-Meier curve for all (KM)." in told


def test_causes_each_have_their_rows_and_their_groups():
    evaluation = evaluate(cases.times(40, 1, ("relapse", "death")), primary="concordance_index_relapse", resamples=20)
    text = table.results_table(evaluation, {"title": "Some cancer"})
    assert max(map(len, text.splitlines())) <= formats.WIDTH
    counts = evaluation["counts"]["events_by_cause"]
    told = " ".join(text.split())
    assert f"{counts['relapse']} with relapse; {counts['death']} with death; " in told
    for words in (
        "concordance, relapse [primary]",
        "AUROC at 4, death",
        "IPA at 8, relapse",
        "integrated Brier, death",
    ):
        assert words in told
    for cause in counts:
        assert f"Thirds of predicted risk of '{cause}', events/cases: low risk " in told
