"""Recalibration: temperature, Platt and isotonic, fitted on validation cases, chosen by patient-wise cross-fitting.

`fit` gives parameters as JSON, `apply` recalibrates probabilities with them, `choose` keeps a method only if it improves the
cross-fitted log loss. What is fitted here must not have chosen the model: `calibration_part` keeps patients back for it.
Recalibrate the mean over members, which is what was fitted.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped

from medjax.data.split import uniform
from medjax.errors import InputError
from medjax.evidence import comparison, intervals
from medjax.evidence.calibration import CLIP, log_odds
from medjax.evidence.intervals import Cases, Patients
from medjax.metrics.classification import log_loss_values, weighted_mean

METHODS = ("temperature", "platt", "isotonic")
FEWEST_CASES, FEWEST_EVENTS = 20, 10  # patients, and patients with each class: with fewer nothing is fitted
COLDEST, HOTTEST = 0.01, 100.0  # limits of the temperature
Probabilities = Float[np.ndarray, "*members cases classes"]


def fit(
    method: str,
    values: Float[np.ndarray, "cases classes"],
    target: Cases,
    weights: Shaped[np.ndarray, " cases"] | None = None,
) -> dict:
    """The parameters of a method, as JSON; where it cannot be fitted those of "none", with the reason.

    "temperature" divides all logits by one number T (Guo et al., ICML 2017). "platt" is a logistic regression on the log
    odds of each class, "isotonic" a monotone step-wise one (Zadrozny & Elkan, KDD 2002), each class against the rest and
    then scaled to sum to 1, which changes nothing with two classes. Isotonic probabilities stay within 1 / (cases + 2)
    of 0 and 1, Laplace's rule: a sample cannot show that an event never happens, and the log loss stays finite.
    """
    if method not in ("none", *METHODS):
        raise InputError(f"recalibration: unknown method {method!r}; use {', '.join(METHODS)} or none")
    values, target = np.asarray(values, np.float64), np.asarray(target).astype(np.int64)
    weights = np.ones(len(target)) if weights is None else np.asarray(weights, np.float64)
    if not len(target) or values.shape[1] < 2 or target.min() < 0 or target.max() >= values.shape[1]:
        raise InputError("recalibration: needs cases, a column of probabilities for each class, and known targets")
    present = np.bincount(target, weights, values.shape[1])
    if not present.all():
        return _none(f"not estimable: no case of class {int(np.argmin(present))}")
    if method == "temperature":
        return _temperature(values, target, weights)
    if method == "platt":
        return _platt(values, target, weights)
    return _isotonic(values, target, weights) if method == "isotonic" else _none()


def apply(parameters: dict, values: Probabilities) -> Probabilities:
    """Recalibrated probabilities; the last axis are the classes. "none" returns the values as they are."""
    method = parameters["method"]
    if method == "none":
        return values
    if values.shape[-1] != parameters["classes"]:
        raise InputError(f"recalibration: fitted on {parameters['classes']} classes, applied to {values.shape[-1]}")
    values = np.asarray(values, np.float64)
    if method == "temperature":
        return _softmax(np.log(np.maximum(values, CLIP)) / parameters["temperature"])
    if method == "platt":
        odds = np.asarray(parameters["intercepts"]) + np.asarray(parameters["slopes"]) * log_odds(
            values.reshape(-1)
        ).reshape(values.shape)
        found = np.clip(1 / (1 + np.exp(-np.clip(odds, -500, 500))), 1e-15, 1 - 1e-15)
    elif method == "isotonic":
        columns = [
            np.interp(values[..., k], knots["probability"], knots["recalibrated"])
            for k, knots in enumerate(parameters["knots"])
        ]
        found = np.stack(columns, axis=-1)
    else:
        raise InputError(f"recalibration: unknown method {method!r} in the stored parameters")
    return found / found.sum(-1, keepdims=True)


def choose(
    values: Float[np.ndarray, "cases classes"],
    target: Cases,
    patient: Patients,
    folds: int = 5,
    seed: int = 0,
    level: float = 0.95,
) -> dict:
    """Cross-fit every method by patient, and keep the best one if it improves the log loss of these validation cases.

    Returns JSON: `method` ("none" unless one improves, with the `reason`), `parameters` fitted on all cases, and
    `log_loss`: that of "none", and of each method with its paired `difference` (method - none; below 0 is better) and the
    interval by patient. `shown` says whether that interval excludes 0: an improvement need not be shown to be kept. (By
    simulation, waiting for that would forgo most of the gain with 60 to 200 patients, and not waiting costs .002 in log
    loss with 200 patients whose probabilities are right, .016 with 60.)
    """
    from medjax.evidence.measures import entry

    values, target = np.asarray(values, np.float64), np.asarray(target).astype(np.int64)
    cases, patients, classes = len(target), int(patient.max()) + 1, values.shape[1]
    before = log_loss_values(values, target)
    result: dict = {"cases": cases, "patients": patients, "folds": folds, "seed": seed}
    table: dict[str, dict] = {"none": {"log_loss": float(before.mean())}}
    fold, events = (
        _folds(target, patient, folds, seed),
        [intervals.count_patients(patient, target == k) for k in range(classes)],
    )
    few = _too_few(patients, events)
    for method in METHODS:
        reason, after = few, np.empty(cases)
        for k in range(folds if not few else 0):
            train, held = fold != k, fold == k
            parameters = fit(method, values[train], target[train])
            reason = reason or parameters.get("reason", "")
            after[held] = log_loss_values(apply(parameters, values[held]), target[held])
        if reason:
            table[method] = {"log_loss": None, "reason": reason}
            continue
        found, _ = comparison.predictors(
            lambda weights, after=after: weighted_mean(after, weights),
            lambda weights: weighted_mean(before, weights),
            patient,
            level=level,
        )
        table[method] = {
            "log_loss": float(after.mean()),
            "difference": entry(found, cases, patients),
            "shown": bool(found.high < 0),
        }
    fitted = [name for name in METHODS if table[name]["log_loss"] is not None]
    best = min(fitted, key=lambda name: table[name]["log_loss"], default="none")
    parameters, reason = _none(), few or "no method can be fitted"
    if fitted and table[best]["log_loss"] < table["none"]["log_loss"]:
        parameters, reason = fit(best, values, target), ""
    elif fitted:
        reason = "no method improves the cross-fitted log loss"
    reason = parameters.get("reason", reason)
    result |= {"method": parameters["method"], "parameters": parameters, "log_loss": table}
    return result | ({"reason": reason} if reason else {})


def calibration_part(
    groups: Sequence[str] | Shaped[np.ndarray, " cases"], share: float = 0.5, salt: int = 0
) -> Bool[np.ndarray, " cases"]:
    """Which validation cases are kept for recalibration and conformal sets; the others may choose the model.

    Drawn by hash of the patient's name, as splits are, so that all cases of a patient lie on one side, whoever else is
    there. Raises InputError where a side stays empty.
    """
    if not 0 < share < 1:
        raise InputError(f"calibration part: share is {share}; it must lie between 0 and 1")
    patients, of_case = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    kept = (uniform(salt, "calibration", map(str, patients)) < share)[of_case]
    if kept.all() or not kept.any():
        raise InputError(
            f"calibration part: {len(patients)} patients cannot be divided at share {share}; change the salt"
        )
    return kept


def _none(reason: str = "") -> dict:
    return {"method": "none"} | ({"reason": reason} if reason else {})


def _too_few(patients: int, events: list[int]) -> str:
    if patients < FEWEST_CASES:
        return f"not estimable: {patients} patients; {FEWEST_CASES} are needed"
    if min(events) < FEWEST_EVENTS:
        return f"not estimable: {min(events)} patients have class {int(np.argmin(events))}; {FEWEST_EVENTS} are needed"
    return ""


def _folds(target: np.ndarray, patient: Patients, folds: int, seed: int) -> np.ndarray:
    """Patients dealt to folds, those with the rarest class first, so that every fold gets its share of them."""
    if folds < 2:
        raise InputError(f"recalibration: {folds} folds; cross-fitting needs at least 2")
    counts = np.bincount(target)
    rarest = np.full(int(patient.max()) + 1, len(target))
    np.minimum.at(rarest, patient, counts[target])
    order = np.lexsort((np.random.Generator(np.random.Philox(key=seed)).random(len(rarest)), rarest))
    fold = np.empty(len(rarest), np.int64)
    fold[order] = np.arange(len(rarest)) % folds
    return fold[patient]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _temperature(values: np.ndarray, target: np.ndarray, weights: np.ndarray) -> dict:
    """The log loss is convex in 1/T: its derivative has one root, or the best T lies at a limit."""
    from scipy.optimize import root_scalar

    logits = np.log(np.maximum(values, CLIP))
    own = logits[np.arange(len(target)), target]

    def derivative(inverse: float) -> float:
        return float(weights @ ((_softmax(inverse * logits) * logits).sum(-1) - own))

    coldest, hottest = 1 / COLDEST, 1 / HOTTEST
    if derivative(hottest) >= 0:
        return _none("not estimable: the probabilities say nothing, or the opposite: no temperature is high enough")
    if derivative(coldest) <= 0:
        return _none("not estimable: the most probable class is always right, so that no temperature is low enough")
    found = root_scalar(derivative, bracket=(hottest, coldest), method="brentq", xtol=1e-14, rtol=1e-14).root
    return {"method": "temperature", "classes": values.shape[1], "temperature": 1 / float(found)}


def _platt(values: np.ndarray, target: np.ndarray, weights: np.ndarray) -> dict:
    intercepts, slopes = [], []
    for k in range(values.shape[1]):
        found = _logistic(log_odds(values[:, k]), (target == k).astype(np.float64), weights)
        if found is None:
            return _none(f"not estimable: class {k} is separated from the rest, or its probability is constant")
        intercepts.append(found[0])
        slopes.append(found[1])
    return {"method": "platt", "classes": values.shape[1], "intercepts": intercepts, "slopes": slopes}


def _logistic(odds: np.ndarray, outcome: np.ndarray, weights: np.ndarray) -> tuple[float, float] | None:
    """Maximum likelihood by Newton's method with halved steps; None where there is no finite one."""
    used = weights > 0
    inside, outside = odds[used & (outcome == 1)], odds[used & (outcome == 0)]
    if inside.min() >= outside.max() or inside.max() <= outside.min():
        return None
    centre, spread = float(odds.mean()), float(odds.std())
    design = np.stack([np.ones(len(odds)), (odds - centre) / spread], axis=-1)

    def loss(found: np.ndarray) -> float:
        linear = design @ found
        return float(weights @ (np.logaddexp(0, linear) - outcome * linear))

    found = np.zeros(2)
    for _ in range(200):
        risk = 1 / (1 + np.exp(-np.clip(design @ found, -500, 500)))
        step = np.linalg.solve(
            (design * (weights * risk * (1 - risk))[:, None]).T @ design + 1e-12 * np.eye(2),
            design.T @ (weights * (outcome - risk)),
        )
        while np.abs(step).max() > 1e-10 and loss(found + step) > loss(found):
            step = step / 2
        found = found + step
        if np.abs(step).max() < 1e-10:
            slope = float(found[1] / spread)
            return float(found[0] - slope * centre), slope
    return None


def _isotonic(values: np.ndarray, target: np.ndarray, weights: np.ndarray) -> dict:
    from scipy.optimize import isotonic_regression

    edge, knots = 1 / (float(weights.sum()) + 2), []
    for k in range(values.shape[1]):
        used = weights > 0
        levels, place = np.unique(values[used, k], return_inverse=True)
        total = np.bincount(place, weights[used])
        share = np.bincount(place, weights[used] * (target[used] == k)) / total
        fitted = np.clip(isotonic_regression(share, weights=total).x, edge, 1 - edge)
        inner = np.r_[False, (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:]), False][: len(levels)]
        knots.append({"probability": levels[~inner].tolist(), "recalibrated": fitted[~inner].tolist()})
    return {"method": "isotonic", "classes": values.shape[1], "clip": edge, "knots": knots}


__all__ = ["METHODS", "apply", "calibration_part", "choose", "fit"]
