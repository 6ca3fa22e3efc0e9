"""How often 95 % intervals hold the truth, by size, prevalence, cases a patient and design: defaults and alternatives.

    OMP_NUM_THREADS=1 python benchmarks/evidence_coverage.py [--repetitions 2000] [--resamples 500] [--seed 2000]
        [--sizes 50 200 1000] [--processes 1] [--save FILE]

    (With glibc, MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TRIM_THRESHOLD_=2000000000 before it saves a third of the time, which
    otherwise goes into asking for memory and giving it back.)

It prints the Markdown tables of docs/evidence.md: one of the methods that `evaluate` uses, one of what else could have
been used, on the same draws. Every draw holds 50, 200 or 1,000 CASES, of prevalence .1 or .5, one or five a patient (of
one class; half of the variance of their features is the patient's).

Test set: a fixed, calibrated model whose AUROC is .86; the populations are those of `coverage.py`. Cross-validation: five
features of which three carry a signal (the best possible AUROC is .86); folds by patient, a ridge logistic regression
fitted to each four fifths of the draw, so that training sets vary as they do in life. The truth is computed, not drawn:
the features are normal, hence so are the scores of a model, and every metric follows by quadrature. "Conditional": what
the fold models of this draw would score on new patients, the folds weighted as they were; this is what the intervals
promise. "Marginal": the mean of that over draws, which they do not promise.

Coverage counts draws with an interval; those without (such as no positive case) are counted apart. The Monte Carlo error
of a coverage of .95 is .005 with 2,000 repetitions, of .85 .008.
"""

import argparse
import concurrent.futures
import functools
import importlib.util
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit, logit, ndtr

from medjax.evidence import auroc, bootstrap, calibration, exact, intervals, resampling
from medjax.evidence.intervals import Interval
from medjax.evidence.measures import point
from medjax.evidence.setting import BINARY, Setting
from medjax.metrics import classification


