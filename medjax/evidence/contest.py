"""Several predictors of the same cases against each other: every pair, adjusted for their number, and a plain verdict."""

from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Float, Shaped

from medjax.errors import InputError
from medjax.evidence.difference import Difference, between_methods, mcnemar, paired, variation
from medjax.evidence.intervals import count_patients, patient_codes
from medjax.evidence.measures import metric_entries, point, views
from medjax.evidence.pairs import Pair, holm, judged_pairs
from medjax.evidence.predictions import Predictions, aligned, ensemble, known, select
from medjax.evidence.setting import Setting, lower_is_better, no_direction
from medjax.evidence.survival_groups import follow_up

FEWEST = 10  # cases: below, no number would say anything
FEW = 10  # patients who are judged differently: fewer do not make a standard error
NO_HARD_PREDICTIONS = ("auroc", "auprc", "brier", "log_loss")


def contest(
    entries: dict[str, Predictions],
    *,
    primary: str = "auroc",
    positive: int | None = None,
    thresholds: dict[str, float] | float | int = 0.5,
    margin: float | int | None = None,
    reference: str | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """Compare predictors of the same cases in one declared primary metric, as plain JSON.

    Every entry is reported with intervals and the spread of its seeds. Every pair, or with `reference` each against that
    entry, gets the paired difference (first minus second) with a p-value and an interval from one estimate, one standard
    error and one number of degrees of freedom: for "predictors" (the means over seeds as they are; patients vary) and,
    where there are several seeds, for "methods" (single models; patients and seeds vary). Within each of the two, p-values
    and intervals are adjusted by Holm (see `pairs.holm`), and the verdict comes from the adjusted interval. That a
    loss stays within `margin` is claimed where the intervals that hold all differences at once, of level
    1 - alpha / pairs, say so: Holm's smaller ones do not protect that claim.

    Args:
        entries: by name; they are aligned by case.
        primary: the metric that is compared; the others are described.
        positive: index of the positive class in the first entry, which two classes need.
        thresholds: from which probability a case is called positive, one for all or one an entry.
        margin: the largest loss that would be acceptable, >= 0, on the scale of the primary metric, stated beforehand.
        reference: the entry that all others are compared with.
        level: of intervals; 1 - level is the error rate of all pairs together.
        resamples: of bootstraps.
        seed: of bootstraps.

    Raises:
        InputError: fewer than two entries or ten cases; other cases, targets, classes, patients or folds; an unknown
            reference or primary metric, or one that is undefined for all entries.
    """
    names = list(entries)
    if len(names) < 2:
        raise InputError("comparison: one entry only; name at least two runs or prediction files")
    if reference is not None and reference not in entries:
        raise InputError(f"comparison: the reference '{reference}' is none of {', '.join(names)}")
    if margin is not None and not margin >= 0:
        raise InputError(f"comparison: margin {margin} is negative; state the largest loss that would be acceptable")
    same, without_target = _same_cases(entries)
    settings = _settings(same, positive, thresholds, level, resamples, seed)
    setting = settings[names[0]]
    if primary not in setting.names or no_direction(primary):
        usable = ", ".join(name for name in setting.names if not no_direction(name))
        raise InputError(f"comparison: '{primary}' cannot be the primary metric of these predictions; one of {usable}")
    judged = {name: metric_entries(same[name], settings[name]) for name in names}
    if all(metrics[primary]["estimate"] is None for metrics in judged.values()):
        reason = judged[names[0]][primary].get("reason", "undefined")
        raise InputError(f"comparison: {primary} cannot be computed for these cases ({reason}); choose another primary")
    pairs = [(name, reference) for name in names if name != reference] if reference else list(combinations(names, 2))
    rules = {"primary": primary, "margin": margin, "level": level}
    return {
        "primary": primary,
        "higher_is_better": not lower_is_better(primary),
        "kind": setting.kind,
        "level": level,
        "margin": margin,
        "reference": reference,
        "counts": _counts(setting) | {"without_target": without_target},
        "conditional_on": "the fold models" if setting.fold is not None else "the trained models",
        "entries": {
            name: {
                "threshold": settings[name].threshold if _decides(setting) else None,
                "seeds": len(same[name].seed),
                "metrics": judged[name],
            }
            for name in names
        },
        "predictors": {"pairs": judged_pairs(_predictors(primary, same, settings, pairs), setting, **rules)},
        "methods": _methods(same, settings, pairs, rules),
        "mcnemar": _mcnemar(same, settings, pairs, level),
    }


# The same cases.


def _same_cases(entries: dict[str, Predictions]) -> tuple[dict[str, Predictions], int]:
    """The entries in the order of the first, cases without a target left out; and how many these are."""
    (first, base), *others = entries.items()
    names = {name: (f"'{name}'", f"'{first}'") for name in entries}
    same = {first: base}
    for name, one in others:
        same[name] = aligned(_classes_in_order(one, base), base, names=names[name], exact=True)
    has_target = known(base)
    cases = np.flatnonzero(has_target)
    if len(cases) < FEWEST:
        raise InputError(f"comparison: {len(cases)} cases with a target; at least {FEWEST} are needed for any evidence")
    return {name: select(one, cases) for name, one in same.items()}, int((~has_target).sum())


def _classes_in_order(one: Predictions, base: Predictions) -> Predictions:
    """The same predictions with the classes in the order of `base`, where they are the same but for the order.

    Grades are left as they are: their order has a meaning.
    """
    order = [one.classes.index(name) for name in base.classes if name in one.classes]
    if (
        one.kind not in ("probability", "labels")
        or sorted(one.classes) != sorted(base.classes)
        or one.kind != base.kind
    ):
        return one
    if one.kind == "labels":
        target = one.target[:, order]
    else:
        target = np.append(np.argsort(order), -1)[one.target.astype(np.int64)]  # -1, unknown, stays
    return replace(one, classes=base.classes, values=one.values[..., order], target=target)


def _settings(
    same: dict[str, Predictions],
    positive: int | None,
    thresholds: dict[str, float] | float | int,
    level: float,
    resamples: int,
    seed: int,
) -> dict[str, Setting]:
    """What the metrics share, with each entry's own threshold."""
    base = next(iter(same.values()))
    two = base.kind == "probability" and len(base.classes) == 2
    if two and positive is None:
        raise InputError(f"comparison: two classes {base.classes} need a positive class; name it")
    if positive is not None and not 0 <= positive < max(len(base.classes), 1):
        raise InputError(f"comparison: positive class {positive} is not one of the classes {base.classes}")
    at = thresholds if isinstance(thresholds, dict) else dict.fromkeys(same, thresholds)
    if set(at) != set(same):
        raise InputError(f"comparison: thresholds of {', '.join(at)} where the entries are {', '.join(same)}")
    wrong = [name for name, threshold in at.items() if not 0 <= threshold <= 1]
    if wrong:
        raise InputError(f"comparison: the threshold {at[wrong[0]]} of '{wrong[0]}' lies outside 0 to 1")
    setting = Setting(
        target=base.target,
        patient=patient_codes(base.group),
        fold=base.fold if np.any(base.fold >= 0) else None,
        kind=base.kind,
        classes=base.classes,
        positive=positive if two else None,
        threshold=0.5,
        level=level,
        resamples=resamples,
        seed=seed,
        quantiles=base.quantiles,
        times=base.times,
        horizons=base.horizons,
        measures=base.measures,
    )
    return {name: replace(setting, threshold=float(at[name])) for name in same}


def _decides(setting: Setting) -> bool:
    """Whether a threshold turns these predictions into decisions."""
    return setting.positive is not None or setting.kind == "labels"


def _counts(setting: Setting) -> dict:
    counts: dict = {"cases": len(setting.target), "patients": int(setting.patient.max()) + 1}
    counts["cases_are_patients"] = counts["cases"] == counts["patients"]
    if setting.fold is not None:
        counts["folds"] = len(np.unique(setting.fold))
    if setting.kind in ("probability", "grade"):
        counts["classes"] = {name: int((setting.target == k).sum()) for k, name in enumerate(setting.classes)}
    if setting.kind == "survival":
        counts |= follow_up(setting)
    if setting.positive is not None:
        counts["positive"] = setting.classes[setting.positive]
    return counts


# Pairs.


def _predictors(
    primary: str, same: dict[str, Predictions], settings: dict[str, Setting], pairs: list[Pair]
) -> dict[Pair, tuple[Difference, str]]:
    """The difference of each pair, the predictors as they are, with a warning or ""."""
    found = {name: variation(primary, ensemble(one)[None], settings[name]) for name, one in same.items()}
    result = {}
    for ours, theirs in pairs:
        setting = settings[ours]
        warning = ""
        if primary not in NO_HARD_PREDICTIONS and setting.kind not in ("value", "survival", "segmentation"):
            hard = _hard(same[ours], setting), _hard(same[theirs], settings[theirs])
            differing = np.any((hard[0] != hard[1]).reshape(len(hard[0]), -1), axis=-1)
            patients = count_patients(setting.patient, differing)
            if 0 < patients < FEW:
                warning = f"only {patients} patients are judged differently, too few for this method"
        result[ours, theirs] = paired(found[ours], found[theirs], setting), warning
    return result


def _methods(same: dict[str, Predictions], settings: dict[str, Setting], pairs: list[Pair], rules: dict) -> dict:
    """The pairs of which at least one side has several seeds, patients and seeds varying."""
    several = [pair for pair in pairs if max(len(same[name].seed) for name in pair) > 1]
    if not several:
        return {"pairs": [], "reason": "one seed an entry: how the methods vary with the seed is not known"}
    primary, found, single = rules["primary"], {}, {}
    for name in {name for pair in several for name in pair}:
        values, setting = same[name].values, settings[name]
        found[name] = variation(primary, values, setting)
        single[name] = np.array([float(point(primary, one, setting)(None)) for one in values])
    result = {}
    for ours, theirs in several:
        patients = paired(found[ours], found[theirs], settings[ours])
        lone = [name for name in (ours, theirs) if len(single[name]) == 1]
        warning = f"{lone[0]} has one seed: how it varies with the seed is not in this interval" if lone else ""
        result[ours, theirs] = between_methods(patients, single[ours], single[theirs]), warning
    return {"pairs": judged_pairs(result, next(iter(settings.values())), **rules)}


# Accuracy at the thresholds.


def _hard(predictions: Predictions, setting: Setting) -> Shaped[np.ndarray, "cases *labels"]:
    mean: Float[np.ndarray, "cases outputs"] = ensemble(predictions)
    return mean >= setting.threshold if setting.kind == "labels" else views(mean, setting)[1]


def _mcnemar(same: dict[str, Predictions], settings: dict[str, Setting], pairs: list[Pair], level: float) -> dict:
    """McNemar's exact test of each pair, where cases are independent and right or wrong."""
    setting = next(iter(settings.values()))
    why_not = {
        "labels": "several labels a case",
        "value": "a value is not right or wrong",
        "survival": "a risk is not right or wrong",
        "segmentation": "a mask is not right or wrong",
    }
    if setting.kind in why_not:
        what = why_not[setting.kind]
        return {"pairs": [], "reason": f"McNemar's test is for cases that are right or wrong: {what}"}
    if len(setting.patient) != int(setting.patient.max()) + 1:
        return {"pairs": [], "reason": "McNemar's test needs independent cases; some patients have several"}
    right = {}
    for name, one in same.items():
        _, hard, target = views(ensemble(one), settings[name])
        right[name] = np.asarray(hard == target)
    found = {pair: mcnemar(right[pair[0]], right[pair[1]]) for pair in pairs}
    adjusted, _ = holm([p for _, _, p in found.values()], level)
    return {
        "metric": "accuracy",
        "pairs": [
            {
                "first": pair[0],
                "second": pair[1],
                "only_first_right": ours,
                "only_second_right": theirs,
                "p_value": p,
                "adjusted_p_value": float(adjusted[k]),
            }
            for k, (pair, (ours, theirs, p)) in enumerate(found.items())
        ],
    }
