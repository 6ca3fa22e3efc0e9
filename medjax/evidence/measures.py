"""Which metrics apply, what each one is on some predictions, and which interval it gets."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Shaped

from medjax.evidence import auprc, auroc, intervals, multi_label, resampling, segmentation_measures, survival_measures
from medjax.evidence.intervals import Cases, Interval
from medjax.evidence.predictions import Predictions, ensemble
from medjax.evidence.ratios import ratio_of_sums
from medjax.evidence.setting import QUANTILE, Setting
from medjax.metrics import classification, ordinal, regression

Each = Callable[[Callable[[int], dict], int], list[dict]]
ENOUGH_PATIENTS = 30
# Coverage measured by benchmarks/coverage.py with 10 patients in each of two classes (AUROC .86): printed in warnings.
COVERAGE_AT_TEN: dict[str, float] = {
    "auroc": 0.98,
    "auprc": 0.98,
    "sensitivity": 0.96,
    "specificity": 0.96,
    "positive_predictive_value": 0.96,
    "negative_predictive_value": 0.96,
    "accuracy": 0.97,
    "balanced_accuracy": 0.95,
    "f1": 0.95,
    "matthews": 0.97,
    "brier": 0.97,
    "log_loss": 0.97,
}
# The lowest coverage that benchmarks/evidence_coverage.py found where a class has one to four patients.
FEWEST_PATIENTS = 5
COVERAGE_BELOW_FIVE: dict[str, float] = {
    "balanced_accuracy": 0.73,
    "matthews": 0.72,
    "brier": 0.58,
    "log_loss": 0.57,
    "calibration slope": 0.40,
}
# The same of models of several folds pooled: up to how many patients of a class it is told, the coverage with 100 of each
# class, and the lowest with fewer (5 or more).
COVERAGE_OF_FOLDS: dict[str, tuple[int, float, float]] = {
    "auprc": (200, 0.92, 0.86),
    "calibration slope": (200, 0.93, 0.75),
    "matthews": (ENOUGH_PATIENTS, 0.94, 0.80),
    "balanced_accuracy": (ENOUGH_PATIENTS, 0.94, 0.89),
}


def views(
    values: Float[np.ndarray, "cases outputs"], setting: Setting
) -> tuple[Shaped[np.ndarray, "cases *outputs"], Cases, Cases]:
    """Score, hard prediction and target in the form that the metrics of this setting take."""
    if setting.kind == "value":
        return values[:, 0], values[:, 0], setting.target
    if setting.kind == "grade":
        return values, ordinal.median_grade(values), setting.target
    if setting.positive is None:
        return values, values.argmax(-1), setting.target
    score = values[:, setting.positive]
    return score, score >= setting.threshold, setting.target == setting.positive


def point(name: str, values: Float[np.ndarray, "cases outputs"], setting: Setting) -> Callable[..., np.ndarray]:
    """A metric of these predictions as a function of case weights (..., cases), or None."""
    if setting.kind == "labels":
        return multi_label.point(name, values, setting)
    if setting.kind == "survival":
        return survival_measures.point(name, values, setting)
    if setting.kind == "segmentation":
        return segmentation_measures.point(name, values, setting)
    if name in QUANTILE:
        per_case = quantile_values(name, values, setting)
        return lambda weights: classification.weighted_mean(per_case, weights)
    score, hard, target = views(values, setting)
    if name == "auroc":
        rank = classification.auroc if setting.positive is not None else classification.macro_auroc
        return lambda weights: rank(score, target, weights, fold=setting.fold)
    if name in ("auprc", "brier", "log_loss"):
        return lambda weights: getattr(classification, name)(score, target, weights)
    if setting.kind == "value":
        return lambda weights: getattr(regression, name)(score, target, weights)
    if name == "mean_absolute_grade_error":
        return lambda weights: ordinal.mean_absolute_grade_error(hard, target, weights)
    if name == "quadratic_weighted_kappa":
        return lambda weights: ordinal.quadratic_weighted_kappa(hard, target, weights, classes=len(setting.classes))
    if setting.positive is None and name in ("balanced_accuracy", "f1", "matthews"):
        function = getattr(classification, "macro_f1" if name == "f1" else name)
        return lambda weights: function(hard, target, weights, classes=len(setting.classes))
    return lambda weights: getattr(classification, name)(hard, target, weights)


def quantile_values(
    name: str, values: Float[np.ndarray, "cases outputs"], setting: Setting
) -> Float[np.ndarray, " cases"]:
    """What each case adds to the mean `name`, one of `QUANTILE`; the interval lies between the outermost quantiles."""
    target, quantiles = setting.target, values[:, 1:]
    if name == "pinball_loss":
        return regression.pinball_values(quantiles, target, setting.quantiles)
    if name == "interval_width":
        return quantiles[:, -1] - quantiles[:, 0]
    return ((quantiles[:, 0] <= target) & (target <= quantiles[:, -1])).astype(np.float64)


def _shares(name: str, hard: Cases, target: Cases) -> tuple[Cases, Cases] | None:
    """For proportions: which cases count as successes, and which form the denominator."""
    if name == "accuracy":
        return hard == target, np.ones(len(target), bool)
    positive = {"sensitivity": target == 1, "specificity": target == 0}
    predicted = {"positive_predictive_value": hard == 1, "negative_predictive_value": hard == 0}
    among = (positive | predicted).get(name)
    return None if among is None else (hard == target, among)


def interval(name: str, values: Float[np.ndarray, "cases outputs"], setting: Setting) -> Interval:
    """A metric with the interval that statistics and simulation chose for it."""
    if setting.kind == "labels":
        return multi_label.interval(name, values, setting)
    if setting.kind == "survival":
        return survival_measures.interval(name, values, setting)
    if setting.kind == "segmentation":
        return segmentation_measures.interval(name, values, setting)
    score, hard, target = views(values, setting)
    patient, level = setting.patient, setting.level
    drawn = {"level": level, "resamples": setting.resamples, "seed": setting.seed}
    if name in QUANTILE:
        per_case = quantile_values(name, values, setting)
        if name == "interval_coverage":
            return intervals.proportion(per_case, patient, level)
        return ratio_of_sums(per_case, np.ones(len(per_case)), patient, **drawn)
    if name == "auroc":
        rank = auroc.auroc if setting.positive is not None else auroc.macro_auroc
        return rank(score, target, patient, fold=setting.fold, level=level)
    if name == "auprc":
        return auprc.auprc(score, target, patient, **drawn)
    if name in ("brier", "log_loss"):
        per_case = getattr(classification, f"{name}_values")(score, target)
        found = resampling.skewed_mean(per_case, patient, level)
        wrong = intervals.count_patients(patient, np.asarray(hard != target))
        if wrong >= intervals.FEW:
            return found
        note = f"only {wrong} of {int(patient.max()) + 1} patients {'is' if wrong == 1 else 'are'} judged wrongly: simulated coverage down to .85"
        return replace(found, warning="; ".join(text for text in (note, found.warning) if text))
    if name == "mean_squared_error":
        return resampling.skewed_mean((score - target) ** 2, patient, level)
    if name == "mean_absolute_error":
        errors = np.abs(score - target)
        return resampling.studentised(resampling.mean_on_log_scale(errors), patient, scale="log", **drawn)
    if name in ("r2", "pearson"):
        if not math.isfinite(float(point(name, values, setting)(None))):
            return intervals.undefined("the values or the predictions are constant", level)
        if name == "r2":
            function, scale = resampling.r2_on_log_scale(score, target), "log(1 - x)"
        else:
            function, scale = resampling.pearson_on_fisher_scale(score, target), "Fisher z"
        return resampling.studentised(function, patient, scale=scale, **drawn)
    if name == "spearman":
        return resampling.smooth(point(name, values, setting), patient, scale="Fisher z", **drawn)
    hard, target = hard.astype(np.int64), target.astype(np.int64)
    if name == "mean_absolute_grade_error":
        errors = np.abs(hard - target)
        if not errors.any():
            return intervals.undefined("every grade is right: no variation to make an interval from", level, 0.0)
        return ratio_of_sums(errors, np.ones(len(errors)), patient, **drawn)
    counted = _shares(name, hard, target)
    if counted:
        return intervals.proportion(counted[0][counted[1]], patient[counted[1]], level)
    if name == "f1" and setting.positive is not None:
        return intervals.f1(hard, target, patient, level)
    classes = 2 if setting.positive is not None else len(setting.classes)
    if name == "balanced_accuracy" and len(np.unique(patient)) == len(patient):
        return intervals.mean_of_shares([(hard == k)[target == k] for k in range(classes)], level)
    functions = {
        "matthews": (classification.matrix_matthews, "Fisher z"),
        "quadratic_weighted_kappa": (ordinal.matrix_quadratic_weighted_kappa, "Fisher z"),
        "f1": (lambda matrix: classification.class_f1(matrix).mean(-1), "logit"),
        "balanced_accuracy": (lambda matrix: classification.class_recall(matrix).mean(-1), "logit"),
    }
    function, scale = functions[name]
    return intervals.matrix_metric(function, scale, hard, target, patient, classes=classes, level=level)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def entry(found: Interval, cases: int, patients: int, **more: object) -> dict:
    """An interval as JSON: NaN becomes null, with the reason beside it."""
    result = {
        "estimate": _number(found.estimate),
        "low": _number(found.low),
        "high": _number(found.high),
        "level": found.level,
        "cases": int(cases),
        "patients": int(patients),
        "method": found.method,
    }
    if found.reason:
        result["reason"] = found.reason
    if found.warning:
        result["warning"] = found.warning
    return result | more


def _spread(values: Float[np.ndarray, " members"]) -> dict:
    finite = values[np.isfinite(values)]
    deviation = float(finite.std(ddof=1)) if len(finite) > 1 else math.nan
    return {
        "mean": _number(finite.mean() if len(finite) else math.nan),
        "standard_deviation": _number(deviation),
        "count": len(values),
    }


def _heavy_tails(setting: Setting, name: str) -> str:
    """Squared errors: a rule on the design, since a sample that lacks its rare large errors looks harmless."""
    if name != "mean_squared_error" or int(setting.patient.max()) + 1 >= 200:
        return ""
    return "simulated coverage .90 where residuals are very heavy-tailed (t with 3.5 degrees of freedom, 60 patients)"


def _scarce(setting: Setting, name: str) -> str:
    """The warning where a class that this metric rests on has fewer than 30 independent patients."""
    if setting.kind in ("value", "segmentation"):
        patients, what = int(setting.patient.max()) + 1, "these cases have"
    elif setting.kind == "labels":
        patients, what = multi_label.scarcest(setting)
    elif setting.kind == "survival":
        patients, what = survival_measures.scarcest(name, setting)
    else:
        resting = range(len(setting.classes))
        if setting.positive is not None and name in ("sensitivity", "specificity"):
            resting = [k for k in resting if (k == setting.positive) == (name == "sensitivity")]
        counts = {k: intervals.count_patients(setting.patient, setting.target == k) for k in resting}
        smallest = min(counts, key=lambda k: counts[k])
        patients, what = counts[smallest], f"class {setting.classes[smallest]} has"
    if patients >= ENOUGH_PATIENTS:
        return ""
    few = patients < FEWEST_PATIENTS and name in COVERAGE_BELOW_FIVE
    measured = (COVERAGE_BELOW_FIVE if few else COVERAGE_AT_TEN).get(name) if setting.positive is not None else None
    more = f" (simulated with {'1 to 4: down to' if few else '10 + 10:'} {measured:.2f})" if measured else ""
    return f"{what} only {patients} independent patients; true coverage may differ from {setting.level:.0%}{more}"


def _folded(setting: Setting, name: str) -> str:
    """Several models are judged as one, and these metrics feel it."""
    if setting.fold is None or setting.positive is None or name not in COVERAGE_OF_FOLDS:
        return ""
    smallest = min(intervals.count_patients(setting.patient, setting.target == k) for k in range(len(setting.classes)))
    enough, some, low = COVERAGE_OF_FOLDS[name]
    if smallest >= enough:
        return ""
    return (
        f"cross-validated, simulated coverage {some:.2f} with 100 patients in each class, down to {low:.2f} with fewer"
    )


def warnings(name: str, found: Interval, setting: Setting) -> str:
    """Everything that makes this interval of the metric `name` doubtful, or an empty text."""
    rare = segmentation_measures.rare_failures(name, setting)
    told = (found.warning, _heavy_tails(setting, name), rare, _folded(setting, name), _scarce(setting, name))
    return "; ".join(text for text in told if text)


def in_turn(function: Callable[[int], dict], count: int) -> list[dict]:
    """Return what a function gives for 0 to `count` - 1; a stand-in divides the numbers over processes."""
    return [function(number) for number in range(count)]


def metric_entries(predictions: Predictions, setting: Setting, each: Each = in_turn) -> dict[str, dict]:
    """Every metric of the ensemble with its interval, and the spread of the single seeds beside it.

    `each` calls a function with each metric's number, and returns what it gave in this order.
    """
    mean = ensemble(predictions)
    patients = int(setting.patient.max()) + 1

    def one(number: int) -> dict:
        name = setting.names[number]
        found = interval(name, mean, setting)
        more: dict[str, object] = {
            "seeds": _spread(np.array([float(point(name, own, setting)(None)) for own in predictions.values]))
        }
        counted, (cases, whose) = None, (len(mean), patients)
        if setting.kind in ("probability", "grade"):
            _, hard, target = views(mean, setting)
            counted = _shares(name, hard.astype(int), target.astype(int))
        elif name == "interval_coverage":
            counted = quantile_values(name, mean, setting) == 1, np.ones(cases, bool)
            more["nominal"] = setting.quantiles[-1] - setting.quantiles[0]
        if counted:
            success, among = counted
            cases, whose = int(among.sum()), intervals.count_patients(setting.patient, among)
            more |= {"numerator": int(success[among].sum()), "denominator": cases}
        if setting.kind == "segmentation":
            more |= segmentation_measures.described(name, mean, setting)
        if setting.kind == "survival":
            if (alone := survival_measures.no_skill(name, setting)) is not None:
                more["one_curve_for_all"] = _number(alone)
        elif name == "brier" and setting.kind != "labels":
            share = np.bincount(setting.target.astype(int), minlength=len(setting.classes)) / len(mean)
            base = 1 - float(share @ share)  # of the base rates predicted for everybody
            more["base_rate_alone"] = base / 2 if setting.positive is not None else base
        if warning := warnings(name, found, setting):
            more["warning"] = warning
        return entry(found, cases, whose, **more)

    return dict(zip(setting.names, each(one, len(setting.names)), strict=True))


def class_entries(mean: Float[np.ndarray, "cases outputs"], setting: Setting) -> dict[str, dict]:
    """Each class against the rest, the hard prediction being the most probable class (of grades: the median)."""
    result, patient = {}, setting.patient
    hard = ordinal.median_grade(mean) if setting.kind == "grade" else mean.argmax(-1)
    for k, name in enumerate(setting.classes):
        own, said = setting.target == k, hard == k
        found = {"auroc": auroc.auroc(mean[:, k], own, patient, fold=setting.fold, level=setting.level)}
        for metric in ("sensitivity", "specificity", "positive_predictive_value"):
            success, among = _shares(metric, said.astype(int), own.astype(int)) or (own, own)
            found[metric] = intervals.proportion(success[among], patient[among], setting.level)
        found["f1"] = intervals.f1(said, own, patient, setting.level)
        events = intervals.count_patients(patient, own)
        result[name] = {metric: entry(one, int(own.sum()), events) for metric, one in found.items()}
    return result
