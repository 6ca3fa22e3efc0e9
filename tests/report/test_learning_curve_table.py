import numpy as np
import pytest

from medjax.evidence.learning_curve import learning_curve
from medjax.report.formats import WIDTH
from medjax.report.learning_curve_table import learning_curve_table

SIZES = np.array([20, 40, 100, 200, 400])


def made(lower_is_better=False, scale=0.03, **settings):
    generator = np.random.default_rng(0)
    error = 0.02 + scale * (SIZES / 400) ** -0.5 + 0.0005 * generator.normal(size=(4, 5))
    values = error if lower_is_better else 1 - error
    found = learning_curve(
        SIZES,
        values,
        1e-5 * np.eye(5),
        cases=300,
        patients=250,
        lower_is_better=lower_is_better,
        resamples=300,
        **settings,
    )
    about = {
        "title": "a study", "positive": "malignant", "judged_on": "cases out-of-fold, 5 folds", "steps": 1290, "batch": 32,
        "epochs_of_the_largest": 20.04,
    }  # fmt: skip
    dropped = [
        {"share": 0.01, "training_patients": 4, "reason": "of 4 patients a subset has only 0 of class malignant"}
    ]
    shares = [0.05, 0.1, 0.25, 0.5, 1.0]
    return {"about": about, "shares": shares, "dropped": dropped, "primary": "auroc", **found}


def test_every_number_of_the_curve_is_there_and_no_line_too_long():
    curve = made(gain=0.005)
    text = learning_curve_table(curve)
    assert max(map(len, text.splitlines())) <= WIDTH
    lines = text.splitlines()
    for point, share in zip(curve["points"], ("5.0 %", "10 %", "25 %", "50 %", "100 %"), strict=True):
        (line,) = [line for line in lines if line.split()[:1] == [str(point["training_patients"])]]
        assert share in line
        for side in ("estimate", "low", "high"):
            assert f"{point[side]:.3f}".lstrip("0") in line
    assert "a study: LEARNING CURVE of AUROC; positive class: malignant; 4 seeds" in " ".join(text.split())
    assert f"How many more labelled patients for AUROC +.005? {curve['answer']}" in text
    assert "Twice the patients (800): AUROC .959" in text
    assert "better by .009 (" in text
    assert "Left out: 1.0 % of the patients; of 4 patients a subset has only 0 of class malignant." in text
    assert "1,290 steps of 32 cases" in text
    assert "Law: 1 - AUROC = .0" in text


def test_the_picture_rises_with_the_metric():
    rows = [line for line in learning_curve_table(made()).splitlines() if line.rstrip().endswith(("-", "o"))]
    places = [row.rindex("o") for row in rows]
    assert len(places) == 6  # five sizes and twice the patients
    assert places == sorted(places)
    assert places[0] < places[-1]


def test_a_loss_falls():
    text = learning_curve_table(made(True) | {"primary": "log_loss"})
    assert "for log loss -.01?" in text
    assert "Law: log loss = .0" in text


@pytest.mark.parametrize("extra", [{}, {"about": {}, "dropped": [], "shares": []}])
def test_a_curve_that_is_not_estimable_says_so(extra):
    text = learning_curve_table(made(scale=0.0) | extra)
    assert "Not estimable: the metric does not get better with patients beyond what noise explains." in " ".join(
        text.split()
    )
    assert "Twice the patients" not in text
    assert "fitted" not in text
    assert max(map(len, text.splitlines())) <= WIDTH


def test_points_without_interval_or_value_are_shown_as_such():
    values = np.array([[0.7, 0.8, np.nan, 0.9], [0.7, 0.82, 0.9, 0.91]])
    found = learning_curve(np.array([10, 20, 40, 80]), values, 1e-5 * np.eye(4), cases=30, patients=30)
    text = learning_curve_table({"primary": "auroc", **found})
    assert "undefined" in text
    assert "2 seeds" in text
    single = learning_curve(np.array([10, 20]), values[1:, :2], 1e-5 * np.eye(2), cases=30, patients=30)
    assert ".700 (no interval)" in learning_curve_table({"primary": "auroc", **single})


def test_what_was_chosen_on_the_judging_cases_is_said():
    curve = made()
    curve["about"]["chosen_on_the_same_cases"] = "auroc"
    assert "also chose each model's parameters (by AUROC)" in " ".join(learning_curve_table(curve).split())
