"""Predictions in memory: what the models of a run, or of any tool, say about the same cases."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from medjax.errors import InputError


@dataclass(frozen=True)
class Predictions:
    """What the members (seeds) of a run predict for its cases.

    In cross-validation each case is predicted by the members of its own fold, so that members are seeds and `fold` says
    which fold a case lies in (-1 without folds). `group` is the patient. `replicate` numbers the member, or, with folds,
    the replicate that predicted this case.

    `kind` says what the outputs are, and how an unknown target is marked: "probability" of classes and "grade", the same
    of ordered classes (-1); "labels", a probability for each of several labels, targets (cases, labels) (NaN); "value", a
    number, and where `quantiles` are named these after it (NaN); "survival", a risk and the survival at `times`, or with
    competing `classes` a risk of each and then the incidence of each at `times`, targets (cases, 2), the time and the
    number of the event, 0 for censored (NaN), judged at some of these times, the `horizons`; "segmentation", for each of the
    `classes` (without the background) the `measures` of its mask, some of `medjax.metrics.segmentation.MEASURES` with Dice
    among them, targets (cases, classes) the true volumes (NaN). `attributes` are what results are broken down by (sex,
    site, ...), as text, "" where unknown. `pooled` is what all members say together, where that is not the mean of what each
    says: the measures of the label map that their mean probabilities give.
    """

    id: Shaped[np.ndarray, " cases"]
    group: Shaped[np.ndarray, " cases"]
    target: Shaped[np.ndarray, "cases *labels"]
    values: Float[np.ndarray, "members cases outputs"]
    replicate: Int[np.ndarray, " members"] | Int[np.ndarray, "members cases"]
    seed: Int[np.ndarray, " members"]
    fold: Int[np.ndarray, " cases"]
    kind: Literal["probability", "grade", "labels", "value", "survival", "segmentation"]
    classes: tuple[str, ...] = ()
    quantiles: tuple[float, ...] = ()
    times: tuple[float, ...] = ()
    horizons: tuple[float, ...] = ()
    measures: tuple[str, ...] = ()
    attributes: dict[str, Shaped[np.ndarray, " cases"]] = field(default_factory=dict)
    pooled: Float[np.ndarray, "cases outputs"] | None = None

    def __post_init__(self) -> None:
        """Refuse what no later step could give a meaning."""
        cases = len(self.id)
        if not self.values.shape[0] or not cases:
            raise InputError("predictions: no case or no member; check the split")
        lengths = {len(x) for x in (self.group, self.target, self.fold, *self.attributes.values())}
        if lengths != {cases}:
            raise InputError("predictions: id, group, target, fold and attributes must have one entry a case")
        if len(np.unique(self.id)) != cases:
            raise InputError("predictions: case ids repeat; give every case its own id")
        if self.values.shape[2] != len(outputs(self)):
            raise InputError(f"predictions: {self.values.shape[2]} outputs where {', '.join(outputs(self))} are named")
        by_class = (len(self.classes),)
        columns = {"labels": by_class, "segmentation": by_class, "survival": (2,)}.get(self.kind, ())
        if self.target.shape[1:] != columns:
            raise InputError(f"predictions: targets of shape {self.target.shape} do not fit the kind '{self.kind}'")
        if not np.all(np.isfinite(self.values)):
            member, case, _ = np.argwhere(~np.isfinite(self.values))[0]
            raise InputError(f"predictions: case {self.id[case]}, seed {self.seed[member]} is NaN or infinite")
        if self.pooled is not None and self.pooled.shape != self.values.shape[1:]:
            raise InputError(f"predictions: pooled ones of shape {self.pooled.shape} beside {self.values.shape}")
        if self.pooled is not None and not np.all(np.isfinite(self.pooled)):
            raise InputError("predictions: a pooled output is NaN or infinite")


def ensemble(predictions: Predictions) -> Float[np.ndarray, "cases outputs"]:
    """The predictor that is reported: what the members say together, which is their mean unless they are `pooled`."""
    return predictions.values.mean(axis=0) if predictions.pooled is None else predictions.pooled


def outputs(predictions: Predictions) -> list[str]:
    """The names of the outputs, which are the columns of the file."""
    if predictions.kind == "value":
        return ["prediction", *(f"quantile_{level!r}" for level in predictions.quantiles)]
    if predictions.kind == "survival":
        times = [f"{time:g}" for time in predictions.times]
        if not predictions.classes:
            return ["risk", *(f"survival_{time}" for time in times)]
        risks = [f"risk_{name}" for name in predictions.classes]
        return [*risks, *(f"incidence_{name}_{time}" for name in predictions.classes for time in times)]
    if predictions.kind == "segmentation":
        return [f"{measure}_{name}" for name in predictions.classes for measure in predictions.measures]
    return [f"probability_{name}" for name in predictions.classes]


def select(predictions: Predictions, cases: Shaped[np.ndarray, " chosen"]) -> Predictions:
    """The predictions of some cases, by index or mask."""
    replicate = predictions.replicate if predictions.replicate.ndim == 1 else predictions.replicate[:, cases]
    return replace(
        predictions,
        id=predictions.id[cases],
        group=predictions.group[cases],
        target=predictions.target[cases],
        values=predictions.values[:, cases],
        pooled=None if predictions.pooled is None else predictions.pooled[cases],
        replicate=replicate,
        fold=predictions.fold[cases],
        attributes={name: values[cases] for name, values in predictions.attributes.items()},
    )


def known(predictions: Predictions) -> Shaped[np.ndarray, " cases"]:
    """Which cases have a target (of several labels: at least one; of survival: time and event)."""
    if predictions.kind in ("probability", "grade"):
        return predictions.target >= 0
    found = np.isfinite(predictions.target)
    if predictions.kind == "survival":
        return np.all(found, axis=-1)
    return np.any(found, axis=-1) if found.ndim > 1 else found


def _shown(times: tuple[float, ...]) -> str:
    return f"{len(times)} times from {times[0]:g} to {times[-1]:g}" if times else "no times"


def aligned(
    other: Predictions,
    predictions: Predictions,
    *,
    names: tuple[str, str] = ("the reference", "these predictions"),
    exact: bool = False,
) -> Predictions:
    """`other` in the order of `predictions`; cases that only `other` has are left out, or, with `exact`, refused.

    `names` are those of the two in messages. Targets that are numbers may differ by 1e-6 of their size: tools print them
    with few digits.

    Raises:
        InputError: other classes, cases, targets, patients or folds; a case is named.
    """
    where = f"comparison: {names[0]}"
    if other.classes != predictions.classes or other.kind != predictions.kind:
        raise InputError(
            f"{where} has classes {other.classes} ({other.kind}), not {predictions.classes} ({predictions.kind}) as {names[1]}"
        )
    if other.times != predictions.times:
        raise InputError(
            f"{where} has curves at {_shown(other.times)}, not at {_shown(predictions.times)} as {names[1]}; give task.until, "
            "task.points and task.horizons the same values"
        )
    if other.measures != predictions.measures:
        told = (", ".join(one.measures) for one in (other, predictions))
        raise InputError("{} has the measures {}, not {} as {}".format(where, *told, names[1]))
    if other.quantiles != predictions.quantiles:
        raise InputError(f"{where} has quantiles {other.quantiles}, not {predictions.quantiles} as {names[1]}")
    place = {name: k for k, name in enumerate(other.id.tolist())}
    missing = [name for name in predictions.id.tolist() if name not in place]
    if missing:
        raise InputError(
            f"{where} lacks {len(missing)} cases of {names[1]}, such as {missing[0]}; predict the same cases"
        )
    if exact and len(other.id) > len(predictions.id):
        own = set(predictions.id.tolist())
        extra = [name for name in other.id.tolist() if name not in own]
        raise InputError(
            f"{where} has {len(extra)} cases that {names[1]} lacks, such as {extra[0]}; predict the same cases"
        )
    other = select(other, np.array([place[name] for name in predictions.id.tolist()]))
    targets = other.target.astype(np.float64), predictions.target.astype(np.float64)
    same = np.isclose(*targets, rtol=1e-6, atol=0.0, equal_nan=True).reshape(len(other.id), -1).all(-1)
    for agrees, what in (
        (same, "another target"),
        (other.group == predictions.group, "another patient (give both the same column 'group')"),
        (other.fold == predictions.fold, "another fold (compare predictions made with the same folds)"),
    ):
        if not np.all(agrees):
            case = np.flatnonzero(~np.asarray(agrees))[0]
            raise InputError(f"{where} has {what} for case {predictions.id[case]} than {names[1]}")
    return other