def _simulation():
    """The populations of coverage.py, which lies beside this file and is no package."""
    specification = importlib.util.spec_from_file_location("medjax_coverage", Path(__file__).with_name("coverage.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["medjax_coverage"] = module
    specification.loader.exec_module(module)
    return module


coverage = _simulation()
SIZES, PREVALENCES, CASES = (50, 200, 1000), (0.1, 0.5), (1, 5)
DISTANCE = 1.5  # AUROC .856
SIGNAL = DISTANCE * np.array([0.8, 0.5, 0.331662479, 0.0, 0.0])
SHARED, FOLDS, PENALTY = 0.5, 5, 1.0
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
SLOPE = "calibration slope"
DEFAULTS = (*BINARY, SLOPE)
RESAMPLED = ("auroc", "auprc", "positive_predictive_value", "accuracy", "f1", "brier", "log_loss")
WITH_BCA = ("auroc", "accuracy", "brier")
MOST_RESAMPLED = 200  # cases: with more, all methods come to the same
ON_EFFECTIVE = "Clopper-Pearson on the effective number"
Found = dict[tuple[str, str], Interval]  # (metric, method) -> interval


@dataclass(frozen=True)
class Cell:
    """One population and design."""

    size: int
    prevalence: float
    cases: int
    folded: bool

    @property
    def promised(self) -> bool:
        """At least 30 independent patients of each class are expected."""
        return min(self.prevalence, 1 - self.prevalence) * self.size / self.cases >= 30


# Cross-validation.


def fit(features: np.ndarray, target: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Ridge logistic regression by Newton's method, one for each row of 0/1 weights `among`; (models, features + 1)."""
    design = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    coefficients = np.zeros((len(among), design.shape[1]))
    penalty = PENALTY * np.diag([1e-2] + [1.0] * features.shape[1])  # hardly any on the intercept
    for _ in range(8):
        fitted = expit(coefficients @ design.T)
        gradient = (among * (target - fitted)) @ design - coefficients @ penalty
        information = (among * fitted * (1 - fitted))[:, None, :] * design.T @ design + penalty
        coefficients += np.clip(np.linalg.solve(information, gradient[..., None])[..., 0], -2, 2)
    return coefficients


def cross_validated(cell: Cell) -> Callable[[np.random.Generator], tuple[tuple, dict[str, float]]]:
    """Draws a sample (values, target, patient, fold), and the truths of its own fold models."""

    def draw(generator: np.random.Generator) -> tuple[tuple, dict[str, float]]:
        patients = cell.size // cell.cases
        patient = np.repeat(np.arange(patients), cell.cases)
        target = (generator.random(patients) < cell.prevalence).astype(np.int64)[patient]
        own = generator.normal(size=(cell.size, len(SIGNAL)))
        if cell.cases > 1:
            shared = generator.normal(size=(patients, len(SIGNAL)))[patient]
            own = math.sqrt(SHARED) * shared + math.sqrt(1 - SHARED) * own
        features = own + target[:, None] * SIGNAL
        fold = (generator.permutation(patients) % FOLDS)[patient]
        models = fit(features, target, (fold != np.arange(FOLDS)[:, None]).astype(np.float64))
        odds = models[fold, 0] + np.einsum("ci,ci->c", features, models[fold, 1:])
        positive = expit(odds)
        sample = np.stack([1 - positive, positive], -1), target, patient, fold
        return sample, truths(models, cell.prevalence, target, fold)

    return draw


def truths(models: np.ndarray, prevalence: float, target: np.ndarray, fold: np.ndarray) -> dict[str, float]:
    """Every metric of these fold models on new patients, the folds weighted by the cases (AUROC: pairs) they had."""
    spread = np.linalg.norm(models[:, 1:], axis=1)
    centre = np.stack([models[:, 0], models[:, 0] + models[:, 1:] @ SIGNAL])  # (class, fold)
    counts = np.stack([np.bincount(fold[target == k], minlength=FOLDS) for k in (0, 1)]).astype(np.float64)
    pairs = counts[0] * counts[1]
    share = counts.sum(0) / counts.sum()
    weight = np.array([1 - prevalence, prevalence])[:, None] * share  # of a new case: class and fold
    said = 1 - ndtr(-centre / spread)  # P(probability >= .5)
    # Sensitivity and specificity are means over the cases of a class, whose folds are those of the sample.
    with np.errstate(invalid="ignore"):
        hit, spared = (counts[1] / counts[1].sum()) @ said[1], (counts[0] / counts[0].sum()) @ (1 - said[0])
    table = np.array([[(weight[0] * (1 - said[0])).sum(), (weight[0] * said[0]).sum()]] * 2)
    table[1] = (weight[1] * (1 - said[1])).sum(), (weight[1] * said[1]).sum()
    odds = centre[..., None] + spread[:, None] * NODES  # (class, fold, node)
    mass = weight[..., None] * NODE_WEIGHTS
    truth = np.broadcast_to(np.array([0.0, 1.0])[:, None, None], odds.shape)
    wrong = np.where(truth == 1, 1 - expit(odds), expit(odds))
    above = 1 - ndtr((odds[1].ravel()[:, None, None] - centre) / spread)  # (node of a positive, class, fold)
    reached = (above * weight).sum(-1)
    average_precision = float((mass[1].ravel() * reached[:, 1] / np.maximum(reached.sum(-1), 1e-300)).sum())
    return {
        "auroc": float(pairs @ ndtr((centre[1] - centre[0]) / (math.sqrt(2) * spread)) / pairs.sum())
        if pairs.any()
        else math.nan,
        "auprc": average_precision / prevalence,
        "sensitivity": float(hit),
        "specificity": float(spared),
        "positive_predictive_value": float(classification.ratio(table[1, 1], table[:, 1].sum())),
        "negative_predictive_value": float(classification.ratio(table[0, 0], table[:, 0].sum())),
        "accuracy": float(np.trace(table)),
        "balanced_accuracy": float((hit + spared) / 2),
        "f1": float(2 * table[1, 1] / (table[1].sum() + table[:, 1].sum())),
        "matthews": float(classification.matrix_matthews(table)),
        "brier": float((mass * wrong**2).sum()),
        "log_loss": float(-(mass * np.log(np.maximum(1 - wrong, 1e-15))).sum()),
        SLOPE: recalibrated_slope(odds.ravel(), truth.ravel(), mass.ravel()),
    }


def recalibrated_slope(odds: np.ndarray, truth: np.ndarray, mass: np.ndarray) -> float:
    """The slope of a weighted logistic regression of the truth on the log odds."""
    design, coefficients = np.stack([np.ones(len(odds)), odds], -1), np.array([0.0, 1.0])
    for _ in range(30):
        fitted = expit(design @ coefficients)
        information = (design * (mass * fitted * (1 - fitted))[:, None]).T @ design
        try:
            step = np.linalg.solve(information, design.T @ (mass * (truth - fitted)))
        except np.linalg.LinAlgError:  # models that say the same of everybody have no slope
            return math.nan
        coefficients = coefficients + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return float(coefficients[1])


def fixed_model(cell: Cell) -> tuple[Callable, dict[str, float]]:
    """Draws from a test set of a fixed model, and its truths."""
    population = (
        coverage.binormal(cell.prevalence, DISTANCE)
        if cell.cases == 1
        else coverage.clustered(cell.prevalence, DISTANCE, cell.cases, SHARED, False)
    )
    model = [-(DISTANCE**2) / 2 + logit(cell.prevalence), *SIGNAL]  # the same scores, had they been made of features
    found = truths(np.tile(model, (FOLDS, 1)), cell.prevalence, np.arange(2 * FOLDS) % 2, np.arange(2 * FOLDS) // 2)
    return lambda generator: (population(generator, cell.size), found), found


# Methods.


def setting(sample: tuple) -> Setting:
    """As `evaluate` would make it; the seed of the resamples follows the draw."""
    seed = int(abs(float(sample[0][0, 1])) * 1e9)
    return Setting(sample[1], sample[2], sample[3], "probability", ("0", "1"), 1, 0.5, 0.95, 200, seed)


def defaults(sample: tuple) -> Found:
    """What `evaluate` prints."""
    chosen = setting(sample)
    found = {(name, "default"): coverage.interval(name, sample[0], chosen) for name in BINARY}
    return found | {
        (SLOPE, "default"): calibration.calibration_slope(sample[0][:, 1], sample[1], sample[2]),
    }


def _normal(estimate: float, error: float, scale: str) -> Interval:
    if not math.isfinite(estimate) or not math.isfinite(error) or error == 0:
        return intervals.undefined("no variation", 0.95, estimate)
    forward, derivative, back = intervals.SCALES[scale]
    half = intervals.normal_quantile(0.95) * error * float(derivative(estimate))
    ends = [float(back(forward(estimate) + side * half)) for side in (-1, 1)]
    return Interval(estimate, ends[0], ends[1], 0.95, "normal")


def delong(score: np.ndarray, target: np.ndarray, patient: np.ndarray, fold: np.ndarray | None, scale: str) -> Interval:
    """The textbook interval: DeLong's standard error, normal quantile."""
    estimate, influence = auroc.auroc_influence(score, target, fold)
    return _normal(estimate, math.sqrt(auroc.influence_variance(influence, target, patient)), scale)


def shares(said: np.ndarray, target: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Successes and denominators of three proportions."""
    right, everyone = said == target, np.ones(len(target), bool)
    return {
        "sensitivity": (right, target == 1),
        "positive_predictive_value": (right, said),
        "accuracy": (right, everyone),
    }


def alternatives(sample: tuple, resamples: int) -> Found:
    """What else could have been printed. Of cross-validation the AUROC alone; resampling up to 200 cases alone."""
    values, target, patient, fold = sample
    score, said, row = values[:, 1], values[:, 1] >= 0.5, np.arange(len(target))
    found: Found = {
        ("auroc", "DeLong, plain scale"): delong(score, target, patient, fold, "plain"),
        ("auroc", "DeLong, logit scale, normal quantile"): delong(score, target, patient, fold, "logit"),
    }
    clustered = int(patient.max()) + 1 < len(target)
    if clustered:
        found["auroc", "default, but by row"] = auroc.auroc(score, target, row, fold=fold)
    if fold is not None:
        return found | {("auroc", "default, but pairs across folds"): auroc.auroc(score, target, patient)}
    for name, (right, among) in shares(said, target).items():
        success, total = int(right[among].sum()), int(among.sum())
        if not total:
            none = intervals.undefined("no case in the denominator", 0.95)
            ways = ["default, but by row", ON_EFFECTIVE] if clustered else ["Clopper-Pearson", "mid-P", "Wald (normal)"]
            found |= {(name, way): none for way in ways}
            continue
        share = success / total
        if clustered:
            effective = intervals.effective_total(right[among], patient[among])
            found[name, "default, but by row"] = intervals.proportion(right[among], row[among])
            found[name, ON_EFFECTIVE] = _counted(share * effective, effective, False)
        else:
            found[name, "Clopper-Pearson"] = _counted(success, total, False)
            found[name, "mid-P"] = _counted(success, total, True)
            found[name, "Wald (normal)"] = _normal(share, math.sqrt(share * (1 - share) / total), "plain")
    if clustered:
        for name in ("brier", "log_loss"):
            per_case = getattr(classification, f"{name}_values")(score, target)
            found[name, "default, but by row"] = resampling.skewed_mean(per_case, row)
    return found | resampled(sample, resamples) if len(target) <= MOST_RESAMPLED else found


@functools.lru_cache(100_000)
def _counted(success: float, total: float, mid: bool) -> Interval:
    """The exact interval of counts, which repeat from draw to draw."""
    return Interval(success / total, *(exact.mid_p if mid else exact.clopper_pearson)(success, total), 0.95, "")


def resampled(sample: tuple, resamples: int) -> Found:
    """Percentile and BCa intervals of patients, all metrics on the same resamples; and stratified by outcome."""
    values, target, patient, _ = sample
    chosen = setting(sample)
    metrics = {name: point(name, values, chosen) for name in RESAMPLED}
    metrics["auroc"] = bootstrap.ranked_auroc(values[:, 1], target)
    found: Found = {}
    if int(patient.max()) < 1:
        return found
    drawn = defaultdict(list)
    for weights in resampling.case_weights(patient, resamples, chosen.seed):
        for name, metric in metrics.items():
            drawn[name].append(metric(weights))
    for name, metric in metrics.items():
        both = float(metric(None)), np.concatenate(drawn[name])
        found[name, "percentile bootstrap"] = bootstrap.percentile_interval(*both)
        if name in WITH_BCA:
            found[name, "BCa bootstrap"] = bootstrap.bca_interval(*both, bootstrap.leave_out(metric, patient))
    name = "positive_predictive_value"
    found[name, "percentile bootstrap, stratified by outcome"] = bootstrap.percentile(
        metrics[name], patient, resamples=resamples, seed=chosen.seed + 1, stratum=target
    )
    return found


# Counting.


def run_cell(task: tuple[Cell, int, int, int]) -> tuple[Cell, dict, float]:
    """Every method in one population: (metric, method) -> coverage, misses, width, share undefined, marginal coverage."""
    cell, repetitions, resamples, seed = task
    started, generator = time.perf_counter(), np.random.default_rng(seed)
    draw = cross_validated(cell) if cell.folded else fixed_model(cell)[0]
    rows: dict[tuple[str, str], list] = defaultdict(list)
    for _ in range(repetitions):
        sample, truth = draw(generator)
        for (name, method), one in (defaults(sample) | alternatives(sample, resamples)).items():
            rows[name, method].append((one.low, one.high, truth[name]))
    result = {}
    for key, found in rows.items():
        low, high, truth = np.array(found).T
        marginal = float(np.nanmean(truth))
        usable = np.isfinite(low) & np.isfinite(high) & np.isfinite(truth)
        result[key] = {
            "truth": marginal,
            "truth_spread": float(np.nanstd(truth)),
            "usable": int(usable.sum()),
            "undefined": 1 - usable.sum() / repetitions,
        }
        if usable.any():
            low, high, truth = low[usable], high[usable], truth[usable]
            result[key] |= {
                "coverage": float(np.mean((low <= truth + 1e-12) & (truth <= high + 1e-12))),
                "marginal": float(np.mean((low <= marginal + 1e-12) & (marginal <= high + 1e-12))),
                "width": float(np.mean(high - low)),
            }
    return cell, result, time.perf_counter() - started


def cells() -> Iterator[Cell]:
    """The grid."""
    for folded in (False, True):
        for cases in CASES:
            for prevalence in PREVALENCES:
                for size in SIZES:
                    yield Cell(size, prevalence, cases, folded)


# Printing.


def _cell_text(row: dict | None, key: str = "coverage") -> str:
    """Coverage, in bold outside .93 to .97 by more than the Monte Carlo error; a star: undefined in more than 5 %."""
    if row is None:
        return ""
    if key not in row or row["usable"] < 200:
        return "-"
    value = row[key]
    error = 2 * math.sqrt(max(value * (1 - value), 1e-9) / row["usable"])
    text = f"{value:.3f}".lstrip("0")
    text = f"**{text}**" if value + error < 0.93 or value - error > 0.97 else text
    return text + ("*" if row["undefined"] > 0.05 else "")


def _columns(found: list[Cell]) -> list[str]:
    head = [f"{cell.size:,}, {cell.prevalence:g}{'' if cell.promised else ' (few)'}" for cell in found]
    return ["| | " + " | ".join(head) + " |", "|---|" + "---|" * len(head)]


def _markdown(title: str, found: dict[Cell, dict], methods: list[tuple[str, str]], key: str = "coverage") -> None:
    print(f"\n{title}\n")
    print("\n".join(_columns(list(found))))
    for name, method in methods:
        rows = [_cell_text(result.get((name, method)), key) for result in found.values()]
        if any(rows):
            text = name.replace("_", " ") if method == "default" else f"{name.replace('_', ' ')}: {method}"
            print(f"| {text} | " + " | ".join(rows) + " |", flush=True)


def report(results: dict[Cell, dict]) -> None:
    """The tables, and which rows of the defaults lie outside .93 to .97 where that is promised."""
    outside, total = [], 0
    for folded in (False, True):
        for cases in CASES:
            found = {cell: rows for cell, rows in results.items() if cell.folded == folded and cell.cases == cases}
            keys = list(dict.fromkeys(key for rows in found.values() for key in rows))
            design = "cross-validation" if folded else "test set"
            many = "one case a patient" if cases == 1 else f"{cases} cases a patient"
            own = [(name, "default") for name in DEFAULTS]
            others = sorted((key for key in keys if key[1] != "default"), key=lambda key: DEFAULTS.index(key[0]))
            _markdown(f"### Defaults, {design}, {many}", found, own)
            if folded:
                _markdown(f"### Defaults, {design}, {many}: marginal truth (not promised)", found, own, "marginal")
            _markdown(f"### Alternatives, {design}, {many}", found, others)
            for cell, rows in found.items():
                for name in DEFAULTS:
                    if not cell.promised or "coverage" not in rows[name, "default"]:
                        continue
                    total += 1
                    row = rows[name, "default"]
                    if not 0.93 <= row["coverage"] <= 0.97:
                        outside.append(
                            f"- {name}, {design}, {cell.size:,} cases, {many}, prevalence {cell.prevalence:g}: "
                            f"{row['coverage']:.3f}, truth {row['truth']:.3f}"
                        )
    print(f"\nDefaults where 30 patients a class are expected: {total} rows, {len(outside)} outside .93 to .97")
    print("\n".join(outside))


def _saved(path: Path | None, asked: dict) -> dict[Cell, dict]:
    """What an earlier run of the same command left in the file."""
    if path is None or not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {
        Cell(**line["cell"]): {(name, method): row for name, method, row in line["rows"]}
        for line in lines
        if line["asked"] == asked
    }


def main() -> None:
    """Read the command line, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=500, help="of the bootstrap among the alternatives")
    parser.add_argument("--seed", type=int, default=2000, help="population k draws with seed + k")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="cases, some of 50, 200 and 1000")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--save", type=Path, help="keep finished populations in this file, and go on from there")
    arguments = parser.parse_args()
    started = time.perf_counter()
    asked = {"repetitions": arguments.repetitions, "resamples": arguments.resamples, "seed": arguments.seed}
    results = _saved(arguments.save, asked)
    tasks = [
        (cell, arguments.repetitions, arguments.resamples, arguments.seed + k)
        for k, cell in enumerate(cells())
        if cell not in results and cell.size in arguments.sizes
    ]
    tasks.sort(key=lambda task: task[0].size)
    with concurrent.futures.ProcessPoolExecutor(arguments.processes) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run_cell, task) for task in tasks]):
            cell, rows, seconds = done.result()
            results[cell] = rows
            print(f"{cell}: {seconds:.0f} s", file=sys.stderr, flush=True)
            if arguments.save:
                named = [[*key, row] for key, row in rows.items()]
                with open(arguments.save, "a", encoding="utf-8") as file:
                    file.write(json.dumps({"asked": asked, "cell": asdict(cell), "rows": named}) + "\n")
    print(f"{arguments.repetitions} repetitions, {arguments.resamples} resamples; nominal .95")
    report({cell: results[cell] for cell in cells() if cell in results})
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
