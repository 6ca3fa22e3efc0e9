"""How often the 95 % intervals of several labels, of grades and of quantiles hold the truth; see `coverage.py`.

    python benchmarks/coverage_labels.py [--repetitions 2000] [--resamples 200] [--seed 1000] [--only TEXT]

Labels of a case share a latent severity, and so do their scores; grades are cut from a normal latent value and predicted
with the probabilities that belong to a noisy reading of it. Each label or grade has at least 30 patients on average.
"""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from medjax.evidence.difference import difference_interval, variation
from medjax.evidence.difference import paired as paired_difference
from medjax.evidence.intervals import Interval
from medjax.evidence.measures import interval, point
from medjax.evidence.setting import GRADE, LABELS, QUANTILE, Setting

LEVELS = (0.05, 0.5, 0.95)


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


def labels(prevalences: tuple[float, ...], distance: float, unknown: float = 0.0, cases: int = 1) -> Callable:
    """Correlated labels with correlated scores; of `cases` cases a patient, all with the patient's severity."""

    def draw(generator: np.random.Generator, size: int) -> Sample:
        patients, count = size // cases, len(prevalences)
        patient = np.repeat(np.arange(patients), cases)
        severity = generator.normal(size=patients)[patient]
        latent = 0.6 * severity[:, None] + 0.8 * generator.normal(size=(len(patient), count))
        target = (latent > -ndtri(np.array(prevalences))).astype(np.float64)
        shared = generator.normal(size=patients)[patient][:, None]
        score = distance * target + 0.6 * shared + 0.8 * generator.normal(size=target.shape)
        values = expit(distance * (score - distance / 2) + logit(np.array(prevalences)))
        target[generator.random(target.shape) < unknown] = np.nan
        return values, target, patient, None

    return draw


def grades(shares: tuple[float, ...], noise: float, cases: int = 1) -> Callable:
    """Ordered grades of a latent normal value, and the probabilities given a reading of it with normal error."""
    cuts = ndtri(np.cumsum(shares)[:-1])

    def draw(generator: np.random.Generator, size: int) -> Sample:
        patients = size // cases
        patient = np.repeat(np.arange(patients), cases)
        latent = 0.8 * generator.normal(size=patients)[patient] + 0.6 * generator.normal(size=len(patient))
        reading = latent + noise * generator.normal(size=len(patient))
        shrink = 1 / (1 + noise**2)
        below = ndtr((cuts - shrink * reading[:, None]) / (noise * np.sqrt(shrink)))
        below = np.concatenate([np.zeros((len(below), 1)), below, np.ones((len(below), 1))], axis=-1)
        return np.diff(below, axis=-1), np.searchsorted(cuts, latent), patient, None

    return draw


def quantiles(sharp: float, cases: int = 1) -> Callable:
    """Values with normal residuals that patients share in part, and quantiles of a width that is `sharp` times right."""

    def draw(generator: np.random.Generator, size: int) -> Sample:
        patients = size // cases
        patient = np.repeat(np.arange(patients), cases)
        middle = generator.normal(size=len(patient))
        residual = 0.6 * generator.normal(size=patients)[patient] + 0.8 * generator.normal(size=len(patient))
        spread = np.exp(0.3 * generator.normal(size=len(patient)))
        ends = middle[:, None] + sharp * spread[:, None] * ndtri(np.array(LEVELS))
        return np.concatenate([middle[:, None], ends], axis=-1), middle + spread * residual, patient, None

    return draw


def _setting(sample: Sample, kind: str, resamples: int, seed: int) -> Setting:
    names = () if kind == "value" else tuple(str(k) for k in range(sample[0].shape[1]))
    levels = LEVELS if kind == "value" else ()
    return Setting(sample[1], sample[2], sample[3], kind, names, None, 0.5, 0.95, resamples, seed, levels)


def measures(kind: str, names: tuple[str, ...]) -> tuple[Callable, Callable]:
    """Intervals and truths of named metrics, as `evaluate` makes them."""

    def intervals(sample: Sample, resamples: int) -> dict[str, Interval]:
        setting = _setting(sample, kind, resamples, int(abs(sample[0][0, 0]) * 1e9))  # each draw its own resamples
        return {name: interval(name, sample[0], setting) for name in names}

    def truths(sample: Sample) -> dict[str, float]:
        setting = _setting(sample, kind, 0, 0)
        return {name: float(point(name, sample[0], setting)(None)) for name in names}

    return intervals, truths


