"""How often the 95 % intervals of concordance and of metrics at a horizon hold the truth; see `coverage.py`.

    python benchmarks/coverage_survival.py [--repetitions 2000] [--seed 1000] [--only TEXT]

Times follow a Weibull model whose log hazard is a normal score; two predictors read the score with errors. Follow-up
ends at a uniform time, chosen so that a stated share has the event. "Misread" scores have nothing to do with the case
in one of twenty-five; "coarse" ones are rounded to whole numbers and times to tenths of the follow-up. Uno's index
counts events in the first .7 of the longest follow-up, the horizon is .4 of it. Metrics at the horizon have intervals
by the jackknife of patients, which estimates the censoring weights again without each patient.
"""

import importlib.util
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from scipy.optimize import brentq

from medjax.evidence import concordance
from medjax.evidence.intervals import Interval
from medjax.evidence.resampling import smooth
from medjax.metrics import concordance as indices
from medjax.metrics import horizon

SHAPE = 1.2  # of the Weibull law: hazards rise slowly
SCALES = {"auroc": "logit", "brier": "log", "prediction_accuracy": "log(1 - x)"}


def _simulation():
    """The machinery of coverage.py, which lies beside this file and is no package."""
    specification = importlib.util.spec_from_file_location("medjax_coverage", Path(__file__).with_name("coverage.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["medjax_coverage"] = module
    specification.loader.exec_module(module)
    return module


coverage = _simulation()
Sample, Scenario = coverage.Sample, coverage.Scenario


def censored(effect: float, events: float, *, cases: int = 1, folds: int = 0, kind: str = "") -> tuple[Callable, float]:
    """How to draw risks (cases, 2) and (time, event), (cases, 2), with this share of events; the longest follow-up."""

    def times(generator: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        patient = np.repeat(np.arange(size // cases), cases)
        score = generator.normal(size=len(patient))
        frailty = np.zeros(len(patient))
        if cases > 1:
            score = (score + 1.5 * generator.normal(size=size // cases)[patient]) / math.sqrt(3.25)
            frailty = 0.5 * generator.normal(size=size // cases)[patient]
        return (
            score,
            patient,
            (generator.exponential(size=len(patient)) * np.exp(frailty - effect * score)) ** (1 / SHAPE),
        )

    def follow_up(generator: np.random.Generator, size: int) -> np.ndarray:
        return 0.05 + 0.95 * generator.random(size)

    example = np.random.default_rng(0)
    until_event, share = times(example, 60_000)[2], follow_up(example, 60_000)
    found = brentq(lambda log: np.mean(until_event <= math.exp(log) * share) - events, -12, 12, xtol=1e-6)
    longest = math.exp(float(found))  # pyrefly: ignore

    def draw(generator: np.random.Generator, size: int) -> Sample:
        score, patient, time = times(generator, size)
        end = longest * follow_up(generator, len(score))
        risk = effect * (score[:, None] + generator.normal(size=(len(score), 2)) * np.array([0.3, 0.6]))
        if kind == "misread":
            risk = np.where(generator.random((len(score), 1)) < 0.04, generator.normal(size=risk.shape), risk)
        if kind == "coarse":
            risk, step = np.round(risk), longest / 10
            time, end = np.ceil(time / step) * step, np.ceil(end / step) * step
        fold = generator.integers(0, folds, len(score)) if folds else None
        if fold is not None:
            risk = risk + fold[:, None]  # models of different folds score on different scales
        return risk, np.stack([np.minimum(time, end), time <= end], axis=-1), patient, fold

    return draw, longest


def _at_horizon(sample: Sample, longest: float) -> dict[str, Callable]:
    """Metrics at the horizon as functions of case weights."""
    risk, (time, event), fold = sample[0][:, :1], sample[1].T, sample[3]
    at = np.array([0.4 * longest])
    survive = np.exp(-(at**SHAPE) * np.exp(risk))
    return {
        "auroc": lambda weights: horizon.auroc(risk, time, event, at, weights, fold=fold)[..., 0],
        "brier": lambda weights: horizon.brier(survive, time, event, at, weights)[..., 0],
        "prediction_accuracy": lambda weights: horizon.prediction_accuracy(survive, time, event, at, weights)[..., 0],
    }


def intervals(longest: float, sample: Sample, resamples: int) -> dict[str, Interval]:
    """Intervals of both indices, of the differences of two predictors, and of the metrics at the horizon."""
    risk, (time, event), patient, fold = sample[0], sample[1].T, sample[2], sample[3]
    found = {}
    for name, index in (
        ("harrell", concordance.harrell),
        ("uno", partial(concordance.uno, truncation=0.7 * longest)),
    ):
        ours, theirs = (index(one, time, event, patient, fold=fold) for one in risk.T)
        found[name] = concordance.interval(ours)
        found[f"{name} difference"] = concordance.difference(ours, theirs)[0]
    for name, metric in _at_horizon(sample, longest).items():
        if fold is None:
            found[f"{name} at horizon"] = smooth(metric, patient, scale=SCALES[name])
    return found


def truths(longest: float, sample: Sample) -> dict[str, float]:
    """The same metrics of a large sample."""
    (time, event), fold, found = sample[1].T, sample[3], {}
    for name, index in (("harrell", indices.harrell), ("uno", partial(indices.uno, truncation=0.7 * longest))):
        ours, theirs = (float(index(one, time, event, fold=fold)) for one in sample[0].T)
        found |= {name: ours, f"{name} difference": ours - theirs}
    if fold is None:
        found |= {f"{name} at horizon": float(one(None)) for name, one in _at_horizon(sample, longest).items()}
    return found


def scenarios() -> list:
    """Everything that is simulated here."""
    found = []
    for size, effect, events, kind, cases, folds in (
        (60, 1.2, 0.7, "", 1, 0),
        (120, 0.5, 0.5, "", 1, 0),
        (300, 1.2, 0.12, "", 1, 0),
        (120, 2.5, 0.5, "", 1, 0),
        (400, 2.5, 0.1, "", 1, 0),
        (120, 1.2, 0.5, "coarse", 1, 0),
        (120, 2.5, 0.5, "misread", 1, 0),
        (400, 2.5, 0.1, "misread", 1, 0),
        (240, 1.2, 0.5, "", 3, 0),
        (200, 1.2, 0.4, "", 1, 5),
        (40, 1.2, 0.3, "", 1, 0),
        (150, 1.2, 0.1, "", 1, 0),
        (150, 2.5, 0.1, "", 1, 0),
        (600, 2.5, 0.02, "misread", 1, 0),
    ):
        draw, longest = censored(effect, events, cases=cases, folds=folds, kind=kind)
        name = f"{size // cases} patients" + (f" x {cases}" if cases > 1 else "")
        name += f", {events * size:.0f} events, effect {effect}" + (f", {kind}" if kind else "")
        name += f", pairs within {folds} folds" if folds else ""
        beyond = "fewer than 30 events" if events * size < 30 else ""
        found.append(Scenario(name, draw, size, partial(intervals, longest), partial(truths, longest), beyond=beyond))
    return found


if __name__ == "__main__":
    coverage.run(__doc__, scenarios())
