"""How often a learning curve's intervals hold the truth at twice the patients, and how often it says "not estimable".

    python benchmarks/learning_curve.py [--repetitions 500] [--seed 1]

Three kinds of curve pass through the functions behind `medjax learning-curve`:
- "law": the errors follow a power law, with normal noise of judged patients (shared by all sizes) and of models;
- "flat": more patients change nothing;
- "classifier": a linear discriminant learns from nested subsets of one pool of patients, as the command does it, and is
  judged by AUROC on other patients. Its true curve, the mean of 1,000 pools, is no exact power law.
A row: the share of curves called estimable; of these the share whose 95 % interval holds the true metric at twice the
patients, and the true change that doubling brings; and of those that name a number of patients for the wanted gain, the
share whose range holds the true number (or whose open end does). The Monte Carlo error of .95 is .010 with 500 curves.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from medjax.evidence.learning_curve import judge, learning_curve
from medjax.evidence.predictions import Predictions

POOLS = 1000


@dataclass(frozen=True)
class Scenario:
    """How to draw a curve, and the true metric at a number of patients."""

    name: str
    draw: Callable[[np.random.Generator], dict]
    truth: Callable[[float], float]
    largest: int
    gain: float


def law(
    name: str, limit: float, scale: float, exponent: float, models: float, patients: float, *,
    seeds: int = 5, shares: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 1.0), shared: float = 0.9, gain: float = 0.01,
) -> Scenario:  # fmt: skip
    """Errors limit + scale * share^-exponent; standard deviations of models and of judged patients at the largest size."""
    relative = np.array(shares)
    sizes = np.round(relative * 400).astype(np.int64)
    error = limit + scale * relative**-exponent
    of_models = models * relative**-0.5
    of_patients = patients * np.sqrt(error / error[-1])
    covariance = np.where(np.eye(len(shares)) > 0, 1.0, shared) * np.outer(of_patients, of_patients)
    root = np.linalg.cholesky(covariance)

    def draw(generator: np.random.Generator) -> dict:
        common = root @ generator.normal(size=len(shares))
        values = 1 - error - common - generator.normal(size=(seeds, len(shares))) * of_models
        return learning_curve(sizes, values, covariance, cases=300, patients=300, gain=gain, resamples=500)

    return Scenario(name, draw, lambda factor: 1 - limit - scale * factor**-exponent, 400, gain)


def classifier(
    name: str, distance: float, columns: int, pool: int, judged: int, *,
    seeds: int = 5, shares: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 1.0), restless: float = 0.0, gain: float = 0.01,
) -> Scenario:  # fmt: skip
    """A linear discriminant of two normal classes, `distance` apart; `restless` is noise that a seed puts on its weights."""
    shift = np.full(columns, distance / math.sqrt(columns))

    def cases(generator: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        target = generator.random(count) < 0.4
        return generator.normal(size=(count, columns)) + target[:, None] * shift, target

    def learn(table: np.ndarray, target: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if len(np.unique(target)) < 2:
            return generator.normal(size=columns)
        means = np.stack([table[target == k].mean(0) for k in (False, True)])
        rest = table - means[target.astype(int)]
        weights = np.linalg.solve(rest.T @ rest / len(rest) + 0.3 * np.eye(columns), means[1] - means[0])
        return weights + restless * np.linalg.norm(weights) / math.sqrt(columns) * generator.normal(size=columns)

    def auroc(weights: np.ndarray) -> float:
        return float(ndtr(weights @ shift / (math.sqrt(2) * np.linalg.norm(weights))))

    known: dict[float, float] = {}

    def truth(factor: float) -> float:
        if factor not in known:
            generator = np.random.default_rng(7)
            every = [learn(*cases(generator, round(factor * pool)), generator) for _ in range(POOLS)]
            known[factor] = float(np.mean([auroc(weights) for weights in every]))
        return known[factor]

    sizes = np.array([round(share * pool) for share in shares])

    def draw(generator: np.random.Generator) -> dict:
        table, target = cases(generator, pool)
        new, answer = cases(generator, judged)
        scores = np.empty((len(sizes), seeds, judged))
        for seed in range(seeds):
            order = generator.permutation(pool)
            for k, size in enumerate(sizes):
                scores[k, seed] = new @ learn(table[order[:size]], target[order[:size]], generator)
        probability = 1 / (1 + np.exp(-scores))
        names, numbers = np.array([str(i) for i in range(judged)]), np.arange(seeds)
        every = [
            Predictions(
                names, names, answer.astype(np.int64), np.stack([1 - one, one], -1), numbers, numbers,
                np.full(judged, -1), "probability", ("no", "yes"),
            )
            for one in probability
        ]  # fmt: skip
        return judge(sizes, every, positive=1, gain=gain, resamples=500)

    return Scenario(name, draw, truth, pool, gain)


def scenarios() -> list[Scenario]:
    """Every row of the table."""
    six = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
    return [
        law("law .02 + .03 n^-.5", 0.02, 0.03, 0.5, 0.004, 0.006),
        law("law .02 + .03 n^-.5, 3 seeds", 0.02, 0.03, 0.5, 0.004, 0.006, seeds=3),
        law("law .02 + .03 n^-.5, 6 sizes", 0.02, 0.03, 0.5, 0.004, 0.006, shares=six),
        law("law .02 + .03 n^-.5, 4 sizes", 0.02, 0.03, 0.5, 0.004, 0.006, shares=six[2:]),
        law("law .00 + .05 n^-.5", 0.0, 0.05, 0.5, 0.004, 0.006),
        law("law .10 + .05 n^-.3", 0.1, 0.05, 0.3, 0.006, 0.01),
        law("law .10 + .02 n^-1", 0.1, 0.02, 1.0, 0.006, 0.01),
        law("law .10 + .05 n^-.5, noisy", 0.1, 0.05, 0.5, 0.015, 0.02),
        law("law .10 + .02 n^-.5, noisy", 0.1, 0.02, 0.5, 0.02, 0.02),
        law("law .10 + .10 n^-.15", 0.1, 0.1, 0.15, 0.006, 0.01),
        law("flat at .10", 0.1, 0.0, 0.5, 0.01, 0.01),
        law("flat at .10, noisy", 0.1, 0.0, 0.5, 0.03, 0.02),
        classifier("classifier, AUROC .86, 300 judged", 1.7, 30, 400, 300),
        classifier("classifier, AUROC .86, 1,000 judged", 1.7, 30, 400, 1000),
        classifier("classifier, restless, 300 judged", 1.7, 30, 400, 300, restless=0.3),
        classifier("classifier, AUROC .97, 300 judged", 2.8, 30, 400, 300),
        classifier("classifier, 8 seeds, 6 sizes", 1.7, 30, 800, 500, seeds=8, shares=six),
        classifier("classifier, nothing to learn", 0.0, 30, 400, 300),
    ]


def row(scenario: Scenario, repetitions: int, seed: int) -> str:
    """Simulate a scenario; a line of the table."""
    holds: dict[str, list[bool]] = {"value": [], "change": [], "needed": []}
    widths, reasons = [], {}
    started = time.perf_counter()
    now, then = scenario.truth(1.0), scenario.truth(2.0)
    factors = np.linspace(1.0, 2.0, 5)
    for repetition in range(repetitions):
        found = scenario.draw(np.random.default_rng([seed, repetition]))
        if not found["estimable"]:
            reason = found["reason"][:34]
            reasons[reason] = reasons.get(reason, 0) + 1
            continue
        value, change, needed = found["prediction"], found["gain_of_doubling"], found["needed"]
        holds["value"].append(value["low"] <= then <= value["high"])
        holds["change"].append(change["low"] <= then - now <= change["high"])
        widths.append(value["high"] - value["low"])
        if needed["more_patients"] is not None:
            gains = np.array([scenario.truth(factor) - now for factor in factors])
            true = float(np.interp(scenario.gain, gains, factors, right=math.inf) - 1) * scenario.largest
            high = math.inf if needed["high"] is None else needed["high"]
            holds["needed"].append(needed["low"] <= true <= high)
    counts = " ".join(f"{np.mean(one):.3f}" if one else "  -  " for one in holds.values())
    width = f"{np.median(widths):.3f}" if widths else "  -  "
    why = "; ".join(f"{text} {count}" for text, count in sorted(reasons.items(), key=lambda item: -item[1])[:3])
    share = len(holds["value"]) / repetitions
    seconds = time.perf_counter() - started
    return f"{scenario.name:<36} {share:.3f}  {counts} ({len(holds['needed'])}) width {width} {seconds:4.0f} s  {why}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Simulate learning curves.")
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    arguments = parser.parse_args()
    print(f"{'curve':<36} estimable, held: value change needed (named)")
    for scenario in scenarios():
        if arguments.only in scenario.name:
            print(row(scenario, arguments.repetitions, arguments.seed), flush=True)


if __name__ == "__main__":
    main()
