"""The table of a comparison: within its width, every pair on a line, and nothing rounded into another verdict."""

import numpy as np
import pytest

from medjax.evidence.contest import contest
from medjax.evidence.predictions import Predictions
from medjax.report.contest_table import _letters, contest_table
from medjax.report.formats import WIDTH

LONG = [
    "runs/pneumonia_perceptron_with_a_rather_long_name_and_more_of_it_seed_5",
    "cnn",
    "a folder with spaces in its name/under another one/that somebody made long ago/and another/predictions/test.csv",
    "resnet",
    "runs/a_name_without_any_place_to_break_it_" + "x" * 100,
    "f",
]


def made(
    seed: int, *, members: int = 1, size: int = 80, cases: int = 1, kind: str = "probability", gain: float = 0.3
) -> Predictions:
    truth, own = np.random.default_rng(3), np.random.default_rng(seed)
    target, shared = truth.integers(0, 2, size), truth.normal(size=size)
    score = (1 + gain * seed) * target + shared + 0.6 * own.normal(size=(members, size))
    positive = 1 / (1 + np.exp(-score))
    value = kind == "value"
    return Predictions(
        id=np.array([f"{k}" for k in range(size)]),
        group=np.array([f"{k // cases}" for k in range(size)]),
        target=target.astype(float) if value else target,
        values=score[..., None] if value else np.stack([1 - positive, positive], axis=-1),
        replicate=np.arange(members),
        seed=np.arange(members),
        fold=np.full(size, -1),
        kind=kind,
        classes=() if value else ("benign", "malignant"),
    )


def entries(names: list[str], **options) -> dict[str, Predictions]:
    return {name: made(k, **options) for k, name in enumerate(names)}


def lines_of(found: dict) -> list[str]:
    text = contest_table(found)
    assert text.endswith("\n")
    return text.splitlines()


@pytest.mark.parametrize("count", [2, 3, 6])
def test_it_keeps_its_width_and_shows_every_pair(count):
    found = contest(entries(LONG[:count], members=2), positive=1, margin=0.05, resamples=20)
    lines = lines_of(found)
    assert max(len(line) for line in lines) <= WIDTH
    assert lines[0] == f"Comparison of {count} in AUROC [primary]; positive class: malignant; margin .05"
    text = "\n".join(lines)
    for kind, title in (("predictors", "These predictors"), ("methods", "These methods")):
        block = text[text.index(title) :].split("\n\n")[0].splitlines()
        starts = [line[:5] for line in block[2:] if line[:1].strip()]
        expected = [f"{_letters(i)} - {_letters(j)}" for i in range(count) for j in range(i + 1, count)]
        assert starts == expected, kind
    for k, name in enumerate(LONG[:count]):
        assert f"{_letters(k)}  {name[:30]}" in text
    assert name.replace(" ", "")[-20:] in text.replace("\n", "").replace(" ", "")  # nothing is cut off


def test_its_numbers_are_those_of_the_json():
    found = contest(
        entries(["one", "two"], cases=2, gain=0.0), positive=1, thresholds={"one": 0.4, "two": 0.25}, resamples=20
    )
    text = contest_table(found)
    pair, first = found["predictors"]["pairs"][0], found["entries"]["one"]["metrics"]["auroc"]
    for value in (first["estimate"], first["low"], first["high"]):
        assert f"{value:.3f}"[1:] in text
    for value in (pair["estimate"], pair["adjusted"]["low"], pair["adjusted"]["high"]):
        assert f"{value:+.3f}".replace("0.", ".") in text
    assert f"{pair['adjusted']['p_value']:.3f}"[1:] in text
    text = " ".join(text.split())  # lines break anywhere
    assert "80 cases, 40 patients" in text
    assert "can show is ." in text
    assert "80 cases of 40 patients" in text
    assert "not compared; one seed an entry" in text
    assert "some patients have several" in text
    assert "Holm" not in text  # one pair: nothing to adjust
    assert ".40" in text
    assert ".25" in text


def test_an_end_next_to_zero_keeps_its_side_and_a_p_value_next_to_the_limit_its_digits():
    found = contest(entries(["one", "two", "three"]), positive=1, reference="one", resamples=20)
    pair = found["predictors"]["pairs"][0]
    pair |= {"estimate": 0.0501, "p_value": 0.0496, "verdict": "better"}
    pair["adjusted"] |= {"low": 0.0001, "high": 0.1001, "p_value": 0.0004}
    (line,) = (line for line in lines_of(found) if line.startswith("B - A") and "better" in line)
    assert line.split() == ["B", "-", "A", "+.0501", "(+.0001", "to", "+.1001)", ".0496", "<.001", "better"]
    assert "A  one (reference)" in contest_table(found)


def test_values_keep_their_zeros_before_the_point_and_lower_is_better():
    found = contest(entries(["one", "two"], kind="value"), primary="mean_absolute_error", resamples=20)
    found["predictors"]["pairs"][0]["verdict"] = "not distinguishable; the smallest difference is 10.5, margin 0.5"
    assert "lower is better" in lines_of(found)[0]
    text = " ".join(contest_table(found).split())
    assert "difference is 10.5, margin .5" in text
    assert "threshold" not in text
    assert "a value is not right or wrong" in text


def test_what_is_not_estimable_and_what_is_warned_about_is_printed():
    one = made(0)
    found = contest({"one": one, "same": one, "two": made(2)}, positive=1, resamples=20)
    lines = lines_of(found)
    (line,) = (line for line in lines if line.startswith("A - B "))
    assert line.split()[3:8] == [".000", "(no", "interval)", "-", "-"]
    assert line.endswith("no difference: no patient makes a difference")
    assert any(line.startswith("WARNING, A, B, C: ") for line in lines)


def test_letters():
    assert [_letters(k) for k in (0, 25, 26, 27, 51, 52)] == ["A", "Z", "AA", "AB", "AZ", "BA"]
