"""The parts of an evaluation that only masks have: each class, empty masks, and the agreement of volumes."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Shaped

from medjax.evidence import measures
from medjax.evidence.agreement import agreement
from medjax.evidence.intervals import count_patients
from medjax.evidence.predictions import Predictions, ensemble
from medjax.evidence.segmentation_measures import described, interval, measure
from medjax.evidence.setting import Setting

RULE = (
    "Both masks empty: Dice, IoU and surface Dice are 1 and distances 0. One mask empty: 0, and the diagonal of the image. "
    "So every case enters every mean."
)
POOLED = "Masks: the most probable class where the probabilities of all {} models are averaged."


def counts(setting: Setting) -> dict[str, dict]:
    """Cases and patients in whose truth each class is present."""
    present = setting.target > 0
    return {
        name: {"cases": int(own.sum()), "patients": count_patients(setting.patient, own)}
        for name, own in zip(setting.classes, present.T, strict=True)
    }


def sections(predictions: Predictions, setting: Setting) -> dict:
    """{"classes": metrics of each class, "empty": cases by class with an empty mask, "agreement": of volumes}.

    `empty` counts, as a mean over the seeds of a table without pooled rows, `absent` (both masks empty), `missed` (only the
    prediction) and `invented` (only the truth). `agreement` holds bias and limits of agreement (predicted minus true volume)
    and the unit of no number is known here: ml, or mm2 of images. `pooled` says so where the masks are those of several
    models together.
    """
    mean = ensemble(predictions)
    masks = predictions.values if predictions.pooled is None else predictions.pooled[None]
    patients = int(setting.patient.max()) + 1
    result: dict = {"classes": {}, "empty": {"rule": RULE}}
    if predictions.pooled is not None:
        result["pooled"] = POOLED.format(len(predictions.values))
    if "volume" in setting.measures:
        result["agreement"] = {}
    for k, name in enumerate(setting.classes):
        own = replace(setting, classes=(name,), target=setting.target[:, k : k + 1])
        columns = slice(k * len(setting.measures), (k + 1) * len(setting.measures))
        result["classes"][name] = {metric: _entry(metric, mean[:, columns], own) for metric in own.names}
        truth = setting.target[:, k] > 0
        dice = np.stack([measure("dice", one[:, columns], own)[:, 0] for one in masks])
        if "volume" not in setting.measures:
            result["empty"][name] = {"absent": _mean(~truth & (dice == 1)), "invented": _mean(~truth & (dice < 1))}
            continue
        volume = np.stack([measure("volume", one[:, columns], own)[:, 0] for one in masks])
        result["empty"][name] = {
            "absent": _mean(~truth & (volume == 0)),
            "missed": _mean(truth & (volume == 0)),
            "invented": _mean(~truth & (volume > 0)),
        }
        limits = agreement(
            volume.mean(0),
            setting.target[:, k],
            setting.patient,
            level=setting.level,
            resamples=setting.resamples,
            seed=setting.seed,
        )
        result["agreement"][name] = {
            what.replace(" ", "_"): measures.entry(one, len(mean), patients) for what, one in limits.items()
        }
    return result


def _entry(metric: str, values: Float[np.ndarray, "cases measures"], setting: Setting) -> dict:
    found = interval(metric, values, setting)
    warning = measures.warnings(metric, found, setting)
    more = described(metric, values, setting) | ({"warning": warning} if warning else {})
    return measures.entry(found, len(values), int(setting.patient.max()) + 1, **more)


def _mean(cases: Shaped[np.ndarray, "members cases"]) -> float:
    """How many cases, as the mean over the seeds."""
    return float(cases.sum(1).mean())
