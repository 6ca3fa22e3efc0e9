"""Which figures a run gets, drawn from its predictions, its evaluation and metrics.jsonl."""

from typing import Any

import numpy as np

from medjax.evidence import calibration
from medjax.evidence.agreement import agreement
from medjax.evidence.intervals import patient_codes
from medjax.evidence.predictions import Predictions, ensemble, known, select
from medjax.report.page import curves, figures, masks, time_to_event
from medjax.report.page.curves import Curve
from medjax.report.page.figures import Drawn
from medjax.report.page.reading import RunFolder
from medjax.report.page.tables import clustered
from medjax.report.page.wording import UNKNOWN, interval

_TRAINING = 4  # metrics of training that are drawn
_RESAMPLES = 20_000_000  # cases drawn for the band of the reliability curve


def evaluated(run: RunFolder) -> list[Drawn]:
    """The figures of the reported split."""
    predictions = run.judged
    predictions = select(predictions, np.flatnonzero(known(predictions)))
    level, seed = float(run.evaluation.get("level", 0.95)), int(run.record.get("seed", 0))
    if predictions.kind == "value":
        return _values(run, predictions, level, seed)
    if predictions.kind == "survival":
        return time_to_event.figures(run)
    if predictions.kind == "segmentation":
        return masks.figures(run)
    found = _ranking(run, predictions, level, seed)
    positive = _positive(run, predictions)
    if positive is not None:
        found.append(_reliability(run, predictions, positive, level, seed))
    return found + _decision_curves(run, predictions, positive, level, seed)


def trained(run: RunFolder) -> list[Drawn]:
    """Loss and validation metrics over the steps of training."""
    found = curves.training(run.training, run.record.get("steps"), run.record.get("replicates", []))
    order = sorted(found, key=lambda name: (name != "loss", name))
    return [figures.training(name, found[name]) for name in order[:_TRAINING]]


def _positive(run: RunFolder, predictions: Predictions) -> int | None:
    name = run.evaluation.get("counts", {}).get("positive")
    if predictions.kind != "probability" or len(predictions.classes) != 2 or name not in predictions.classes:
        return None
    return predictions.classes.index(name)


def _ranking(run: RunFolder, predictions: Predictions, level: float, seed: int) -> list[Drawn]:
    """ROC and precision-recall: of the positive class of two, or of each class or label against the rest."""
    mean, positive = ensemble(predictions), _positive(run, predictions)
    fold = predictions.fold if np.any(predictions.fold >= 0) else None
    roc, recall = [], []
    for k, name in enumerate(predictions.classes):
        if positive is not None and k != positive:
            continue
        column = predictions.target[:, k] if predictions.kind == "labels" else predictions.target == k
        rows = np.flatnonzero(np.isfinite(column.astype(np.float64)))
        own = column[rows] == 1
        if own.all() or not own.any():
            continue
        patient = patient_codes(predictions.group[rows])
        score, folds = mean[rows, k], None if fold is None else fold[rows]
        roc.append(curves.roc(name, score, own, patient, folds, level=level, seed=seed))
        recall.append(curves.precision_recall(name, score, own, patient, level=level, seed=seed))
    if not roc:
        return []
    points = []
    matrix, threshold = run.evaluation.get("metrics", {}), run.evaluation.get("threshold")
    rates = [matrix.get(name, {}).get("estimate") for name in ("specificity", "sensitivity")]
    if positive is not None and fold is None and threshold is not None and None not in rates:
        points = [(f"frozen threshold {threshold:.3g}", 1 - rates[0], rates[1])]
    prevalence = None if positive is None else float((predictions.target == positive).mean())
    return [
        figures.roc(roc, points, level, fold is not None),
        figures.precision_recall(recall, prevalence, level),
    ]


def _reliability(run: RunFolder, predictions: Predictions, positive: int, level: float, seed: int) -> Drawn:
    """With the stored band, or one made by the same function where none is stored."""
    score, target = ensemble(predictions)[:, positive], predictions.target == positive
    found = run.evaluation.get("calibration", {}).get("band")
    if not found:
        resamples = int(np.clip(_RESAMPLES // len(score), 100, 1000))
        found = calibration.reliability_band(
            score, target, patient_codes(predictions.group), level=level, resamples=resamples, seed=seed
        )
    x, low, high = (np.array(found[key], np.float64) for key in ("grid", "low", "high"))
    band = Curve("were the probabilities right", x, x, low, high)
    order = [positive, 1 - positive]
    counts = {predictions.classes[k]: np.histogram(score[predictions.target == k], 20, (0.0, 1.0))[0] for k in order}
    return figures.reliability(curves.corp(score, target), band, counts, clustered(predictions), level)


def _decision_curves(
    run: RunFolder, predictions: Predictions, positive: int | None, level: float, seed: int
) -> list[Drawn]:
    """The stored decision curve of the positive class; made from the predictions by the same function where none is."""
    if positive is None:
        return []
    stored = run.evaluation.get("decision_curve") or {}
    stored = stored if "thresholds" in stored else stored.get(predictions.classes[positive])
    if not stored:
        from medjax.evidence.decision_curve import decision_curves

        stored = decision_curves(predictions, positive=positive, level=level, seed=seed)[predictions.classes[positive]]
    columns = decision_columns(stored)
    return [figures.decision_curve(columns, str(stored.get("summary", "")), level)] if columns else []


def decision_columns(stored: dict[str, Any]) -> dict[str, np.ndarray]:
    """The columns of the decision curve's CSV; empty where it could not be estimated."""
    if "model" not in stored or "treat_all" not in stored:
        return {}
    columns = {"threshold": stored["thresholds"]}
    for key, name in (("model", "model"), ("treat_all", "treat all"), ("difference", "difference to the better")):
        part = stored.get(key, {})
        words = {"estimate": "", "low": " low", "high": " high", "band_low": " band low", "band_high": " band high"}
        columns |= {f"{name}{words[end]}": part[end] for end in words if end in part}
    return {name: np.array(values, np.float64) for name, values in columns.items()}


def _values(run: RunFolder, predictions: Predictions, level: float, seed: int) -> list[Drawn]:
    predicted, observed = ensemble(predictions)[:, 0], np.asarray(predictions.target, np.float64)
    unit = str(run.config.get("task", {}).get("unit", "") or "")
    limits = agreement(predicted, observed, patient_codes(predictions.group), level=level, seed=seed)
    return [
        figures.predicted_observed(predicted, observed, unit),
        figures.bland_altman(predicted, observed, limits, unit),
    ]


def agreement_words(run: RunFolder) -> list[list[str]]:
    """Bias and limits of agreement as rows of a table."""
    predictions = run.judged
    predictions = select(predictions, np.flatnonzero(known(predictions)))
    if predictions.kind == "segmentation":
        return masks.agreement(run)
    if predictions.kind != "value":
        return []
    from medjax.evidence.measures import entry

    limits = agreement(
        ensemble(predictions)[:, 0], np.asarray(predictions.target, np.float64), patient_codes(predictions.group),
        level=float(run.evaluation.get("level", 0.95)), seed=int(run.record.get("seed", 0)),
    )  # fmt: skip
    entries = {name: entry(found, len(predictions.id), 0) for name, found in limits.items()}
    return [[name, interval(one, "mean_absolute_error"), one["method"] or UNKNOWN] for name, one in entries.items()]
