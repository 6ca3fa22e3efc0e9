"""How often the 95 % intervals hold the truth: simulation through the same functions that `evaluate` calls.

    python benchmarks/coverage.py [--repetitions 2000] [--resamples 200] [--seed 1000]

Every row states the classes' expected sizes, cases a patient and folds. Truths are those of 200,000 cases. The Monte
Carlo error of a coverage of .95 is .0049 with 2,000 repetitions, .0024 with the 8,000 of the rows that are cheap or lie
near a limit. "low" and "high" mark coverage outside .93 to .97; the last lines list these rows, with the share of the
draws in which the interval carried a warning. Three kinds of population lie beyond the promise of .93 to .97 and are
counted apart: fewer than 30 patients a class; models so good that two wrong answers are expected (a count that small makes
the coverage of any interval jump); and populations made to break an interval (a mean of squares without a variance, or 30
positives of which most samples hold too few of the rare, badly misjudged ones that make the AUROC). AUROC's "heavy
positives" have 1.7 times the spread of the negatives, "skewed" ones a long tail towards them (minus a lognormal of sigma
.8), and of "mixed" ones a tenth score as the negatives do.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr, ndtri

from medjax.evidence import auroc, calibration, decision
from medjax.evidence.intervals import Interval
from medjax.evidence.measures import interval, point, warnings
from medjax.evidence.setting import BINARY, MULTI_CLASS, REGRESSION, Setting
from medjax.metrics import classification

LARGE = 200_000
SMALL, HOSTILE, FLAWLESS = "below 30 a class", "made to break the interval", "two wrong answers expected"
Sample = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]  # values, target, patient, fold


@dataclass(frozen=True)
class Scenario:
    """A population: how to draw from it, and which intervals are tried on a draw."""

    name: str
    draw: Callable[[np.random.Generator, int], Sample]
    size: int
    intervals: Callable[[Sample, int], dict[str, Interval]]
    truths: Callable[[Sample], dict[str, float]]
    times: int = 1  # as many repetitions as asked for
    beyond: str = ""  # why nothing is promised here; the true coverage is printed all the same


def simulate(scenario: Scenario, repetitions: int, seed: int, resamples: int) -> dict[str, dict[str, float]]:
    """Coverage, misses on either side (truth below, truth above the interval), and mean width of each interval."""
    generator = np.random.default_rng(seed)
    truths = scenario.truths(scenario.draw(generator, LARGE))
    found: dict[str, list[tuple[float, float, bool]]] = {name: [] for name in truths}
    for _ in range(repetitions * scenario.times):
        for name, one in scenario.intervals(scenario.draw(generator, scenario.size), resamples).items():
            found[name].append((one.low, one.high, bool(one.warning)))
    result = {}
    for name, ends in found.items():
        low, high, warned = np.array(ends, np.float64).T
        usable = np.isfinite(low) & np.isfinite(high)
        slack = 1e-12
        below, above = truths[name] < low[usable] - slack, truths[name] > high[usable] + slack
        covered = 1 - float(np.mean(below | above))
        result[name] = {
            "truth": truths[name],
            "coverage": covered,
            "error": math.sqrt(max(covered * (1 - covered), 1e-9) / max(usable.sum(), 1)),
            "truth_below": float(below.mean()),
            "truth_above": float(above.mean()),
            "width": float(np.mean(high[usable] - low[usable])),
            "undefined": float(1 - usable.mean()),
            "warned": float(warned.mean()),
        }
    return result


# Populations.


def _probabilities(score: np.ndarray, distance: float, prevalence: float, confidence: float) -> np.ndarray:
    positive = expit(confidence * (distance * score - distance**2 / 2 + logit(prevalence)))
    return np.stack([1 - positive, positive], axis=-1)


def binormal(prevalence: float, distance: float, confidence: float = 1.0, spread: float = 1.0) -> Callable:
    """One case a patient; scores N(0, 1) and N(distance, spread); confidence 1 with spread 1 is calibrated."""

    def draw(generator: np.random.Generator, size: int) -> Sample:
        target = (generator.random(size) < prevalence).astype(np.int64)
        score = generator.normal(size=size) * np.where(target, spread, 1.0) + distance * target
        return _probabilities(score, distance, prevalence, confidence), target, np.arange(size), None

    return draw


# What the scores of positives vary by, and the share of positives that score as negatives do.
NORMAL, HEAVY, MIXED = (lambda z: z, 0.0), (lambda z: 1.7 * z, 0.0), (lambda z: z, 0.1)
SKEWED = (lambda z: -np.exp(0.8 * z), 0.0)


def fixed_sizes(positives: int, negatives: int, area: float, shape: tuple = NORMAL, cases: int = 1) -> Callable:
    """Fixed numbers of patients a class for AUROC alone; the large draw keeps their ratio. Half of a patient is shared."""
    vary, lost = shape
    grid = ndtri((np.arange(10_000) + 0.5) / 10_000)
    distance = brentq(lambda d: (1 - lost) * ndtr(d + vary(grid)).mean() + lost / 2 - area, -10, 50)

    def draw(generator: np.random.Generator, size: int) -> Sample:
        patients = size // cases
        ones = round(patients * positives / (positives + negatives))
        patient = np.repeat(np.arange(patients), cases)
        noise = generator.normal(size=size)
        if cases > 1:
            noise = math.sqrt(0.5) * (noise + generator.normal(size=patients)[patient])
        target = (patient < ones).astype(np.int64)
        seen = (target == 1) & (generator.random(size) >= lost)
        score = np.where(seen, distance + vary(noise), noise)
        return _probabilities(score, 1.0, 0.5, 1.0), target, patient, None

    return draw


def clustered(prevalence: float, distance: float, cases: int, shared: float, mixed: bool) -> Callable:
    """Several cases a patient, whose scores share a patient effect; the class is the patient's, or the case's (mixed)."""

    def draw(generator: np.random.Generator, size: int) -> Sample:
        patients = size // cases
        patient = np.repeat(np.arange(patients), cases)
        if mixed:
            leaning = generator.beta(2 * prevalence, 2 * (1 - prevalence), patients)[patient]
            target = (generator.random(len(patient)) < leaning).astype(np.int64)
        else:
            target = (generator.random(patients) < prevalence).astype(np.int64)[patient]
        noise = math.sqrt(shared) * generator.normal(size=patients)[patient]
        score = noise + math.sqrt(1 - shared) * generator.normal(size=len(patient)) + distance * target
        return _probabilities(score, distance, prevalence, 1.0), target, patient, None

    return draw


def folded(prevalence: float, folds: int = 5) -> Callable:
    """Five fixed fold models, whose scores are shifted and scaled against each other and which differ in skill."""
    shifts, skills = np.linspace(-1.5, 1.5, folds)[[2, 0, 4, 1, 3]], np.linspace(1.2, 1.8, folds)

    def draw(generator: np.random.Generator, size: int) -> Sample:
        target = (generator.random(size) < prevalence).astype(np.int64)
        fold = generator.integers(0, folds, size)
        score = generator.normal(size=size) + skills[fold] * target + shifts[fold]
        return _probabilities(score, 1.5, prevalence, 1.0), target, np.arange(size), fold

    return draw


def several(classes: int, distance: float, cases: int = 1) -> Callable:
    """Equally frequent classes at the corners of a simplex; patients hold `cases` cases of one class."""

    def draw(generator: np.random.Generator, size: int) -> Sample:
        patients = size // cases
        patient = np.repeat(np.arange(patients), cases)
        target = generator.integers(0, classes, patients)[patient]
        noise = generator.normal(size=(patients, classes))[patient] * (0.6 if cases > 1 else 0.0)
        noise = noise + generator.normal(size=(len(patient), classes)) * (0.8 if cases > 1 else 1.0)
        odds = distance * (noise + distance * np.eye(classes)[target])
        values = np.exp(odds - odds.max(-1, keepdims=True))
        return values / values.sum(-1, keepdims=True), target, patient, None

    return draw


def linear(correlation: float, freedom: float, cases: int = 1) -> Callable:
    """Values and predictions; residuals normal (freedom infinite) or Student's t, shared in part by a patient's cases."""

    def draw(generator: np.random.Generator, size: int) -> Sample:
        patients = size // cases
        patient = np.repeat(np.arange(patients), cases)
        if math.isinf(freedom):
            residual = generator.normal(size=len(patient))
        else:
            residual = generator.standard_t(freedom, len(patient)) / math.sqrt(freedom / (freedom - 2))
        if cases > 1:
            residual = 0.7 * residual + math.sqrt(0.51) * generator.normal(size=patients)[patient]
        prediction = correlation * generator.normal(size=len(patient))
        value = prediction + math.sqrt(1 - correlation**2) * residual
        return prediction[:, None], value, patient, None

    return draw


# What is tried.


def _setting(sample: Sample, kind: str, classes: int, resamples: int, seed: int) -> Setting:
    positive = 1 if kind == "probability" and classes == 2 else None
    names = tuple(str(k) for k in range(classes))
    return Setting(sample[1], sample[2], sample[3], kind, names, positive, 0.5, 0.95, resamples, seed)


def measures(kind: str, classes: int, names: tuple[str, ...]) -> tuple[Callable, Callable]:
    """Intervals and truths of named metrics, as `evaluate` makes them."""

    def intervals(sample: Sample, resamples: int) -> dict[str, Interval]:
        seed = int(abs(sample[0][0, 0]) * 1e9)  # each draw its own resamples
        setting = _setting(sample, kind, classes, resamples, seed)
        found = {name: interval(name, sample[0], setting) for name in names}
        return {name: replace(one, warning=warnings(name, one, setting)) for name, one in found.items()}

    def truths(sample: Sample) -> dict[str, float]:
        setting = _setting(sample, kind, classes, 0, 0)
        return {name: float(point(name, sample[0], setting)(None)) for name in names}

    return intervals, truths


def _calibration(sample: Sample, resamples: int) -> dict[str, Interval]:
    arguments = sample[0][:, 1], sample[1], sample[2]
    return {
        "calibration intercept": calibration.calibration_intercept(*arguments),
        "calibration slope": calibration.calibration_slope(*arguments),
    }


def _predictive(sample: Sample, resamples: int) -> dict[str, Interval]:
    ppv, npv = decision.predictive_values(sample[0][:, 1] >= 0.5, sample[1], sample[2], 0.1)
    benefit = decision.net_benefit_intervals(sample[0][:, 1], sample[1], sample[2], 0.3)
    return {"PPV at prevalence .10": ppv, "NPV at prevalence .10": npv, "net benefit at .30": benefit["model"]}


def _predictive_truths(sample: Sample) -> dict[str, float]:
    said, target = sample[0][:, 1] >= 0.5, sample[1]
    hit = float(classification.sensitivity(said, target))
    spared = float(classification.specificity(said, target))
    values = decision.net_benefit(sample[0][:, 1], target, 0.3)
    return {
        "PPV at prevalence .10": 0.1 * hit / (0.1 * hit + 0.9 * (1 - spared)),
        "NPV at prevalence .10": 0.9 * spared / (0.9 * spared + 0.1 * (1 - hit)),
        "net benefit at .30": float(values[:, 0].mean()),
    }


def paired(prevalence: float, distances: tuple[float, float], correlation: float, cases: int = 1) -> Callable:
    """Two correlated predictors on the same cases: values hold both scores."""

    def draw(generator: np.random.Generator, size: int) -> Sample:
        patients = size // cases
        patient = np.repeat(np.arange(patients), cases)
        target = (generator.random(patients) < prevalence).astype(np.int64)[patient]
        shared = generator.normal(size=patients)[patient]
        own = generator.normal(size=(len(patient), 2))
        score = math.sqrt(correlation) * shared[:, None] + math.sqrt(1 - correlation) * own
        return score + np.array(distances) * target[:, None], target, patient, None

    return draw


def _difference(sample: Sample, resamples: int) -> dict[str, Interval]:
    return {"AUROC difference": auroc.auroc_difference(sample[0][:, 0], sample[0][:, 1], sample[1], sample[2])[0]}


def _difference_truth(sample: Sample) -> dict[str, float]:
    ours, theirs = (float(classification.auroc(sample[0][:, k], sample[1])) for k in (0, 1))
    return {"AUROC difference": ours - theirs}


def scenarios() -> list[Scenario]:
    """Everything that is simulated."""
    binary = measures("probability", 2, BINARY)
    rank = measures("probability", 2, ("auroc",))
    ranks = measures("probability", 2, ("auroc", "auprc"))
    multi, values = measures("probability", 3, MULTI_CLASS), measures("value", 0, REGRESSION)
    squares = measures("value", 0, ("mean_squared_error",))
    one = "1 case a patient"
    found = [
        Scenario(f"40 + 40, {one}, calibrated", binormal(0.5, 1.5), 80, *binary),
        Scenario(f"40 + 40, {one}, strong", binormal(0.5, 2.5), 80, *binary, times=4),
        Scenario(f"45 + 255, {one}, overconfident", binormal(0.15, 2.0, 2.0), 300, *binary),
        Scenario("80 patients x 5, class by patient", clustered(0.5, 1.5, 5, 0.5, False), 400, *binary),
        Scenario("60 patients x 5, classes mixed", clustered(0.4, 1.5, 5, 0.5, True), 300, *binary),
        Scenario(f"50 + 50, {one}, 5 folds", folded(0.5), 100, *rank, times=4),
        Scenario(f"40 + 160, {one}, 5 folds", folded(0.2), 200, *rank),
        Scenario(f"3 classes x 40, {one}", several(3, 1.4), 120, *multi),
        Scenario("3 classes x 40 patients x 3", several(3, 1.4, 3), 360, *multi),
        Scenario(f"40 + 40, {one}, nearly all right", binormal(0.5, 3.0), 80, *binary, times=4),
        Scenario(f"100 + 100, {one}, nearly all right", binormal(0.5, 3.5), 200, *binary),
        Scenario(f"45 + 255, {one}, nearly all right", binormal(0.15, 3.5), 300, *binary),
        Scenario(
            "80 patients x 5, class by patient, nearly all right", clustered(0.5, 3.5, 5, 0.5, False), 400, *binary
        ),
        Scenario(f"3 classes x 40, {one}, nearly all right", several(3, 2.7), 120, *multi),
        Scenario(
            f"6 classes x 40, {one}, nearly all right", several(6, 3.0), 240, *measures("probability", 6, MULTI_CLASS)
        ),
        Scenario(f"60, {one}, normal residuals", linear(0.8, math.inf), 60, *values, times=4),
        Scenario(f"200, {one}, t(8) residuals", linear(0.9, 8), 200, *values),
        Scenario("60 patients x 4, normal residuals", linear(0.8, math.inf, 4), 240, *values),
        Scenario(f"60, {one}, heavy t(5) residuals", linear(0.8, 5), 60, *values, times=4),
        Scenario(f"60, {one}, heavy t(3.5) residuals", linear(0.8, 3.5), 60, *squares, beyond=HOSTILE),
        Scenario(f"40 + 40, {one}", paired(0.5, (1.5, 1.2), 0.5), 80, _difference, _difference_truth),
        Scenario(f"40 + 260, {one}", paired(0.13, (2.4, 2.2), 0.7), 300, _difference, _difference_truth),
        Scenario("80 patients x 4", paired(0.5, (1.5, 1.2), 0.5, 4), 320, _difference, _difference_truth),
    ]
    for prevalence, size, confidence in ((0.5, 80, 1.0), (0.5, 80, 1.8), (0.15, 300, 0.7)):
        draw = binormal(prevalence, 1.5, confidence)
        name = f"{prevalence * size:.0f} + {(1 - prevalence) * size:.0f}, {one}, confidence x {confidence}"
        found.append(Scenario(name, draw, size, _calibration, _fitted, times=4))
    found.append(Scenario(f"40 + 40, {one}", binormal(0.5, 1.5), 80, _predictive, _predictive_truths))
    found.append(
        Scenario("60 patients x 5, classes mixed", clustered(0.4, 1.5, 5, 0.5, True), 300, _calibration, _fitted)
    )
    for positives, negatives in ((30, 30), (30, 90), (30, 300), (100, 400)):
        for area in (0.75, 0.9, 0.95, 0.98, 0.99, 0.999):
            both, size = area == 0.95, positives + negatives
            name, draw = f"{positives} + {negatives}, {one}, AUROC {area}", fixed_sizes(positives, negatives, area)
            times = 4 if size <= 120 else 1
            found.append(Scenario(name, draw, size, *(ranks if both else rank), times=times))
    for positives, negatives, area, shape, kind in (
        (30, 90, 0.95, HEAVY, "heavy positives"),
        (30, 300, 0.95, HEAVY, "heavy positives"),
        (100, 400, 0.95, HEAVY, "heavy positives"),
        (30, 90, 0.98, HEAVY, "heavy positives"),
        (200, 200, 0.98, HEAVY, "heavy positives"),
        (30, 30, 0.9, MIXED, "mixed positives"),
        (30, 90, 0.9, MIXED, "mixed positives"),
        (30, 90, 0.95, SKEWED, "skewed positives"),
        (30, 90, 0.98, SKEWED, "skewed positives"),
        (200, 200, 0.98, SKEWED, "skewed positives"),
    ):
        draw = fixed_sizes(positives, negatives, area, shape)
        name = f"{positives} + {negatives}, {one}, AUROC {area}, {kind}"
        hostile = positives == 30 and shape is SKEWED
        times, beyond = (4 if positives < 100 else 1), (HOSTILE if hostile else "")
        found.append(Scenario(name, draw, positives + negatives, *rank, times=times, beyond=beyond))
    for positives, negatives, shape, kind in ((30, 90, NORMAL, ""), (60, 60, NORMAL, ""), (30, 90, HEAVY, ", heavy")):
        draw = fixed_sizes(positives, negatives, 0.95, shape, 5)
        name = f"{positives} + {negatives} patients x 5, AUROC 0.95{kind}"
        found.append(Scenario(name, draw, 5 * (positives + negatives), *rank))
    found.append(Scenario(f"40 + 40, {one}, flawless", binormal(0.5, 4.0), 80, *binary, beyond=FLAWLESS))
    found.append(Scenario(f"3 classes x 40, {one}, flawless", several(3, 3.3), 120, *multi, beyond=FLAWLESS))
    ten = binormal(0.5, 1.5)
    found.append(Scenario(f"10 + 10, {one}", ten, 20, *binary, beyond=SMALL))
    found.append(Scenario(f"5 + 45, {one}, AUROC 0.9", fixed_sizes(5, 45, 0.9), 50, *rank, beyond=SMALL))
    found.append(Scenario(f"3 classes x 10, {one}", several(3, 1.4), 30, *multi, beyond=SMALL))
    found.append(Scenario(f"20, {one}, normal residuals", linear(0.8, math.inf), 20, *values, beyond=SMALL))
    return found


def _fitted(sample: Sample) -> dict[str, float]:
    return {name: one.estimate for name, one in _calibration(sample, 0).items()}


def mark(row: dict[str, float]) -> str:
    """Outside .93 to .97?"""
    return "low" if row["coverage"] < 0.93 else "high" if row["coverage"] > 0.97 else ""


def run(description: str | None, scenarios: list[Scenario]) -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1000, help="scenario k draws with seed + k")
    parser.add_argument("--only", default="", help="scenarios whose name contains this text")
    arguments = parser.parse_args()
    started = time.perf_counter()
    outside: dict[bool, list[str]] = {False: [], True: []}  # by whether the population lies beyond the promise
    rows_printed = {False: 0, True: 0}
    print(f"{arguments.repetitions} repetitions or 4 times as many, {arguments.resamples} resamples; nominal .95")
    for number, scenario in enumerate(scenarios):
        if arguments.only not in scenario.name:
            continue
        before = time.perf_counter()
        rows = simulate(scenario, arguments.repetitions, arguments.seed + number, arguments.resamples)
        beyond = f" ({scenario.beyond})" if scenario.beyond else ""
        print(f"\n{scenario.name}{beyond}  [{time.perf_counter() - before:.0f} s]")
        for name, row in rows.items():
            empty = f"  undefined {row['undefined']:.3f}" if row["undefined"] else ""
            print(
                f"  {name:<34} truth {row['truth']:6.3f}  coverage {row['coverage']:.3f} +- {row['error']:.3f}"
                f"  misses {row['truth_below']:.3f} | {row['truth_above']:.3f}  width {row['width']:.3f}"
                f"  {mark(row)}{empty}",
                flush=True,
            )
            rows_printed[bool(beyond)] += 1
            if mark(row):
                outside[bool(beyond)].append(
                    f"  {scenario.name}: {name} {row['coverage']:.3f} +- {row['error']:.3f}, "
                    f"warning in {row['warned']:.0%} of the draws"
                )
    for beyond, title in ((False, "where .93 to .97 is promised"), (True, "beyond the promise")):
        print(f"\n{rows_printed[beyond]} rows {title}; outside .93 to .97: {len(outside[beyond])}")
        print(*outside[beyond], sep="\n")
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    run(__doc__, scenarios())
