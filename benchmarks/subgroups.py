"""How often simultaneous intervals hold: the decision curve's band, and the worst subgroup's.

    python benchmarks/subgroups.py [--repetitions 2000] [--seed 2000] [--scenarios 0 3]

The population: one covariate x ~ N(0, 1), risk expit(a + b x), a model that knows x and is a little too sure (log odds
times 1.2), so that all truths are integrals over x. With five cases a patient, half of the variance of x and of what else
decides the outcome belongs to the patient. Monte Carlo error of a coverage of .95: .0049 with 2,000 repetitions.
"""

import argparse
import math
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.special import expit, ndtr

from medjax.evidence import decision_curve
from medjax.evidence.group_gaps import compare_groups
from medjax.evidence.setting import Setting

GRID = np.linspace(-9, 9, 200_001)
DENSITY = np.exp(-(GRID**2) / 2) / np.exp(-(GRID**2) / 2).sum()
SURER = 1.2


def draw(
    generator: np.random.Generator, patients: int, cases: int, intercept: float, slope: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability, target and patient of cases; what a patient's cases share has half of the variance."""
    patient = np.repeat(np.arange(patients), cases)
    x, luck = (_shared(generator, patient, cases) for _ in range(2))
    target = ndtr(luck) < expit(intercept + slope * x)
    return expit(SURER * (intercept + slope * x)), target.astype(np.int64), patient


def true_differences(intercept: float, slope: float, thresholds: np.ndarray) -> np.ndarray:
    """Net benefit of the model minus the better of treating all and none, exactly."""
    risk = expit(intercept + slope * GRID)
    said, odds = expit(SURER * (intercept + slope * GRID)) >= thresholds[:, None], thresholds / (1 - thresholds)
    hits, alarms = (said * risk) @ DENSITY, (said * (1 - risk)) @ DENSITY
    prevalence = float(risk @ DENSITY)
    return hits - alarms * odds - np.maximum((prevalence - thresholds) / (1 - thresholds), 0.0)


def decision_band(patients: int, cases: int, intercept: float, slope: float, repetitions: int, seed: int) -> str:
    """Coverage of the band at all thresholds together, and of pointwise intervals on average."""
    generator, thresholds = np.random.default_rng(seed), decision_curve.declared_range()
    truth = true_differences(intercept, slope, thresholds)
    band, low, high, point, wrong = 0, 0, 0, np.zeros(len(thresholds)), 0
    for number in range(repetitions):
        found = decision_curve.decision_curve(
            *draw(generator, patients, cases, intercept, slope), thresholds=thresholds, resamples=4000, seed=number
        )["difference"]
        below = np.any(np.array(found["band_low"]) > truth + 1e-12)
        above = np.any(np.array(found["band_high"]) < truth - 1e-12)
        band, low, high = band + (not (below or above)), low + below, high + above
        point += (np.array(found["low"]) <= truth + 1e-12) & (np.array(found["high"]) >= truth - 1e-12)
        wrong += bool(np.any((np.array(found["band_low"]) > 0) & (truth <= 0)))
    prevalence = float(expit(intercept + slope * GRID) @ DENSITY)
    return (
        f"decision band, {patients} patients x {cases}, prevalence {prevalence:.2f}: together {band / repetitions:.3f} "
        f"(too high {low / repetitions:.3f}, too low {high / repetitions:.3f}), pointwise mean "
        f"{point.mean() / repetitions:.3f}, lowest {point.min() / repetitions:.3f} at {thresholds[point.argmin()]:g}; "
        f"falsely useful {wrong / repetitions:.3f}"
    )


SHARES = np.array([0.4, 0.3, 0.2, 0.1])
SLOPES = np.array([1.6, 1.6, 1.6, 1.0])  # the smallest group is also the one that the model serves worst


def true_aurocs(intercept: float) -> tuple[np.ndarray, np.ndarray]:
    """AUROC of each group and of its rest, exactly."""
    risk = expit(intercept + SLOPES[:, None] * GRID)
    positive, negative = DENSITY * risk, DENSITY * (1 - risk)

    def area(weights: np.ndarray) -> float:
        ours, theirs = weights @ positive, weights @ negative
        below = np.cumsum(theirs) - theirs / 2
        return float(ours @ below / (ours.sum() * theirs.sum()))

    own = np.array([area(np.eye(len(SHARES))[k]) for k in range(len(SHARES))])
    return own, own - np.array([area(SHARES * (np.arange(len(SHARES)) != k)) for k in range(len(SHARES))])


def worst_group(patients: int, cases: int, within: bool, intercept: float, repetitions: int, seed: int) -> str:
    """Coverage for all groups together, and for the group that looks worst; groups of patients, or within patients."""
    generator, (truth, true_gap) = np.random.default_rng(seed), true_aurocs(intercept)
    joint, joint_gap, worst, worst_gap, single, least = 0, 0, 0, 0, [], []
    for number in range(repetitions):
        patient = np.repeat(np.arange(patients), cases)
        code = generator.choice(len(SHARES), len(patient) if within else patients, p=SHARES)
        code = code if within else code[patient]
        x, luck = (_shared(generator, patient, cases) for _ in range(2))
        target = (ndtr(luck) < expit(intercept + SLOPES[code] * x)).astype(np.int64)
        score = expit(x)
        setting = Setting(target, patient, None, "probability", ("no", "yes"), 1, 0.5, 0.95, 100, number)
        groups = {str(k): np.flatnonzero(code == k) for k in range(len(SHARES))}
        rests: dict[str, np.ndarray | str] = {str(k): np.flatnonzero(code != k) for k in range(len(SHARES))}
        least.append(min(min(target[rows].sum(), (1 - target[rows]).sum()) for rows in groups.values()))
        found = compare_groups("auroc", np.stack([1 - score, score], -1), setting, groups, rests)
        held = _holds(found.joint_metric, truth)
        held_gap = _holds(found.joint_gap, true_gap)
        looks = int(min(groups, key=lambda name: found.joint_metric[name].estimate))
        joint, worst = joint + held.all(), worst + held[looks]
        joint_gap, worst_gap = joint_gap + held_gap.all(), worst_gap + held_gap[looks]
        single.append(_holds(found.gap, true_gap))
    return (
        f"groups {'within' if within else 'of'} {patients} patients x {cases}, fewest of a class in a group "
        f"{np.mean(least):.0f}: AUROC of all groups together {joint / repetitions:.3f}, of the worst-looking "
        f"{worst / repetitions:.3f}; gap together {joint_gap / repetitions:.3f}, of the worst-looking "
        f"{worst_gap / repetitions:.3f}; single gaps {' '.join(f'{one:.3f}' for one in np.mean(single, 0))}"
    )


def _shared(generator: np.random.Generator, patient: np.ndarray, cases: int) -> np.ndarray:
    own = generator.normal(size=len(patient))
    return own if cases == 1 else (own + generator.normal(size=patient[-1] + 1)[patient]) / math.sqrt(2)


def _holds(found: dict, truth: np.ndarray) -> np.ndarray:
    return np.array([one.low <= true <= one.high for one, true in zip(found.values(), truth, strict=True)])


def main() -> None:
    """Print one line a scenario."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2000)
    parser.add_argument("--scenarios", type=int, nargs="*", help="which lines, from 0; all without it")
    chosen = parser.parse_args()
    lines: list[Callable[[int, int], str]] = [
        partial(decision_band, patients, cases, intercept, 1.2)
        for patients, cases in ((200, 1), (1000, 1), (200, 5), (1000, 5))
        for intercept in (-2.6, -1.5, 0.0)
    ]
    groups = ((400, 1, False), (2000, 1, False), (200, 5, False), (200, 5, True), (800, 5, True))
    lines += [partial(worst_group, patients, cases, within, -0.5) for patients, cases, within in groups]
    began = time.time()
    for number, simulate in enumerate(lines):
        if chosen.scenarios is None or number in chosen.scenarios:
            print(number, simulate(chosen.repetitions, chosen.seed + number), flush=True)
    print(f"{chosen.repetitions} repetitions each, {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
