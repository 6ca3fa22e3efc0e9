"""Subgroups: every metric in each group of an attribute, the gap to the rest, and the worst group; no p-values.

Groups with fewer than 10 patients with the event, or without it, are counted and not judged.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Shaped

from medjax.config import nearest
from medjax.errors import InputError
from medjax.evidence import intervals
from medjax.evidence.attribute_groups import Groups, attribute_groups
from medjax.evidence.group_gaps import Compared, Rows, compare_groups, part
from medjax.evidence.measures import entry, metric_entries, warnings
from medjax.evidence.predictions import Predictions, ensemble, known, select
from medjax.evidence.setting import Setting, lower_is_better, no_direction
from medjax.metrics import multi_label

FEWEST = 10  # patients with the event, and without it


def subgroups(
    predictions: Predictions,
    *,
    positive: int | None = None,
    threshold: float | int = 0.5,
    primary: str = "auroc",
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    attributes: tuple[str, ...] | None = None,
    edges: dict[str, tuple[float | int, ...]] | None = None,
) -> dict:
    """The results broken down by each attribute (None: all of them), as JSON.

    Under "attributes", for each: the groups, each with its numbers of cases, patients and events, the prevalence, all
    metrics with their intervals, and the gap of the primary metric to the rest (the other groups together; cases whose
    attribute is unknown are counted apart and belong to neither). The gap combines the intervals of group and rest (MOVER);
    where patients have cases in both, with the correlation of influences summed by patient. "worst" is the group with the
    worst primary metric; its intervals, of the metric and of the gap, hold for all groups of the attribute together
    (max-T), since it was picked among them. Nothing accounts for the number of attributes.

    `positive`, `threshold`, `level`, `resamples` and `seed` are those of `evaluation.evaluate`; `edges` are where numbers
    such as an age are cut.

    Raises:
        InputError: an attribute that is not there, or a primary metric that does not apply.
    """
    names = tuple(predictions.attributes) if attributes is None else attributes
    for name in (*names, *(edges or {})):
        if name not in predictions.attributes:
            raise InputError(f"subgroups: there is no attribute '{name}'; {nearest(name, predictions.attributes)}")
    predictions = select(predictions, np.flatnonzero(known(predictions)))
    setting = Setting(
        target=predictions.target,
        patient=intervals.patient_codes(predictions.group),
        fold=predictions.fold if np.any(predictions.fold >= 0) else None,
        kind=predictions.kind,
        classes=predictions.classes,
        positive=positive if len(predictions.classes) == 2 and predictions.kind == "probability" else None,
        threshold=float(threshold),
        level=level,
        resamples=resamples,
        seed=seed,
        quantiles=predictions.quantiles,
        times=predictions.times,
        horizons=predictions.horizons,
        measures=predictions.measures,
    )
    if primary not in setting.names or no_direction(primary):
        raise InputError(f"subgroups: primary metric {primary!r} does not apply; one of {', '.join(setting.names)}")
    return {
        "primary": primary,
        "level": level,
        "fewest": FEWEST,
        "attributes": {
            name: _attribute(
                predictions,
                setting,
                attribute_groups(predictions.attributes[name], setting.patient, (edges or {}).get(name), name),
                primary,
            )
            for name in names
        },
    }


def _attribute(predictions: Predictions, setting: Setting, groups: Groups, primary: str) -> dict:
    unknown = groups.code < 0
    result: dict = {"kind": groups.kind}
    if groups.kind == "numeric":
        result |= {"edges": list(groups.edges), "edges_from": groups.edges_from}
    result |= {
        "unknown": {"cases": int(unknown.sum()), "patients": intervals.count_patients(setting.patient, unknown)},
        "groups": {},
    }
    judged, rests = {}, {}
    given = np.flatnonzero(~unknown)
    for k, name in enumerate(groups.names):
        rows = np.flatnonzero(groups.code == k)
        found = _counts(setting, rows)
        result["groups"][name] = found
        if few := too_few(setting, rows):
            found["too_few"] = few
            continue
        found["prevalence"] = _prevalence(setting, rows)
        found["metrics"] = metric_entries(select(predictions, rows), part(setting, rows))
        rest = given[groups.code[given] != k]
        few = too_few(setting, rest) if len(rest) else ""
        judged[name] = rows
        rests[name] = "there is no other group" if not len(rest) else f"too few in the rest: {few}" if few else rest
    compared = compare_groups(primary, ensemble(predictions), setting, judged, rests)
    for name, gap in compared.gap.items():
        result["groups"][name]["gap"] = entry(gap, len(given), len(np.unique(setting.patient[given])))
    return result | {"worst": _worst(result["groups"], compared, setting, judged, primary)}


# Counts.


def _events(setting: Setting) -> dict[str, tuple[Shaped[np.ndarray, " cases"], Shaped[np.ndarray, " cases"]]]:
    """Of each event that the metrics are about: which cases have it, and which are known not to."""
    if setting.kind in ("value", "segmentation"):
        return {}
    if setting.kind == "labels":
        kept = np.flatnonzero(multi_label.judged(setting.target))
        return {setting.classes[k]: (setting.target[:, k] == 1, setting.target[:, k] == 0) for k in kept}
    if setting.positive is not None:
        own = setting.target == setting.positive
        return {setting.classes[setting.positive]: (own, ~own)}
    present = [k for k in range(len(setting.classes)) if np.any(setting.target == k)]
    return {setting.classes[k]: (setting.target == k, setting.target != k) for k in present}


def too_few(setting: Setting, rows: Rows) -> str:
    """Why some cases cannot be judged, or an empty text: fewer than 10 patients with an event, or without it.

    Of several classes (present at all) and labels (of which both answers are known at all) each one is such an event.
    """
    patient = setting.patient[rows]
    if setting.kind in ("value", "segmentation"):
        patients = len(np.unique(patient))
        return "" if patients >= FEWEST else f"{patients} patient{'s' * (patients != 1)}"
    counts = [
        (intervals.count_patients(patient, answer[rows]), word, name)
        for name, answers in _events(setting).items()
        for answer, word in zip(answers, ("with", "without"), strict=True)
    ]
    patients, word, name = min(counts, default=(0, "with", "any class"))
    return "" if patients >= FEWEST else f"{patients} patient{'s' * (patients != 1)} {word} {name}"


def _counts(setting: Setting, rows: Rows) -> dict:
    patient = setting.patient[rows]
    return {
        "cases": len(rows),
        "patients": len(np.unique(patient)),
        "events": {
            name: {"cases": int(own[rows].sum()), "patients": intervals.count_patients(patient, own[rows])}
            for name, (own, _) in _events(setting).items()
        },
    }


def _prevalence(setting: Setting, rows: Rows) -> dict[str, dict]:
    result = {}
    for name, (own, other) in _events(setting).items():
        among = rows[own[rows] | other[rows]]
        share = intervals.proportion(own[among], setting.patient[among], setting.level)
        counted = {"numerator": int(own[among].sum()), "denominator": len(among)}
        result[name] = entry(share, len(among), len(np.unique(setting.patient[among])), **counted)
    return result


def _worst(groups: dict, compared: Compared, setting: Setting, judged: dict[str, Rows], primary: str) -> dict:
    """The group with the worst primary metric, with the intervals that hold for all groups together."""
    metrics = compared.joint_metric
    if len(metrics) < 2:
        return {"reason": "fewer than two groups can be judged"}
    sign = 1 if lower_is_better(primary) else -1
    name = max(sorted(metrics), key=lambda group: sign * metrics[group].estimate)
    rows, adjusted = judged[name], f"; adjusted for {len(metrics)} groups (max-T)"
    result: dict = {"group": name, "groups": len(metrics)}
    for key, found, each in (
        ("metric", metrics[name], compared.level_of_metrics),
        ("gap", compared.joint_gap.get(name), compared.level_of_gaps),
    ):
        if found is None:
            result[key] = groups[name]["gap"]
            continue
        warning = warnings(primary, found, part(setting, rows)) if key == "metric" else ""
        named = replace(found, method=found.method + adjusted)
        more = {"level_of_each": each} | ({"warning": warning} if warning else {})
        result[key] = entry(named, len(rows), len(np.unique(setting.patient[rows])), **more)
    return result
