"""Operating thresholds: each rule against all thresholds there are, and what they attain."""

import numpy as np
import pytest

from medjax import config
from medjax.errors import InputError
from medjax.evidence import intervals, thresholds
from medjax.evidence.thresholds import choose_threshold
from medjax.experiment import Evaluation
from medjax.metrics.threshold_rules import Rule, parse_rule, valid_rule

RULES = ["youden", "accuracy", "sensitivity>=.95", "sensitivity >= 0.8", "specificity>=.90", "cost 10", "cost 1:3"]


def calibrated(seed: int, size: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probability = generator.beta(1, 2, size)
    return probability, (generator.random(size) < probability).astype(np.int64)


def gain(rule: str, probability: np.ndarray, target: np.ndarray, threshold: float) -> tuple[float, ...]:
    """What is to be as large as possible, written without the code under test; -1 where a target is missed."""
    said = probability >= threshold
    sensitivity, specificity = float(np.mean(said[target == 1])), float(np.mean(~said[target == 0]))
    if rule == "youden":
        return (sensitivity + specificity,)
    if rule == "accuracy":
        return (float(np.mean(said == target)),)
    if rule.startswith("cost"):
        miss, alarm = (10, 1) if rule == "cost 10" else (1, 3)
        return (-float(miss * np.sum(~said & (target == 1)) + alarm * np.sum(said & (target == 0))),)
    own, other, least = (
        (specificity, sensitivity, 0.9)
        if rule.startswith("spec")
        else (sensitivity, specificity, 0.95 if "95" in rule else 0.8)
    )
    return (other, own) if own >= least - 1e-12 else (-1.0, -1.0)


@pytest.mark.parametrize("rule", RULES)
def test_threshold_is_the_best_of_all(rule):
    for seed in range(3):
        probability, target = calibrated(seed, 200)
        probability = np.round(probability, 2)
        chosen = choose_threshold(probability, target, rule=rule)
        best = max(gain(rule, probability, target, t) for t in np.linspace(-0.0005, 1.0005, 1002))
        assert gain(rule, probability, target, chosen) == pytest.approx(best)
        weights = np.random.default_rng(seed).integers(0, 3, 200)
        repeated = choose_threshold(np.repeat(probability, weights), np.repeat(target, weights), rule=rule)
        assert choose_threshold(probability, target, weights, rule=rule) == repeated
        order = np.random.default_rng(seed).permutation(200)
        assert choose_threshold(probability[order], target[order], rule=rule) == chosen


def test_thresholds_by_hand_and_at_the_edges():
    probability, target = np.array([0.1, 0.4, 0.6, 0.9]), np.array([0, 0, 1, 1])
    assert choose_threshold(probability, target) == pytest.approx(0.5)
    assert choose_threshold(probability, np.array([0, 1, 0, 1]), rule="sensitivity>=.9") == pytest.approx(0.25)
    assert choose_threshold(probability, np.array([0, 1, 0, 1]), rule="specificity>=.9") == pytest.approx(0.75)
    assert choose_threshold(probability, np.array([0, 1, 0, 1]), rule="cost 2") == pytest.approx(0.25)
    assert choose_threshold(probability, np.array([0, 1, 0, 1]), rule="cost 1:2") == pytest.approx(0.75)
    assert choose_threshold(probability, np.array([1, 0, 0, 1]), rule="cost 100") < 0.1  # all are called positive
    assert choose_threshold(np.array([0.2]), np.array([1]), rule=0.3) == 0.3
    certain = choose_threshold(np.array([1.0, 1.0, 1.0]), np.array([0, 0, 1]), rule="accuracy")
    assert certain <= 1.0
    with pytest.raises(InputError, match="both classes"):
        choose_threshold(np.array([0.2, 0.3]), np.array([1, 1]))
    with pytest.raises(InputError, match="lies outside 0 to 1"):
        choose_threshold(np.array([0.2, 0.3]), np.array([0, 1]), rule=1.2)


def test_nineteen_of_twenty_reach_ninety_five_percent():
    probability = np.concatenate([np.linspace(0.3, 0.9, 20), np.full(30, 0.31)])
    target = np.repeat([1, 0], [20, 30])
    chosen = choose_threshold(probability, target, rule="sensitivity>=.95")
    assert np.mean(probability[:20] >= chosen) == 0.95
    assert chosen > 0.31


def test_a_target_out_of_reach_takes_the_nearest_and_says_so():
    # The lowest score is a positive's: all four are caught only where everybody is called positive.
    probability, target = np.array([0.1, 0.5, 0.6, 0.7, 0.2, 0.3]), np.array([1, 1, 1, 1, 0, 0])
    nearest = choose_threshold(probability, target, rule="sensitivity>=.95")
    assert 0.3 < nearest < 0.5
    found = thresholds.attained(probability, target, np.arange(6), nearest, rule="sensitivity>=.95")
    assert (found["sensitivity"]["estimate"], found["specificity"]["estimate"]) == (0.75, 1.0)
    assert found["target"]["met"] is False
    assert "NOT MET" in found["target"]["note"]
    certain = choose_threshold(np.array([1.0, 1.0, 1.0, 0.2]), np.array([1, 1, 0, 0]), rule="specificity>=.9")
    assert 0.2 < certain <= 1.0


def test_predictions_that_tell_nothing_apart_still_leave_a_threshold():
    same, target = np.full(4, 0.5), np.array([0, 1, 0, 1])
    assert choose_threshold(same, target, rule="sensitivity>=.9") < 0.5  # everybody is called positive
    assert choose_threshold(same, target, rule="specificity>=.9") > 0.5


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("youden", Rule("youden")),
        (" sensitivity >= .95 ", Rule("sensitivity", 0.95)),
        ("specificity>=0.9", Rule("specificity", 0.9)),
        ("cost 10", Rule("cost", 10.0)),
        ("cost  7.5 : 3", Rule("cost", 2.5)),
    ],
)
def test_rules_are_read(text, rule):
    valid_rule(text)
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    "text",
    [
        "", "best", "0.3", "Youden", "sensitivity", "sensitivity>.95", "sensitivity=.95", "sensitivity>=95%",
        "sensitivity>=95", "sensitivity>=1", "specificity>=0", "specificity>=-.5", "sensitivity>=nan", "cost", "cost10",
        "cost 0", "cost -3", "cost 10:0", "cost 10:1:1", "sensitivity>=.95 and specificity>=.5",
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(InputError, match="threshold: (unknown rule|rule)"):
        valid_rule(text)


def test_what_is_attained_comes_with_wilsons_interval():
    probability, target = calibrated(4, 300)
    chosen = choose_threshold(probability, target, rule="sensitivity>=.9")
    found = thresholds.attained(probability, target, np.arange(300), chosen, rule="sensitivity>=.9")
    entry, said = found["sensitivity"], probability >= chosen
    events = int(target.sum())
    hits = int(said[target == 1].sum())
    assert (entry["numerator"], entry["denominator"]) == (hits, events)
    assert (entry["low"], entry["high"]) == pytest.approx(intervals.wilson(hits, events))
    assert found["specificity"]["estimate"] == pytest.approx(np.mean(~said[target == 0]))
    assert found["target"]["below_the_interval"] is False
    assert "may well be lower" in found["target"]["note"]
    easy = thresholds.attained(probability, target, np.arange(300), chosen, rule="sensitivity>=.5")
    assert easy["target"] == {"quantity": "sensitivity", "value": 0.5, "met": True, "below_the_interval": True}
    assert "target" not in thresholds.attained(probability, target, np.arange(300), 0.5, rule=0.5)
    # Five copies of every case are worth no more than one.
    copies = thresholds.attained(
        np.repeat(probability, 5), np.repeat(target, 5), np.repeat(np.arange(300), 5), chosen, rule="sensitivity>=.9"
    )
    width, copied = (one["sensitivity"]["high"] - one["sensitivity"]["low"] for one in (found, copies))
    assert copied == pytest.approx(width, rel=0.05)


def test_one_class_has_one_share_and_a_reason_for_the_other():
    found = thresholds.attained(np.array([0.2, 0.8]), np.array([1, 1]), np.arange(2), 0.5)
    assert found["specificity"]["estimate"] is None
    assert found["specificity"]["reason"] == "no case in the denominator"


@pytest.mark.parametrize("rule", ["sensitivity>=.95", "specificity >= .90", "cost 10:1", "youden"])
def test_an_experiment_takes_a_rule_from_the_command_line(rule):
    changed = config.override(Evaluation(), [f"threshold={rule}"])
    assert changed.threshold == rule
    assert config.decode(config.encode(changed)) == changed
    assert config.override(Evaluation(), ["threshold=0.3"]).threshold == 0.3
    with pytest.raises(InputError, match="threshold: True is not of type"):
        config.override(Evaluation(), ["threshold=true"])
