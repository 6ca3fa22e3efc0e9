"""From predictions to the content of evaluation/<split>.json."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from medjax.errors import InputError
from medjax.evidence import calibration, comparison, decision, intervals, multi_label, segmentation
from medjax.evidence.by_label import label_counts, label_entries
from medjax.evidence.difference import between_methods, difference_interval, paired, variation
from medjax.evidence.intervals import Interval
from medjax.evidence.measures import Each, class_entries, entry, in_turn, metric_entries, point, views, warnings
from medjax.evidence.predictions import Predictions, aligned, ensemble, known, select
from medjax.evidence.sample_size import non_inferiority
from medjax.evidence.sections import calibration_bands, sections
from medjax.evidence.setting import Setting, lower_is_better, no_direction
from medjax.evidence.survival_groups import follow_up, survival_sections
from medjax.metrics import classification

LATE_ENTRY = (
    "late entry is ignored, though the loss and the baseline know it (task.entry): every case counts as watched from time 0, so "
    "that whoever had the event before being observed is missing, and survival looks too long. The curves by risk group, "
    "the numbers at risk, the log-rank test and the calibration by fifths ignore it too"
)


def evaluate(
    predictions: Predictions,
    *,
    positive: int | None = None,
    threshold: float | int = 0.5,
    primary: str = "auroc",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    reference: Predictions | None = None,
    reference_threshold: float | int | None = None,
    reference_name: str = "reference",
    further: Mapping[str, Predictions] | None = None,
    margin: float | int | None = None,
    prevalences: tuple[float, ...] = (),
    decision_thresholds: tuple[float, ...] = (0.1,),
    late_entry: bool = False,
    each: Each = in_turn,
) -> dict:
    """Everything that these predictions show, as plain JSON (NaN is null, with a reason beside it).

    The estimate is that of the ensemble (mean over seeds); `seeds` is the spread of single seeds. Two classes need
    `positive`, the index of the positive class; with more classes it is None and metrics are macro averages. "Positive"
    means probability >= `threshold`, which was chosen on validation data; of several labels it is one number for all.
    `margin` (>= 0, on the scale of the primary metric) was stated beforehand. `further` names references beside the first;
    each has its own metrics and paired differences, whose intervals are not adjusted for their number: what is claimed
    against every one of them needs no adjustment. `late_entry` says that some cases came under observation after time 0, which
    nothing here takes into account; the result then warns of it. `each` may divide the metrics over processes that all call
    this with the same predictions; all get the same result. Raises InputError where the primary metric is unknown or undefined, or
    where a reference has other cases.
    """
    seeds = len(predictions.seed)
    if predictions.kind == "probability" and len(predictions.classes) == 2 and positive is None:
        raise InputError(
            f"evaluation: two classes {predictions.classes} need a positive class; name it in the experiment"
        )
    if positive is not None and (predictions.kind != "probability" or not 0 <= positive < len(predictions.classes)):
        raise InputError(f"evaluation: positive class {positive} is not one of the classes {predictions.classes}")
    if len(predictions.classes) > 2:
        positive = None  # with three or more classes each stands against the rest
    if margin is not None and margin < 0:
        raise InputError(f"evaluation: margin {margin} is negative; state the largest loss that would be acceptable")
    has_target = known(predictions)
    without_target = int((~has_target).sum())
    if without_target == len(has_target):
        raise InputError("evaluation: no case has a target")
    predictions = select(predictions, np.flatnonzero(has_target)) if without_target else predictions
    setting = Setting(
        target=predictions.target,
        patient=intervals.patient_codes(predictions.group),
        fold=predictions.fold if np.any(predictions.fold >= 0) else None,
        kind=predictions.kind,
        classes=predictions.classes,
        positive=positive,
        threshold=float(threshold),
        level=level,
        resamples=resamples,
        seed=seed,
        quantiles=predictions.quantiles,
        times=predictions.times,
        horizons=predictions.horizons,
        measures=predictions.measures,
    )
    _check_primary(primary, setting)
    result: dict = {
        "primary": primary,
        "level": level,
        "kind": predictions.kind,
        "metrics": metric_entries(predictions, setting, each),
        "counts": _counts(setting) | {"seeds": seeds, "without_target": without_target},
        "conditional_on": "the fold models" if setting.fold is not None else "the trained models",
    }
    mean = ensemble(predictions)
    if setting.fold is not None:
        result["folds"] = _folds(primary, mean, setting)
    if setting.kind in ("probability", "grade"):
        result |= _classification(mean, setting, prevalences, decision_thresholds)
    result |= sections(predictions, mean, setting, primary)
    if setting.kind == "survival":
        result["survival"] = survival_sections(mean, setting)
        if late_entry:
            result["late_entry"] = {"metrics": list(setting.names), "warning": LATE_ENTRY}
    if setting.kind == "segmentation":
        result |= segmentation.sections(predictions, setting)
    if setting.kind == "labels":
        result |= {"threshold": setting.threshold, "classes": label_entries(mean, setting)}
    if reference is not None:
        reference = aligned(reference, predictions)
        other = _with_threshold(setting, reference_threshold)
        result["reference"] = {"name": reference_name, "metrics": metric_entries(reference, other, each)}
        result["comparison"] = _compare(predictions, reference, setting, other, primary, margin)
        more = {name: aligned(one, predictions) for name, one in (further or {}).items()}
        if more:
            result["further_references"] = [
                {
                    "name": name,
                    "metrics": metric_entries(one, setting, each),
                    "comparison": _compare(predictions, one, setting, setting, primary, margin),
                }
                for name, one in more.items()
            ]
    elif (alone := result["metrics"][primary])["low"] is not None:
        # From the interval's length, as if it were symmetric: how far a fixed, say a published, value must lie away.
        error = (alone["high"] - alone["low"]) / (2 * intervals.normal_quantile(level))
        result["smallest_detectable_difference"] = comparison.smallest_detectable(error)
    return result


def _with_threshold(setting: Setting, threshold: float | int | None) -> Setting:
    from dataclasses import replace

    return setting if threshold is None else replace(setting, threshold=float(threshold))


def _check_primary(primary: str, setting: Setting) -> None:
    if primary not in setting.names:
        raise InputError(f"evaluation: primary metric {primary!r} does not apply; one of {', '.join(setting.names)}")
    if no_direction(primary):
        raise InputError(f"evaluation: neither more nor less {primary!r} is better by itself; it cannot be primary")
    if setting.kind == "survival":
        if not math.isfinite(float(point(primary, np.zeros((len(setting.target), _columns(setting))), setting)(None))):
            raise InputError(
                f"evaluation: {primary} is the primary metric, but it is undefined for these cases: too few events, or "
                "nobody is watched that long; check the split, or choose a smaller task.until"
            )
        return
    if setting.kind in ("value", "segmentation"):
        return
    if setting.kind == "labels":
        found = multi_label.interval("auroc", np.zeros(setting.target.shape), setting)
        if primary == "auroc" and found.reason:
            raise InputError(f"evaluation: AUROC is the primary metric, but {found.reason}; check the split")
        return
    present = np.bincount(setting.target.astype(np.int64), minlength=len(setting.classes))
    if len(present) > len(setting.classes):
        raise InputError(f"evaluation: a target lies outside the {len(setting.classes)} classes")
    absent = [name for name, cases in zip(setting.classes, present, strict=True) if not cases]
    if primary == "auroc" and absent:
        raise InputError(
            f"evaluation: AUROC is the primary metric, but no case is {' or '.join(absent)}; check the split"
        )
    values = np.eye(len(setting.classes))[setting.target.astype(np.int64)]
    if primary == "auroc" and not math.isfinite(float(point("auroc", values, setting)(None))):
        raise InputError("evaluation: AUROC is the primary metric, but no fold holds both classes; use fewer folds")


def _columns(setting: Setting) -> int:
    """How many outputs survival predictions have."""
    return max(len(setting.classes), 1) * (1 + len(setting.times))


def _counts(setting: Setting) -> dict:
    counts: dict = {"cases": len(setting.target), "patients": int(setting.patient.max()) + 1}
    counts["cases_are_patients"] = counts["cases"] == counts["patients"]
    if setting.fold is not None:
        counts["folds"] = len(np.unique(setting.fold))
    if setting.kind == "labels":
        counts["classes"] = label_counts(setting)
    if setting.kind == "survival":
        counts |= follow_up(setting)
    if setting.kind == "segmentation":
        counts["classes"] = segmentation.counts(setting)
    if setting.kind in ("probability", "grade"):
        counts["classes"] = {
            name: {
                "cases": int((setting.target == k).sum()),
                "patients": intervals.count_patients(setting.patient, setting.target == k),
            }
            for k, name in enumerate(setting.classes)
        }
        if setting.positive is not None:
            counts["positive"] = setting.classes[setting.positive]
            counts["prevalence"] = float((setting.target == setting.positive).mean())
    return counts


def _folds(primary: str, mean: Float[np.ndarray, "cases outputs"], setting: Setting) -> dict:
    """The primary metric within each fold: a description, without interval."""
    fold = setting.fold if setting.fold is not None else np.zeros(len(mean), np.int64)
    values = [float(point(primary, mean, setting)((fold == k).astype(np.float64))) for k in np.unique(fold)]
    finite = [value for value in values if math.isfinite(value)]
    return {
        "values": [value if math.isfinite(value) else None for value in values],
        "minimum": min(finite, default=None),
        "maximum": max(finite, default=None),
    }


def _classification(
    mean: Float[np.ndarray, "cases outputs"],
    setting: Setting,
    prevalences: tuple[float, ...],
    decision_thresholds: tuple[float, ...],
) -> dict:
    patient, level, total = setting.patient, setting.level, len(mean)
    patients = int(patient.max()) + 1

    def whole(found: Interval, **more: object) -> dict:
        return entry(found, total, patients, **more)

    def told(name: str, found: Interval) -> dict:
        warning = warnings(f"calibration {name}", found, setting)
        return whole(found, **({"warning": warning} if warning else {}))

    score, hard, target = views(mean, setting)
    if setting.positive is None:
        matrix = classification.confusion_matrix(hard, setting.target, classes=len(setting.classes))
        return {"classes": class_entries(mean, setting), "confusion_matrix": matrix.astype(int).tolist()}
    said = np.where(hard, setting.positive, 1 - setting.positive)
    matrix = classification.confusion_matrix(said, setting.target, classes=2)
    found: dict = {
        "classes": class_entries(mean, setting),
        "confusion_matrix": matrix.astype(int).tolist(),
        "threshold": setting.threshold,
        "calibration": {
            "intercept": told("intercept", calibration.calibration_intercept(score, target, patient, level)),
            "slope": told("slope", calibration.calibration_slope(score, target, patient, level)),
            "reliability": calibration.reliability(score, target),
            "expected_calibration_error": calibration.expected_calibration_error(score, target, seed=setting.seed),
            **calibration_bands(score, target, setting),
        },
    }
    if setting.threshold != 0.5:
        half = score >= 0.5
        names = {"accuracy": np.ones(total, bool), "sensitivity": target, "specificity": ~target}
        found["at_threshold_half"] = {
            name: entry(
                intervals.proportion((half == target)[among], patient[among], level),
                int(among.sum()),
                intervals.count_patients(patient, among),
                numerator=int((half == target)[among].sum()),
                denominator=int(among.sum()),
            )
            for name, among in names.items()
        }
    found["net_benefit"] = [
        {"threshold": t}
        | {name: whole(one) for name, one in decision.net_benefit_intervals(score, target, patient, t, level).items()}
        for t in decision_thresholds
    ]
    found["predictive_values"] = []
    for prevalence in prevalences:
        ppv, npv = decision.predictive_values(hard, target, patient, prevalence, level)
        pair = {"positive_predictive_value": whole(ppv), "negative_predictive_value": whole(npv)}
        found["predictive_values"].append({"prevalence": prevalence} | pair)
    return found


def _compare(
    ours: Predictions, theirs: Predictions, setting: Setting, other: Setting, primary: str, margin: float | int | None
) -> dict:
    """Paired differences (ours - reference) of every metric, by patient; verdict and power for the primary one."""
    patients, cases = int(setting.patient.max()) + 1, len(ours.id)
    means, result = (ensemble(ours)[None], ensemble(theirs)[None]), {}
    for name in setting.names:
        difference = paired(variation(name, means[0], setting), variation(name, means[1], other), setting)
        found = difference_interval(difference, setting.level)
        result[name] = entry(found, cases, patients)
        if name == primary:
            better = not lower_is_better(primary)
            detectable = comparison.smallest_detectable(difference.error)
            result[name] |= {
                "verdict": comparison.verdict(found, margin, higher_is_better=better),
                "margin": margin,
                "smallest_detectable_difference": detectable if math.isfinite(detectable) else None,
            }
            if margin:
                result[name]["needed_for_non_inferiority"] = non_inferiority(
                    difference.error, patients, margin, level=setting.level
                )
    summary: dict = {"primary": primary, "predictors": result}
    if max(len(ours.seed), len(theirs.seed)) > 1:
        single = [
            np.array([float(point(primary, one, chosen)(None)) for one in side.values])
            for side, chosen in ((ours, setting), (theirs, other))
        ]
        seeds_apart = paired(
            variation(primary, ours.values, setting), variation(primary, theirs.values, other), setting
        )
        found = difference_interval(between_methods(seeds_apart, *single), setting.level)
        summary["methods"] = {primary: entry(found, cases, patients)}
    return summary
