"""Do conformal sets cover as they promise, and what do recalibration and conformal sets do between two data sets?

    python benchmarks/conformal.py [--repetitions 400] [--patients 4000] [--seed 0]
    python benchmarks/conformal.py --runs FOLDER [--repetitions 200]
    python benchmarks/conformal.py --intervals [--repetitions 2000]

Without --runs: one sample of patients for each row, divided into calibration and evaluation patients again and again, at
random; coverage is the mean over the divisions, +- its Monte Carlo error, of what was promised: the mean over patients of
the share of their cases whose set holds the truth. "pooled" ignores patients, for comparison. "uneven" patients have 1 to 9
cases, and those with many are easy.
With --runs: the predictions of a finished run (predictions/validation.csv and test.csv). Everything is fitted on validation
cases and reported on test cases; then validation and test cases are divided at random for themselves, where the promise
holds, which tells a change of population from a mistake.
With --intervals: how often the intervals of the numbers around it (index of prediction accuracy, coverage, size of sets, area
under risk against coverage, epistemic part) hold the truth, and the CORP band the curve of a calibrated model.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np

from medjax.evidence import calibration, comparison, conformal, recalibration, selective, uncertainty
from medjax.evidence.intervals import Interval, patient_codes, patient_sums
from medjax.evidence.prediction_files import read_csv
from medjax.evidence.predictions import ensemble
from medjax.metrics.classification import log_loss_values, weighted_mean

Fitting = tuple[np.ndarray, np.ndarray, np.ndarray]  # values, target, patient of the cases that are fitted on


def sample(
    generator: np.random.Generator, patients: int, classes: int, each: int, uneven: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, classes and patients; half of the noise, and most of the diagnosis, belong to the patient."""
    counts = generator.integers(1, 2 * each, patients) if uneven else np.full(patients, each)
    patient = np.repeat(np.arange(patients), counts)
    other = generator.integers(0, classes, len(patient))
    target = np.where(generator.random(len(patient)) < 0.8, generator.integers(0, classes, patients)[patient], other)
    signal = (0.5 + counts / each)[patient] if uneven else np.full(len(patient), 1.5)
    logits = signal[:, None] * np.eye(classes)[target] + generator.normal(0, 1, (patients, classes))[patient]
    logits = 1.5 * (logits + generator.normal(0, 1, (len(patient), classes)))
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True), target, patient


def _by_patient(inside: np.ndarray, patient: np.ndarray) -> float:
    """Mean over patients of the share of their cases that are covered."""
    codes = patient_codes(patient)
    return float(np.mean(patient_sums(inside.astype(np.float64), codes) / np.bincount(codes)))


def resplits(
    classes: int,
    each: int,
    alpha: float,
    conditional: bool,
    repetitions: int,
    patients: int,
    uneven: bool = False,
    seed: int = 0,
) -> dict:
    """Coverage over re-splits by patient of one sample: what was promised (of each class where conditional), and more."""
    generator = np.random.default_rng(seed)
    return divided(*sample(generator, patients, classes, each, uneven), alpha, conditional, repetitions, generator)


def divided(
    values: np.ndarray,
    target: np.ndarray,
    patient: np.ndarray,
    alpha: float,
    conditional: bool,
    repetitions: int,
    generator: np.random.Generator,
) -> dict:
    """Fit on a random half of the patients and look at the other half, `repetitions` times."""
    promised, cases, pooled, sizes = [], [], [], []
    for _ in range(repetitions):
        half = generator.permutation(int(patient.max()) + 1) < (int(patient.max()) + 1) // 2
        fitting = half[patient]
        judged = ~fitting
        found = conformal.fit(values[fitting], target[fitting], patient[fitting], alpha, class_conditional=conditional)
        held = conformal.sets(found, values[judged])
        inside = held[np.arange(len(held)), target[judged]]
        groups = [target[judged] == k for k in range(values.shape[1])] if conditional else [np.ones(len(held), bool)]
        promised.append([_by_patient(inside[own], patient[judged][own]) for own in groups])
        cases.append(inside.mean())
        sizes.append(held.sum(-1).mean())
        if len(patient) == int(patient.max()) + 1:
            pooled.append(_by_patient(inside, patient[judged]))
            continue
        alone = np.arange(int(fitting.sum()))
        naive = conformal.fit(values[fitting], target[fitting], alone, alpha, class_conditional=conditional)
        inside = conformal.sets(naive, values[judged])[np.arange(len(held)), target[judged]]
        pooled.append(_by_patient(inside, patient[judged]))
    return {
        "promised": np.mean(promised, axis=0).tolist(),
        "error": (np.std(promised, axis=0, ddof=1) / math.sqrt(repetitions)).max(),
        "spread": np.std(promised, axis=0, ddof=1).max(),
        "cases": float(np.mean(cases)),
        "pooled": float(np.mean(pooled)),
        "size": float(np.mean(sizes)),
    }


