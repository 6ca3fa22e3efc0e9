"""The parts of an evaluation beyond the metrics: uncertainty, decision curve, the next study's size, bands, subgroups."""

import numpy as np
from jaxtyping import Float

from medjax.evidence import calibration, sample_size, uncertainty
from medjax.evidence.decision_curve import decision_curve
from medjax.evidence.measures import entry, views
from medjax.evidence.predictions import Predictions
from medjax.evidence.setting import Setting
from medjax.evidence.subgroups import subgroups

_DRAWN = 20_000_000  # outcomes that a band may draw: with 100,000 cases it rests on 200 curves


def sections(
    predictions: Predictions, mean: Float[np.ndarray, "cases outputs"], setting: Setting, primary: str
) -> dict:
    """What applies to these predictions, as JSON by the name of the section; nothing for what does not apply.

    `predictions` hold cases with a target only; `mean` is their mean over members.
    """
    result: dict = {}
    if len(predictions.values) > 1 and setting.kind in ("probability", "grade"):
        _, hard, target = views(mean, setting)
        parts = uncertainty.of_classes(predictions.values)
        result["uncertainty"] = uncertainty.summary(
            parts, setting.patient, len(predictions.values), wrong=np.asarray(hard != target), level=setting.level
        )
    if setting.kind == "probability" and setting.positive is not None:
        result["decision_curve"] = decision_curve(
            mean[:, setting.positive], setting.target == setting.positive, setting.patient,
            level=setting.level, seed=setting.seed,
        )  # fmt: skip
        result["sample_size"] = sample_size.precision(
            mean[:, setting.positive], setting.target == setting.positive, setting.patient,
            threshold=setting.threshold, level=setting.level, fold=setting.fold,
        )  # fmt: skip
    elif setting.kind == "probability":
        result["calibration_by_class"] = calibration.classwise(
            mean, setting.target, setting.patient, setting.classes, level=setting.level, seed=setting.seed
        )
    if predictions.attributes and setting.kind != "survival":
        result["subgroups"] = subgroups(
            predictions,
            positive=setting.positive,
            threshold=setting.threshold,
            primary=primary,
            level=setting.level,
            resamples=setting.resamples,
            seed=setting.seed,
        )
    return result


def calibration_bands(score: Float[np.ndarray, " cases"], target: np.ndarray, setting: Setting) -> dict:
    """The CORP curve's consistency band and the index of prediction accuracy, as JSON."""
    resamples = max(100, min(setting.resamples, _DRAWN // len(score)))
    shared = {"level": setting.level, "resamples": resamples, "seed": setting.seed}
    found = calibration.prediction_accuracy(score, target.astype(np.int64), setting.patient, **shared)
    return {
        "band": calibration.reliability_band(score, target, setting.patient, **shared),
        "index_of_prediction_accuracy": entry(found, len(score), int(setting.patient.max()) + 1),
    }
