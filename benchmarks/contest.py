"""How often a comparison of three predictors claims what is not so: simulation through what `contest` itself calls.

    python benchmarks/contest.py [--repetitions 2000] [--seed 0] [--only TEXT]

Three entries see the same cases, so that their scores are correlated. "equal": all three are exchangeable, and any pair
called better or worse is an error. "one better": the first is, so that only the pair of the other two can be one: there
Holm's smaller interval is at work. "at the margin": two pairs lose exactly the margin, and calling one of them non-inferior
is an error. Methods: five seeds an entry, whose own skills vary, judged as "methods". Printed are the share of
repetitions with at least one such error, its Monte Carlo error, and the share of single pairs with an unadjusted p-value
below .05. Promised is at most .05 within two Monte Carlo errors, for all pairs together.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr, softmax

from medjax.evidence.difference import Difference, between_methods, paired, variation
from medjax.evidence.measures import point
from medjax.evidence.pairs import judged_pairs
from medjax.evidence.setting import Setting

PAIRS = [(0, 1), (0, 2), (1, 2)]
WITHIN = (
    "non-inferior",
    "worse within the margin",
    "equivalent",
    "better",
)  # claims that the loss is within the margin
Draw = Callable[[np.random.Generator], tuple[list[np.ndarray], Setting]]


@dataclass(frozen=True)
class Scenario:
    """Three entries of (members, cases, outputs), the metric, and which pairs may be called what without an error."""

    name: str
    draw: Draw
    primary: str = "auroc"
    methods: bool = False
    null: tuple[int, ...] = (0, 1, 2)  # pairs without a difference
    margin: float | None = None  # that the pairs not in `null` lose exactly


def _setting(target: np.ndarray, patient: np.ndarray, kind: str, classes: int, threshold: float = 0.5) -> Setting:
    names = tuple(f"class {k}" for k in range(classes))
    positive = 1 if kind == "probability" and classes == 2 else None
    return Setting(target, patient, None, kind, names, positive, threshold, 0.95, 200, 0)


def two_classes(
    patients: int, prevalence: float, cases: int = 1, seeds: int = 1, skill: tuple[float, float, float] = (1.8, 1.8, 1.8),
    own: float = 0.7, between_seeds: float = 0.0,
) -> Draw:  # fmt: skip
    """Scores: skill x class + what all entries share of a case and of its patient + what is an entry's own of both.

    `between_seeds` is the standard deviation of a seed's skill. Class sizes are fixed where there is one case a patient.
    """

    def draw(generator: np.random.Generator) -> tuple[list[np.ndarray], Setting]:
        patient = np.repeat(np.arange(patients), cases)
        size = len(patient)
        if cases == 1:
            target = (np.arange(size) < round(size * prevalence)).astype(np.int64)
        else:
            leaning = generator.beta(2 * prevalence, 2 * (1 - prevalence), patients)
            target = (generator.random(size) < leaning[patient]).astype(np.int64)
            target[:2] = 0, 1

        def noise(rows: int) -> np.ndarray:
            alone = generator.normal(size=(rows, size))
            return (
                alone if cases == 1 else math.sqrt(0.5) * (alone + generator.normal(size=(rows, patients))[:, patient])
            )

        shared, entries = noise(1), []
        for mean in skill:
            each = mean + between_seeds * generator.normal(size=(seeds, 1))
            score = each * (target - 0.5) + math.sqrt(1 - own**2) * shared + own * noise(1)
            score = score + 0.3 * noise(seeds) if seeds > 1 else score
            positive = expit(mean * score + math.log(prevalence / (1 - prevalence)))
            entries.append(np.stack([1 - positive, positive], axis=-1))
        return entries, _setting(target, patient, "probability", 2)

    return draw


def several_classes(sizes: tuple[int, ...], kind: str = "probability") -> Draw:
    """Three exchangeable entries on classes of these sizes."""

    def draw(generator: np.random.Generator) -> tuple[list[np.ndarray], Setting]:
        target = np.repeat(np.arange(len(sizes)), sizes)
        shape = (len(target), len(sizes))
        shared = 1.4 * np.eye(len(sizes))[target] + 0.7 * generator.normal(size=shape)
        entries = [softmax(shared + 0.7 * generator.normal(size=shape), axis=-1)[None] for _ in range(3)]
        return entries, _setting(target, np.arange(len(target)), kind, len(sizes))

    return draw


def several_labels(patients: int, cases: int = 1) -> Draw:
    """Three exchangeable entries on four labels of prevalence .2."""

    def draw(generator: np.random.Generator) -> tuple[list[np.ndarray], Setting]:
        patient = np.repeat(np.arange(patients), cases)
        target = (
            generator.normal(size=(len(patient), 4)) + generator.normal(size=(patients, 1))[patient] > 1.2
        ).astype(float)
        shared = 1.5 * target - 1 + 0.7 * generator.normal(size=target.shape)
        entries = [expit(shared + 0.7 * generator.normal(size=target.shape))[None] for _ in range(3)]
        return entries, _setting(target, patient, "labels", 4)

    return draw


def numbers(patients: int, cases: int = 1) -> Draw:
    """Three exchangeable entries of a value with heavy-tailed errors."""

    def draw(generator: np.random.Generator) -> tuple[list[np.ndarray], Setting]:
        patient = np.repeat(np.arange(patients), cases)
        target = generator.normal(size=len(patient))
        shared = target + 0.5 * generator.normal(size=patients)[patient]
        entries = [(shared + 0.4 * generator.standard_t(5, len(patient)))[None, :, None] for _ in range(3)]
        return entries, _setting(target, patient, "value", 0)

    return draw


def scenarios() -> list[Scenario]:
    """One and five cases a patient, few and many, every kind of predictions."""
    found = []
    for patients, prevalence in ((50, 0.5), (50, 0.1), (200, 0.5), (200, 0.1), (1000, 0.1)):
        found.append(
            Scenario(f"AUROC, equal, {patients} cases, prevalence {prevalence}", two_classes(patients, prevalence))
        )
    for patients, prevalence in ((40, 0.5), (40, 0.2), (200, 0.2)):
        found.append(
            Scenario(
                f"AUROC, equal, {patients} patients x 5, prevalence {prevalence}", two_classes(patients, prevalence, 5)
            )
        )
    good = two_classes(200, 0.3, skill=(3.5, 3.5, 3.5))
    found.append(Scenario("AUROC .99, equal, 200 cases, prevalence 0.3", good))
    close = two_classes(200, 0.3, own=0.15)
    found.append(Scenario("AUROC, equal, nearly the same scores, 200 cases", close))
    for cases, patients in ((1, 200), (5, 60)):
        draw = two_classes(patients, 0.4, cases, skill=(3.0, 1.5, 1.5))
        found.append(Scenario(f"AUROC, one better, {patients} patients x {cases}", draw, null=(2,)))
    # AUROC of skill d is ndtr(d / sqrt 2): the second and the third lose exactly the margin.
    low = 1.5
    margin = float(ndtr(2.0 / math.sqrt(2)) - ndtr(low / math.sqrt(2)))
    for patients in (200, 1000):
        draw = two_classes(patients, 0.5, skill=(low, low, 2.0))
        found.append(Scenario(f"AUROC, at the margin, {patients} cases", draw, null=(0,), margin=margin))
    for cases, patients in ((1, 200), (5, 60)):
        draw = two_classes(patients, 0.4, cases, seeds=5, between_seeds=0.15)
        found.append(Scenario(f"AUROC of methods, equal, {patients} patients x {cases}, 5 seeds", draw, methods=True))
        found.append(
            Scenario(f"Brier of methods, equal, {patients} patients x {cases}, 5 seeds", draw, "brier", methods=True)
        )
    few = two_classes(200, 0.4, seeds=2, between_seeds=0.15)
    found.append(Scenario("AUROC of methods, equal, 200 patients x 1, 2 seeds", few, methods=True))
    for primary in ("brier", "accuracy", "sensitivity", "auprc", "f1"):
        found.append(Scenario(f"{primary}, equal, 200 cases, prevalence 0.3", two_classes(200, 0.3), primary))
        found.append(Scenario(f"{primary}, equal, 60 patients x 5, prevalence 0.3", two_classes(60, 0.3, 5), primary))
    found.append(
        Scenario("accuracy, equal, few decisions differ, 100 cases", two_classes(100, 0.4, own=0.1), "accuracy")
    )
    for sizes in ((40, 40, 40), (10, 60, 130)):
        found.append(Scenario(f"macro AUROC, equal, classes of {sizes}", several_classes(sizes)))
        found.append(
            Scenario(f"balanced accuracy, equal, classes of {sizes}", several_classes(sizes), "balanced_accuracy")
        )
    found.append(
        Scenario("weighted kappa, equal, grades of (60, 40, 20)", several_classes((60, 40, 20), "grade"), "quadratic_weighted_kappa")
    )  # fmt: skip
    for cases, patients in ((1, 150), (5, 60)):
        found.append(
            Scenario(f"AUROC of labels, equal, {patients} patients x {cases}", several_labels(patients, cases))
        )
        found.append(
            Scenario(f"F1 of labels, equal, {patients} patients x {cases}", several_labels(patients, cases), "f1")
        )
        found.append(
            Scenario(
                f"absolute error, equal, {patients} patients x {cases}", numbers(patients, cases), "mean_absolute_error"
            )
        )
    return found


def compared(scenario: Scenario, entries: list[np.ndarray], setting: Setting) -> list[dict]:
    """The three pairs as `contest` judges them."""
    primary = scenario.primary
    if not scenario.methods:
        sides = [variation(primary, one.mean(0)[None], setting) for one in entries]
        found = {pair: paired(sides[pair[0]], sides[pair[1]], setting) for pair in PAIRS}
    else:
        sides = [variation(primary, one, setting) for one in entries]
        single = [np.array([float(point(primary, one, setting)(None)) for one in values]) for values in entries]
        found = {(a, b): between_methods(paired(sides[a], sides[b], setting), single[a], single[b]) for a, b in PAIRS}
    named: dict[tuple[str, str], tuple[Difference, str]] = {
        (str(a), str(b)): (one, "") for (a, b), one in found.items()
    }
    return judged_pairs(named, setting, primary=primary, margin=scenario.margin, level=0.95)


def simulate(scenario: Scenario, repetitions: int, seed: int) -> dict[str, float]:
    """Share of repetitions with a false claim, its Monte Carlo error, and single pairs with p below .05."""
    generator = np.random.Generator(np.random.Philox(key=seed))
    wrong, small, undefined = 0, [], 0
    for _ in range(repetitions):
        pairs = compared(scenario, *scenario.draw(generator))
        null = [pairs[k] for k in scenario.null]
        false = any(pair["adjusted"]["low"] is not None and pair["outcome"] in ("better", "worse") for pair in null)
        if scenario.margin is not None:
            losing = [pair for k, pair in enumerate(pairs) if k not in scenario.null]
            false = any(one["outcome"] in WITHIN for one in losing)
        wrong += false
        small += [pair["p_value"] < 0.05 for pair in null if pair["p_value"] is not None]
        undefined += sum(pair["p_value"] is None for pair in null)
    share = wrong / repetitions
    error = math.sqrt(max(share * (1 - share), 0.05 * 0.95) / repetitions)
    return {"errors": share, "error": error, "single": float(np.mean(small)), "undefined": undefined / repetitions}


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="scenario k draws with seed + k")
    parser.add_argument("--only", default="", help="scenarios whose name contains this text")
    arguments = parser.parse_args()
    above = []
    print(f"{arguments.repetitions} repetitions; nominal .05 for the three pairs together, and for a single one")
    for number, scenario in enumerate(scenarios()):
        if arguments.only not in scenario.name:
            continue
        before = time.perf_counter()
        row = simulate(scenario, arguments.repetitions, arguments.seed + number)
        seconds = time.perf_counter() - before
        mark = "above" if row["errors"] > 0.05 + 2 * row["error"] else ""
        missing = f"  not estimable {row['undefined']:.3f}" if row["undefined"] else ""
        print(
            f"  {scenario.name:<62} {row['errors']:.4f} +- {row['error']:.4f}  single {row['single']:.4f}"
            f"  {mark}{missing}  [{seconds:.0f} s]",
            flush=True,
        )
        above += [scenario.name] if mark else []
    print(f"above .05 by more than two Monte Carlo errors: {', '.join(above) or 'none'}")


if __name__ == "__main__":
    main()