def value_resplits(each: int, alpha: float, quantiles: bool, repetitions: int, patients: int, seed: int = 0) -> dict:
    """The same for intervals of a value whose noise grows, and whose quantiles are too narrow by a third."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), each)
    x = generator.random(len(patient))
    noise = generator.normal(0, 0.7, patients)[patient] + generator.normal(0, 0.7, len(patient))
    target, width = 3 * x + (0.2 + x) * noise, 1.28 * (0.2 + x) * 2 / 3
    values = np.stack([3 * x, 3 * x - width, 3 * x + width], axis=-1)
    promised, widths = [], []
    for _ in range(repetitions):
        fitting = (generator.permutation(patients) < patients // 2)[patient]
        used = values if quantiles else values[:, :1]
        levels = (0.1, 0.9) if quantiles else ()
        found = conformal.fit_bounds(used[fitting], target[fitting], patient[fitting], alpha, quantiles=levels)
        low, high = conformal.bounds(found, used[~fitting]).T
        inside = (low <= target[~fitting]) & (target[~fitting] <= high)
        promised.append(_by_patient(inside, patient[~fitting]))
        widths.append(np.mean(high - low))
    error = float(np.std(promised, ddof=1)) / math.sqrt(repetitions)
    return {"promised": float(np.mean(promised)), "error": error, "width": float(np.mean(widths))}


def simulations(repetitions: int, patients: int, seed: int) -> None:
    """Print coverage for every kind of sample."""
    print(f"{repetitions} re-splits of {patients} patients, half of them for calibration")
    worst = 0.0
    for alpha in (0.1, 0.05):
        for classes in (2, 6):
            for each, uneven in ((1, False), (5, False), (5, True)):
                for conditional in (False, True):
                    row = resplits(classes, each, alpha, conditional, repetitions, patients, uneven, seed)
                    off = max((covered - (1 - alpha) for covered in row["promised"]), key=abs)
                    worst = max(worst, abs(off))
                    print(
                        f"  alpha {alpha:<4}  {classes} classes  {'1 to 9' if uneven else each!s:>6} a patient  "
                        f"{'by class' if conditional else 'marginal'}  coverage "
                        f"{min(row['promised']):.4f} to {max(row['promised']):.4f} +- {row['error']:.4f}"
                        f"  of one re-split +- {row['spread']:.3f}  cases {row['cases']:.4f}"
                        f"  pooled {row['pooled']:.4f}  mean size {row['size']:.2f}",
                        flush=True,
                    )
        for each in (1, 5):
            for quantiles in (False, True):
                row = value_resplits(each, alpha, quantiles, repetitions, patients, seed)
                worst = max(worst, abs(row["promised"] - 1 + alpha))
                print(
                    f"  alpha {alpha:<4}  value  {each} a patient  {'quantiles' if quantiles else 'residuals'}  coverage "
                    f"{row['promised']:.4f} +- {row['error']:.4f}  mean width {row['width']:.2f}",
                    flush=True,
                )
    print(f"largest distance from the nominal coverage: {worst:.4f}")


def intervals_cover(repetitions: int, seed: int) -> None:
    """Print how often the 95 % intervals hold the truth of 400,000 cases, and (half as often) the CORP band its curve."""
    print(f"{repetitions} repetitions; Monte Carlo error {math.sqrt(0.95 * 0.05 / repetitions):.4f} at .95")
    for patients, each in ((60, 1), (60, 5), (200, 1), (200, 5)):
        generator = np.random.default_rng(seed)
        found: dict[str, list] = {}
        truth = {
            name: one.estimate for name, one in _numbers(*sample(generator, 400_000 // each, 2, each, False)).items()
        }
        for _ in range(repetitions):
            for name, one in _numbers(*sample(generator, patients, 2, each, False)).items():
                found.setdefault(name, []).append(one.low <= truth[name] <= one.high)
        for _ in range(repetitions // 2):
            values, target, patient = sample(generator, patients, 2, each, False)
            target = _calibrated(generator, values[:, 1], patient, 0.5)
            band = calibration.reliability_band(values[:, 1], target, patient, points=21, resamples=200)
            low, curve, high = (np.array(band[name][4:17], float) for name in ("low", "curve", "high"))
            found.setdefault("CORP band, points .2 to .8", []).append(
                np.mean((low <= curve + 1e-12) & (curve <= high + 1e-12))
            )
        print(f"  {patients} patients x {each}: " + ", ".join(f"{name} {np.mean(x):.3f}" for name, x in found.items()))


def _numbers(values: np.ndarray, target: np.ndarray, patient: np.ndarray) -> dict[str, Interval]:
    large = len(target) > 10_000  # only the estimates are wanted
    right, sure = values.argmax(-1) == target, selective.confidence_of(values)
    parameters = {"kind": "classes", "alpha": 0.1, "thresholds": [0.6, 0.6], "promise": ""}
    covered = conformal.report(parameters, values, target, patient)
    if large:
        area = {"estimate": float(np.mean(np.cumsum(~right[np.argsort(-sure)]) / np.arange(1, len(right) + 1)))}
    else:
        area = selective.risk_coverage(sure, right, patient)["area"]
    second = values**2 / (values**2).sum(-1, keepdims=True)
    parts = uncertainty.summary(uncertainty.of_classes(np.stack([values, second])), patient, 2)

    def interval(row: dict) -> Interval:
        low, high = (math.nan if row.get(key) is None else float(row[key]) for key in ("low", "high"))
        return Interval(float(row["estimate"]), low, high, 0.95, "")

    return {
        "prediction accuracy": calibration.prediction_accuracy(values, target, patient, resamples=0 if large else 200),
        "coverage": interval(covered["coverage"]),
        "mean set size": interval(covered["mean_set_size"]),
        "area": interval(area),
        "epistemic": interval(parts["mean"]["epistemic"]),
    }


def _calibrated(
    generator: np.random.Generator, probability: np.ndarray, patient: np.ndarray, together: float
) -> np.ndarray:
    """Outcomes of a calibrated model; with chance `together` those of a patient follow one number."""
    patients = int(patient.max()) + 1
    joined = (generator.random(patients) < together)[patient]
    number = np.where(joined, generator.random(patients)[patient], generator.random(len(patient)))
    return (number < probability).astype(np.int64)


def story(run: Path, repetitions: int, seed: int) -> None:
    """From validation to test: what recalibration and conformal sets do to a finished run's predictions."""
    sides = {name: read_csv(run / "predictions" / f"{name}.csv") for name in ("validation", "test")}
    values = {name: ensemble(side) for name, side in sides.items()}
    target = {name: np.asarray(side.target) for name, side in sides.items()}
    patient = {name: patient_codes(side.group) for name, side in sides.items()}
    for name, side in sides.items():
        counts = ", ".join(f"{int((side.target == k).sum())} {label}" for k, label in enumerate(side.classes))
        print(
            f"{name}: {len(side.id)} cases of {int(patient[name].max()) + 1} patients ({counts}), {len(side.seed)} members"
        )
    part = recalibration.calibration_part(sides["validation"].group)
    for title, kept in (("all validation cases", np.ones(len(part), bool)), ("the half kept for calibration", part)):
        fitting = values["validation"][kept], target["validation"][kept], patient_codes(sides["validation"].group[kept])
        print(f"\nfitted on {title}: {int(kept.sum())}")
        _recalibrated(fitting, values["test"], target["test"], patient["test"], seed)
        _covered(fitting, values["test"], target["test"], patient["test"], sides["test"].classes)
    print(f"\ndivided at random by patient {repetitions} times, alpha 0.1: mean coverage")
    for name in sides:
        row = divided(values[name], target[name], patient[name], 0.1, False, repetitions, np.random.default_rng(seed))
        print(f"  within {name:<10} {row['promised'][0]:.4f} +- {row['error']:.4f}  mean size {row['size']:.2f}")


