"""Each label of several by itself: the two-class metrics, over the cases in which it is known."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from medjax.evidence import intervals
from medjax.evidence.measures import entry, interval, warnings
from medjax.evidence.multi_label import multi_label_auprc
from medjax.evidence.resampling import JACKKNIFE_PATIENTS
from medjax.evidence.setting import Setting

METRICS = ("auroc", "auprc", "sensitivity", "specificity", "positive_predictive_value", "f1")


def label_entries(mean: Float[np.ndarray, "cases labels"], setting: Setting) -> dict[str, dict]:
    """The metrics of each label with their intervals, by the rules for two classes; no multiplicity is accounted for.

    A label of which one answer only (or none) is known has null entries with the reason.
    """
    result = {}
    for k, name in enumerate(setting.classes):
        rows = np.flatnonzero(np.isfinite(setting.target[:, k]))
        answer = setting.target[rows, k].astype(np.int64)
        if len(np.unique(answer)) < 2:
            answers = {0: f"no case is known to have '{name}'", 1: f"every known case has '{name}'"}
            why = answers[int(answer[0])] if len(answer) else f"no case is known to have '{name}' or not"
            result[name] = {metric: entry(intervals.undefined(why, setting.level), len(rows), 0) for metric in METRICS}
            continue
        patient = intervals.patient_codes(setting.patient[rows])
        own = replace(
            setting,
            target=answer,
            patient=patient,
            fold=None if setting.fold is None else setting.fold[rows],
            kind="probability",
            classes=(f"without '{name}'", f"with '{name}'"),
            positive=1,
        )
        both = np.stack([1 - mean[rows, k], mean[rows, k]], axis=-1)
        result[name] = {}
        for metric in METRICS:
            if metric == "auprc" and int(patient.max()) + 1 > JACKKNIFE_PATIENTS:
                alone = replace(
                    own, target=setting.target[rows, k : k + 1], kind="labels", classes=(name,), positive=None
                )
                found = multi_label_auprc(mean[rows, k : k + 1], alone)
            else:
                found = interval(metric, both, own)
            warning = warnings(metric, found, own)
            more = {"warning": warning} if warning else {}
            result[name][metric] = entry(found, len(rows), int(patient.max()) + 1, **more)
    return result


def label_counts(setting: Setting) -> dict[str, dict]:
    """Cases and patients with each label; of how many cases it is known to be absent, and of how many unknown."""
    return {
        name: {
            "cases": int((answer == 1).sum()),
            "patients": intervals.count_patients(setting.patient, answer == 1),
            "negative": int((answer == 0).sum()),
            "negative_patients": intervals.count_patients(setting.patient, answer == 0),
            "unknown": int(np.isnan(answer).sum()),
        }
        for name, answer in zip(setting.classes, setting.target.T, strict=True)
    }
