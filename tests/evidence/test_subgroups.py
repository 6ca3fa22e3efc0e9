"""Subgroups: who is counted, what is judged, the gap to the rest, and intervals that hold for all groups together."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from medjax.errors import InputError
from medjax.evidence import auroc, group_gaps, intervals
from medjax.evidence.attribute_groups import attribute_groups
from medjax.evidence.predictions import Predictions, select
from medjax.evidence.setting import Setting
from medjax.evidence.subgroups import FEWEST, subgroups
from medjax.metrics import classification


def made(
    target: np.ndarray,
    values: np.ndarray,
    attributes: dict[str, list | np.ndarray],
    kind: str = "probability",
    cases: int = 1,
) -> Predictions:
    size = len(target)
    names = () if kind == "value" else ("benign", "malignant", "other")[: values.shape[1]]
    return Predictions(
        id=np.array([f"case {k}" for k in range(size)]),
        group=np.array([f"patient {k // cases}" for k in range(size)]),
        target=target,
        values=values[None],
        replicate=np.zeros(1, int),
        seed=np.zeros(1, int),
        fold=np.full(size, -1),
        kind=kind,  # pyrefly: ignore
        classes=names,
        attributes={name: np.array(one, dtype=str) for name, one in attributes.items()},
    )


def binary(seed: int, size: int, attributes: dict | None = None, cases: int = 1) -> Predictions:
    generator = np.random.default_rng(seed)
    x = np.repeat(generator.normal(size=size // cases), cases) + 0.5 * generator.normal(size=size)
    target = (generator.random(size) < expit(1.5 * x)).astype(np.int64)
    attributes = attributes or {"site": generator.choice(["A", "B", "C"], size, p=[0.5, 0.3, 0.2])}
    return made(target, np.stack([1 - expit(x), expit(x)], -1), attributes, cases=cases)


def judged(predictions: Predictions, **more) -> dict:
    settings = {"positive": 1, "resamples": 50, **more}
    found = subgroups(predictions, **settings)
    json.dumps(found, allow_nan=False)
    return found


@pytest.mark.parametrize("events", [9, 10, 11])
@pytest.mark.parametrize("rare", [0, 1])
def test_ten_events_and_ten_others_are_enough(events, rare):
    target = np.concatenate([np.full(events, rare), np.full(40, 1 - rare), np.arange(60) % 2])
    score = np.clip(np.random.default_rng(0).normal(0.3 + 0.4 * target, 0.3), 0.01, 0.99)
    site = ["A"] * (events + 40) + ["B"] * 60
    found = judged(made(target, np.stack([1 - score, score], -1), {"site": site}))["attributes"]["site"]
    one = found["groups"]["A"]
    assert one["cases"] == events + 40
    if events < 10:
        assert one["too_few"] == f"9 patients {'with' if rare else 'without'} malignant"
        assert set(one) == {"cases", "patients", "events", "too_few"}
        assert found["worst"] == {"reason": "fewer than two groups can be judged"}
        assert found["groups"]["B"]["gap"]["reason"] == f"too few in the rest: {one['too_few']}"
        assert found["groups"]["B"]["gap"]["estimate"] is None
    else:
        assert one["metrics"]["auroc"]["estimate"] == pytest.approx(classification.auroc(score[:-60], target[:-60]))
        assert one["gap"]["low"] < one["gap"]["estimate"] < one["gap"]["high"]
        assert found["worst"]["groups"] == 2


def test_patients_are_counted_and_not_their_cases():
    predictions = binary(0, 100, {"site": ["A"] * 45 + ["B"] * 55}, cases=5)
    one = judged(predictions)["attributes"]["site"]["groups"]["A"]
    assert (one["cases"], one["patients"]) == (45, 9)
    assert "too_few" in one  # at most nine patients have the event, in however many cases


def test_every_metric_of_a_group_is_that_of_its_cases_alone():
    predictions = binary(1, 300)
    found = judged(predictions)["attributes"]["site"]["groups"]["B"]
    rows = predictions.attributes["site"] == "B"
    score, target = predictions.values[0, rows, 1], predictions.target[rows]
    expected = auroc.auroc(score, target, np.arange(rows.sum()))
    assert [found["metrics"]["auroc"][key] for key in ("estimate", "low", "high")] == pytest.approx(
        [expected.estimate, expected.low, expected.high]
    )
    assert found["metrics"]["sensitivity"]["denominator"] == target.sum()
    assert "seeds" in found["metrics"]["brier"]
    assert found["prevalence"]["malignant"]["estimate"] == pytest.approx(target.mean())
    assert found["prevalence"]["malignant"]["low"] == pytest.approx(intervals.wilson(int(target.sum()), len(target))[0])
    assert found["events"] == {"malignant": {"cases": target.sum(), "patients": target.sum()}}
    assert "p_value" not in json.dumps(found)


@pytest.mark.parametrize(("cases", "within"), [(1, False), (4, False), (4, True)])
def test_the_gap_is_that_of_a_bootstrap_of_patients(cases, within):
    """Groups of patients, and groups within patients, whose two sides then belong together."""
    size = 1600
    generator = np.random.default_rng(2)
    code = generator.random(size if within else size // cases) < 0.4
    code = code if within else np.repeat(code, cases)
    predictions = binary(2, size, {"view": np.where(code, "front", "side")}, cases)
    found = judged(predictions, threshold=0.4)["attributes"]["view"]["groups"]["front"]["gap"]
    score, target, patient = predictions.values[0, :, 1], predictions.target, np.arange(size) // cases
    values = []
    for _ in range(300):
        weights = np.bincount(generator.integers(0, size // cases, size // cases), minlength=size // cases)[patient]
        own, rest = (classification.auroc(score[one], target[one], weights[one]) for one in (code, ~code))
        values.append(own - rest)
    low, high = np.quantile(values, [0.025, 0.975])
    assert found["low"] == pytest.approx(low, abs=0.2 * (high - low))
    assert found["high"] == pytest.approx(high, abs=0.2 * (high - low))
    assert ("patients in both" in found["method"]) == within


def test_a_correlation_within_patients_is_taken_from_the_gap():
    """Both views of a patient show the same: their gap is known far better than from two independent groups."""
    size, generator = 400, np.random.default_rng(3)
    target = np.repeat((generator.random(size // 2) < 0.5).astype(np.int64), 2)
    score = np.clip(
        np.repeat(generator.normal(0.4 + 0.2 * target[::2], 0.2), 2) + generator.normal(0, 0.01, size), 0, 1
    )
    predictions = made(target, np.stack([1 - score, score], -1), {"view": ["front", "side"] * (size // 2)}, cases=2)
    paired = judged(predictions)["attributes"]["view"]["groups"]["front"]["gap"]
    alone = judged(replace(predictions, group=predictions.id))["attributes"]["view"]["groups"]["front"]["gap"]
    assert paired["high"] - paired["low"] < 0.35 * (alone["high"] - alone["low"])


def test_the_worst_group_has_a_wider_interval_that_holds_for_all():
    predictions = binary(4, 900)
    found = judged(predictions)["attributes"]["site"]
    estimates = {name: one["metrics"]["auroc"]["estimate"] for name, one in found["groups"].items()}
    worst = found["worst"]
    assert worst["group"] == min(estimates, key=lambda name: estimates[name])
    plain = found["groups"][worst["group"]]
    for ours, theirs in ((worst["metric"], plain["metrics"]["auroc"]), (worst["gap"], plain["gap"])):
        assert ours["estimate"] == theirs["estimate"]
        assert ours["low"] < theirs["low"] < theirs["high"] < ours["high"]
        assert ours["level"] == 0.95
    # Three groups that share no patient are independent.
    assert worst["metric"]["level_of_each"] == pytest.approx(0.95 ** (1 / 3), abs=0.002)
    assert 0.95 < worst["gap"]["level_of_each"] < worst["metric"]["level_of_each"]
    # Of two groups each is the rest of the other: there is one gap, and nothing to adjust for.
    two = judged(binary(4, 300, {"sex": ["f", "m"] * 150}))["attributes"]["sex"]["worst"]
    assert two["gap"]["level_of_each"] == 0.95


def test_the_highest_loss_is_the_worst():
    predictions = binary(5, 300)
    found = judged(predictions, primary="brier")["attributes"]["site"]
    losses = {name: one["metrics"]["brier"]["estimate"] for name, one in found["groups"].items()}
    assert found["worst"]["group"] == max(losses, key=lambda name: losses[name])


def test_influences_are_standard_errors():
    """In closed form and by leaving out one patient, they give the error of a bootstrap; in blocks, nearly the same."""
    predictions = binary(6, 600, cases=3)
    setting = Setting(
        predictions.target, intervals.patient_codes(predictions.group), None, "probability", predictions.classes, 1,
        0.5, 0.95, 50, 0,
    )  # fmt: skip
    values, rows = predictions.values[0], np.arange(600)
    generator = np.random.default_rng(0)
    weights = np.stack([np.bincount(generator.integers(0, 200, 200), minlength=200) for _ in range(600)])
    for name in ("auroc", "brier", "matthews"):
        drawn = group_gaps.point(name, values, setting)(weights[:, setting.patient].astype(float))
        error = float(np.linalg.norm(group_gaps.influence(name, values, setting, rows)))
        assert error == pytest.approx(drawn.std(), rel=0.1), name


def test_blocks_of_patients_show_the_same_error(monkeypatch):
    predictions = binary(7, 1200)
    setting = Setting(
        predictions.target, intervals.patient_codes(predictions.group), None, "probability", predictions.classes, 1,
        0.5, 0.95, 50, 0,
    )  # fmt: skip
    rows = np.arange(900)
    exact = {}
    monkeypatch.setattr(group_gaps, "JACKKNIFE_PATIENTS", 2000)
    for name in ("auroc", "brier"):
        exact[name] = np.linalg.norm(group_gaps.influence(name, predictions.values[0], setting, rows))
    monkeypatch.setattr(group_gaps, "JACKKNIFE_PATIENTS", 1000)
    monkeypatch.setattr(group_gaps, "UNITS", 300)
    for name in ("auroc", "brier"):
        found = group_gaps.influence(name, predictions.values[0], setting, rows)
        assert len(found) == {"auroc": 300, "brier": group_gaps.BLOCKS}[name]
        assert np.linalg.norm(found) == pytest.approx(exact[name], rel=0.15)


def test_values_that_are_alike_or_unknown_are_explained():
    site = np.random.default_rng(0).choice(["A", "B", ""], 200)
    predictions = binary(
        8, 200, {"site": site, "one": ["x"] * 200, "none": [""] * 200, "half": ["y"] * 100 + [" "] * 100}
    )
    found = judged(predictions)["attributes"]
    assert found["one"]["groups"]["x"]["gap"]["reason"] == "there is no other group"
    assert found["one"]["groups"]["x"]["metrics"]["auroc"]["low"] is not None
    assert found["one"]["worst"]["reason"] == "fewer than two groups can be judged"
    assert found["none"]["groups"] == {}
    assert found["none"]["unknown"] == {"cases": 200, "patients": 200}
    assert found["half"]["unknown"]["cases"] == 100
    assert found["site"]["unknown"]["cases"] == (site == "").sum()
    # The rest holds no case whose site is unknown.
    known = select(predictions, np.flatnonzero(site != ""))
    assert judged(known, attributes=("site",))["attributes"]["site"]["groups"] == found["site"]["groups"]


def test_two_hundred_values_are_counted_and_not_judged():
    predictions = binary(9, 600, {"scanner": [f"s{k % 200}" for k in range(600)]})
    found = judged(predictions)["attributes"]["scanner"]
    assert len(found["groups"]) == 200
    assert all("too_few" in one and "metrics" not in one for one in found["groups"].values())
    assert sum(one["cases"] for one in found["groups"].values()) == 600
    assert "reason" in found["worst"]


def test_the_order_of_the_cases_is_nothing():
    generator = np.random.default_rng(1)
    attributes = {"age": [f"{age:.0f}" for age in generator.normal(60, 12, 300)], "view": ["a", "b", "b"] * 100}
    predictions = binary(10, 300, attributes, cases=3)
    shuffled = select(predictions, generator.permutation(300))
    for primary in ("auroc", "brier"):
        first, second = (judged(one, primary=primary)["attributes"] for one in (predictions, shuffled))
        assert list(first["age"]["groups"]) == list(second["age"]["groups"])
        for name, one in first["age"]["groups"].items():
            other = second["age"]["groups"][name]
            assert one["gap"]["low"] == pytest.approx(other["gap"]["low"], abs=1e-9)
            assert one["metrics"]["auroc"]["low"] == pytest.approx(other["metrics"]["auroc"]["low"], abs=1e-9)
        assert first["view"]["worst"]["metric"]["high"] == pytest.approx(second["view"]["worst"]["metric"]["high"])


@pytest.mark.parametrize(
    ("kind", "primary"),
    [("probability", "auroc"), ("grade", "quadratic_weighted_kappa"), ("labels", "auroc"), ("value", "r2")],
)
def test_every_kind_of_prediction(kind, primary):
    generator = np.random.default_rng(11)
    z = generator.normal(size=(240, 3))
    if kind == "value":
        target, values = z[:, 0], (z[:, 0] + 0.5 * z[:, 1])[:, None]
    elif kind == "labels":
        values, target = expit(z), (generator.random((240, 3)) < expit(z)).astype(float)
        target[generator.random((240, 3)) < 0.1] = np.nan
        target[:, 2] = 0.0  # no case has it: not an event of any group
    else:
        values, target = np.exp(z) / np.exp(z).sum(-1, keepdims=True), (z + generator.gumbel(size=z.shape)).argmax(-1)
    site = ["A"] * 110 + ["B"] * 121 + ["C"] * 9
    found = judged(made(target, values, {"site": site}, kind), positive=None, primary=primary)["attributes"]["site"]
    assert "too_few" in found["groups"]["C"]
    if kind == "value":
        assert found["groups"]["C"]["too_few"] == "9 patients"
    one = found["groups"]["A"]
    assert one["metrics"][primary]["low"] < one["metrics"][primary]["estimate"] < one["metrics"][primary]["high"]
    assert one["gap"]["low"] < one["gap"]["estimate"] < one["gap"]["high"]
    assert found["worst"]["groups"] == 2
    events = {"value": 0, "labels": 2, "probability": 3, "grade": 3}[kind]
    assert len(one["events"]) == len(one["prevalence"]) == events


def test_numbers_are_cut_at_the_tertiles_of_patients_or_where_it_is_stated():
    # Ten patients of 1 to 10, the last with ninety cases: the tertiles are those of ten patients.
    age = np.concatenate([np.arange(1, 11), np.full(89, 10), [11]]).astype(str)
    patient = np.concatenate([np.arange(10), np.full(89, 9), [10]])
    found = attribute_groups(age, patient)
    assert (found.kind, found.edges_from) == ("numeric", "tertiles of these patients")
    assert found.edges == (5.0, 8.0)
    assert found.names == ("under 5", "5 to under 8", "8 and over")
    assert np.bincount(found.code).tolist() == [4, 3, 93]
    stated = attribute_groups(np.array(["3", "", "7.5", "5", "nan"]), np.arange(5), (5,))
    assert stated.code.tolist() == [0, -1, 1, 1, -1]
    assert (stated.names, stated.edges_from) == (("under 5", "5 and over"), "stated")
    grades = attribute_groups(np.array(["10", "2", "2", ""]), np.arange(4))
    assert (grades.kind, grades.names, grades.code.tolist()) == ("text", ("2", "10"), [1, 0, 0, -1])
    mixed = attribute_groups(np.array(["1", "two", " two "]), np.arange(3))
    assert mixed.names == ("1", "two")
    alike = attribute_groups(np.array([str(k) for k in [1] * 80 + list(range(2, 14))]), np.arange(92))
    assert (alike.kind, alike.names) == ("numeric", ("under 2", "2 and over"))
    assert np.bincount(alike.code).tolist() == [80, 12]
    with pytest.raises(InputError, match="'sex', but a value of it is no number"):
        attribute_groups(np.array(["f", "m"]), np.arange(2), (5,), "sex")
    for edges in ((5, 5), (6, 5), (), (float("nan"),)):
        with pytest.raises(InputError, match="must be increasing numbers"):
            attribute_groups(np.array(["3", "7"]), np.arange(2), edges, "age")


def test_what_is_asked_for_must_be_there():
    predictions = binary(12, 80)
    with pytest.raises(InputError, match="no attribute 'sight'; did you mean 'site'"):
        subgroups(predictions, positive=1, attributes=("sight",))
    with pytest.raises(InputError, match="primary metric 'r2' does not apply"):
        subgroups(predictions, positive=1, primary="r2")
    assert subgroups(predictions, positive=1, attributes=())["attributes"] == {}
    assert FEWEST == 10