def _shown(found: dict) -> str:
    if found["low"] is None:
        return f"{found['estimate']} ({found['reason']})"
    return f"{found['estimate']:.4f} ({found['low']:.4f} to {found['high']:.4f})"


def _recalibrated(fitting: Fitting, values: np.ndarray, target: np.ndarray, patient: np.ndarray, seed: int) -> None:
    chosen = recalibration.choose(*fitting, seed=seed)
    before = log_loss_values(values, target)
    print(
        f"  log loss on validation, cross-fitted: none {chosen['log_loss']['none']['log_loss']:.4f}; kept: {chosen['method']}"
    )
    slopes = [
        calibration.calibration_slope(side[0][:, 1], side[1] == 1, side[2]).estimate
        for side in (fitting, (values, target, patient))
    ]
    if values.shape[1] == 2:
        print(f"  calibration slope on validation {slopes[0]:.2f}, on test {slopes[1]:.2f}")
    for method in recalibration.METHODS:
        row = chosen["log_loss"][method]
        if row["log_loss"] is None:
            print(f"    {method}: {row['reason']}")
            continue
        parameters = recalibration.fit(method, fitting[0], fitting[1])
        after = log_loss_values(recalibration.apply(parameters, values), target)
        found, _ = comparison.predictors(
            lambda weights, after=after: weighted_mean(after, weights),
            lambda weights: weighted_mean(before, weights),
            patient,
        )
        more = f"  T {parameters['temperature']:.3f}" if method == "temperature" else ""
        print(
            f"    {method:<11} validation {row['log_loss']:.4f}, difference {_shown(row['difference'])}\n"
            f"    {'':<11} TEST {before.mean():.4f} -> {after.mean():.4f}, difference "
            f"{found.estimate:+.4f} ({found.low:+.4f} to {found.high:+.4f}){more}"
        )