def _worse(sample: Sample) -> np.ndarray:
    """A second predictor of the same cases, which is drawn with them: the columns after the first half."""
    return np.split(sample[0], 2, axis=-1)[1]


def _better(sample: Sample) -> Sample:
    return (np.split(sample[0], 2, axis=-1)[0], *sample[1:])


def paired(draw: Callable, kind: str) -> Callable:
    """Beside each prediction a blurred one of the same case."""

    def both(generator: np.random.Generator, size: int) -> Sample:
        values, target, patient, fold = draw(generator, size)
        if kind == "labels":
            other = expit(logit(np.clip(values, 1e-9, 1 - 1e-9)) + 1.5 * generator.normal(size=values.shape))
        else:
            noisy = np.log(values + 1e-9) + 0.8 * generator.normal(size=values.shape)
            other = np.exp(noisy) / np.exp(noisy).sum(-1, keepdims=True)
        return np.concatenate([values, other], axis=-1), target, patient, fold

    return both


def differences(kind: str, name: str) -> tuple[Callable, Callable]:
    """The paired difference of one metric, as `evaluate` makes it."""

    def intervals(sample: Sample, resamples: int) -> dict[str, Interval]:
        ours, theirs = _better(sample), _worse(sample)
        setting = replace(_setting(ours, kind, resamples, 0), seed=int(abs(sample[0][0, 0]) * 1e9))
        first, second = variation(name, ours[0][None], setting), variation(name, theirs[None], setting)
        found = difference_interval(paired_difference(first, second, setting), setting.level)
        return {f"{name} difference": found}

    def truths(sample: Sample) -> dict[str, float]:
        ours, theirs = _better(sample), _worse(sample)
        setting = _setting(ours, kind, 0, 0)
        both = [float(point(name, values, setting)(None)) for values in (ours[0], theirs)]
        return {f"{name} difference": both[0] - both[1]}

    return intervals, truths


def scenarios() -> list:
    """Everything that is simulated here."""
    many, ordered, ranges = measures("labels", LABELS), measures("grade", GRADE), measures("value", QUANTILE)
    rank, kappa = differences("labels", "auroc"), differences("grade", "quadratic_weighted_kappa")
    one = "1 case a patient"
    four, five = (0.25, 0.25, 0.25, 0.25), (0.45, 0.15, 0.15, 0.15, 0.10)
    return [
        Scenario(f"3 labels .5 .3 .25 of 120, {one}", labels((0.5, 0.3, 0.25), 1.5), 120, *many),
        Scenario(f"5 labels .15 of 250, 20 % unknown, {one}", labels((0.15,) * 5, 2.0, 0.2), 250, *many),
        Scenario(
            f"5 labels .3 of 150, {one}, nearly all right",
            labels((0.3,) * 5, 3.5),
            150,
            *measures("labels", ("auroc",)),
        ),
        Scenario(
            "3 labels .5 .3 .3 of 100 patients x 3, 10 % unknown", labels((0.5, 0.3, 0.3), 1.5, 0.1, 3), 300, *many
        ),
        Scenario(f"4 grades x 40, {one}", grades(four, 0.6), 160, *ordered),
        Scenario(f"5 grades, fewest 30 of 300, {one}", grades(five, 0.8), 300, *ordered),
        Scenario("4 grades of 120 patients x 3", grades(four, 0.6, 3), 360, *ordered),
        Scenario(f"quantiles of 60, {one}", quantiles(0.7), 60, *ranges),
        Scenario("quantiles of 60 patients x 4", quantiles(1.0, 4), 240, *ranges),
        Scenario(f"paired, 5 labels .15 of 250, {one}", paired(labels((0.15,) * 5, 2.0, 0.2), "labels"), 250, *rank),
        Scenario(
            "paired, 3 labels of 100 patients x 3", paired(labels((0.5, 0.3, 0.3), 1.5, 0.1, 3), "labels"), 300, *rank
        ),
        Scenario(f"paired, 4 grades x 40, {one}", paired(grades(four, 0.6), "grade"), 160, *kappa),
        Scenario("paired, 4 grades of 120 patients x 3", paired(grades(four, 0.6, 3), "grade"), 360, *kappa),
        Scenario(f"3 labels .1 of 100, {one}", labels((0.1,) * 3, 1.5), 100, *many, beyond=coverage.SMALL),
        Scenario(f"4 grades x 10, {one}", grades(four, 0.6), 40, *ordered, beyond=coverage.SMALL),
    ]


if __name__ == "__main__":
    coverage.run(__doc__, scenarios())