def _covered(
    fitting: Fitting, values: np.ndarray, target: np.ndarray, patient: np.ndarray, names: tuple[str, ...]
) -> None:
    for alpha in (0.1, 0.05):
        for conditional in (False, True):
            parameters = conformal.fit(*fitting, alpha=alpha, class_conditional=conditional)
            found = conformal.report(parameters, values, target, patient, names=names)
            print(
                f"  {1 - alpha:.0%} sets{' by class' if conditional else ''}: TEST coverage {_shown(found['coverage'])}, "
                + ", ".join(f"{name} {_shown(row)}" for name, row in found["classes"].items())
                + f"\n    mean size {_shown(found['mean_set_size'])}, empty {found['empty']['estimate']:.3f}, "
                f"full {found['full']['estimate']:.3f}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--patients", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help="folders of finished runs")
    parser.add_argument("--intervals", action="store_true")
    arguments = parser.parse_args()
    started = time.perf_counter()
    for folder in arguments.runs:
        story(folder, arguments.repetitions, arguments.seed)
    if arguments.intervals:
        intervals_cover(arguments.repetitions, arguments.seed)
    elif not arguments.runs:
        simulations(arguments.repetitions, arguments.patients, arguments.seed)
    print(f"{time.perf_counter() - started:.0f} s")
