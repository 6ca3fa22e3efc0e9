"""Binary and multi-class classification: cross-entropy or focal loss a case, probabilities, and what judges them."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from medjax import losses
from medjax.errors import InputError
from medjax.metrics import classification as metrics


@dataclass(frozen=True)
class Classification:
    """One label out of several classes.

    Attributes:
        positive: the class that sensitivity, PPV and AUROC are about; required where there are two classes, because
            data sets disagree on what label 1 means.
        classes: the classes in the order of their labels; empty: those of the data set.
        target: the key of the case that holds the label.
        loss: "softmax" (one output a class) or "sigmoid" (two classes: one output, the positive class's logit;
            more: one output a class, each against the rest, normalised to sum to one in `predict`).
        label_smoothing: share of the target that is spread over all classes.
        class_weights: None, "balanced" (inverse to the class counts of the training cases, mean 1 over these cases),
            or one weight a class; with `soft_target` a case weighs what its class probabilities expect.
        focal: exponent of the focal loss (Lin et al. 2017, arXiv:1708.02002); 0 is cross-entropy.
        soft_target: the key that holds class probabilities, such as the votes of several readers ("soft_label"); the
            loss learns these, while every metric still compares with `target`. None: the loss learns `target`.
    """

    positive: str | None = None
    classes: tuple[str, ...] = ()
    target: str = "label"
    loss: Literal["softmax", "sigmoid"] = "softmax"
    label_smoothing: float = 0.0
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    focal: float | int = 0.0
    soft_target: str | None = None

    kind: ClassVar[Literal["probability"]] = "probability"
    selectable: ClassVar[tuple[str, ...]] = ("auroc", "accuracy", "log_loss")
    quantile_levels: ClassVar[tuple[float, ...]] = ()
    times: ClassVar[tuple[float, ...]] = ()
    horizons: ClassVar[tuple[float, ...]] = ()
    context: ClassVar[tuple[str, ...]] = ()

    def resolve(self, classes: tuple[str, ...]) -> "Classification":
        """Fill in the data set's classes and check that the positive class is one of them."""
        task = replace(self, classes=self.classes or tuple(classes))
        if len(task.classes) < 2:
            raise InputError(f"classification needs at least two classes; the data set names {list(classes) or 'none'}")
        if classes and task.classes != tuple(classes):
            raise InputError(f"task.classes {list(task.classes)} differ from the data set's {list(classes)}")
        if len(task.classes) == 2 and task.positive is None:
            raise InputError(f"task.positive is missing: name the positive class, one of {list(task.classes)}")
        if task.positive is not None and task.positive not in task.classes:
            raise InputError(f"task.positive '{task.positive}' is not a class; the classes are {list(task.classes)}")
        if not 0 <= task.label_smoothing < 1:
            raise InputError(f"task.label_smoothing {task.label_smoothing} must be at least 0 and below 1")
        if isinstance(task.class_weights, tuple) and len(task.class_weights) != len(task.classes):
            raise InputError(f"task.class_weights needs {len(task.classes)} numbers, one a class")
        if not task.focal >= 0:
            raise InputError(f"task.focal {task.focal} must be at least 0; 0 is cross-entropy")
        if task.soft_target == task.target:
            raise InputError(
                f"task.soft_target and task.target are both '{task.target}'; the first holds class probabilities, the "
                "second the label that metrics compare with"
            )
        return task

    @property
    def binary(self) -> bool:
        """Whether there are two classes."""
        return len(self.classes) == 2

    @property
    def positive_index(self) -> int | None:
        """The label of the positive class, or None where there is none."""
        return None if self.positive is None else self.classes.index(self.positive)

    @property
    def outputs(self) -> int:
        """How many numbers the model must give a case."""
        return 1 if self.loss == "sigmoid" and self.binary else len(self.classes)

    @property
    def targets(self) -> tuple[str, ...]:
        """The keys of a case that the loss and the metrics read."""
        return (self.target,) if self.soft_target is None else (self.target, self.soft_target)

    def check(self, targets: np.ndarray, where: str, soft: np.ndarray | None = None) -> None:
        """Refuse labels that are no class, and soft labels (n, classes) that are no distribution; the first is named."""
        check_labels(targets, len(self.classes), self.target, where)
        if soft is None:
            return
        if soft.ndim != 2 or soft.shape[1] != len(self.classes):
            raise InputError(f"{where}: {self.soft_target} needs {len(self.classes)} probabilities a case, one a class")
        with np.errstate(invalid="ignore"):
            fine = (soft >= 0).all(-1) & (np.abs(soft.sum(-1) - 1) < 1e-3)
        if not fine.all():
            case = int(np.flatnonzero(~fine)[0])
            raise InputError(
                f"{where}: case {case} has {self.soft_target} {np.round(soft[case], 4).tolist()}; it must be class "
                "probabilities that sum to 1 (of a single reader: 1 for that class)"
            )

    def fit(self, targets: np.ndarray) -> dict[str, np.ndarray]:
        """Fit the class weights on the labels of the training cases (n,); returns `{"class_weights": (classes,)}`."""
        return class_weights(self.class_weights, targets, len(self.classes))

    def losses(
        self, outputs: Float[Array, "batch outputs"], batch: dict[str, Any], fitted: dict[str, Any]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """Return the per-case loss and the per-case weight (the case's own weight times its class's)."""
        labels = batch[self.target]
        if self.soft_target is not None:
            wanted = batch[self.soft_target].astype(outputs.dtype)
        else:
            wanted = jax.nn.one_hot(labels, len(self.classes), dtype=outputs.dtype)
        if self.loss == "softmax" and self.soft_target is None and not self.focal:
            values = losses.softmax_cross_entropy(outputs, labels, self.label_smoothing)
        elif self.loss == "softmax":
            values = losses.soft_cross_entropy(outputs, wanted, self.label_smoothing, self.focal)
        elif self.binary:
            own = wanted[:, self.positive_index]
            values = losses.sigmoid_cross_entropy(outputs[:, 0], own, self.label_smoothing, self.focal)
        else:
            values = losses.sigmoid_cross_entropy(outputs, wanted, self.label_smoothing, self.focal).sum(-1)
        weights = batch["weight"].astype(values.dtype)
        if "class_weights" in fitted:
            of_class = fitted["class_weights"].astype(values.dtype)
            soft = self.soft_target is not None
            weights = weights * (wanted.astype(values.dtype) @ of_class if soft else of_class[labels])
        return values, weights

    def predict(self, outputs: Float[Array, "batch outputs"], fitted: dict[str, Any]) -> Float[Array, "batch classes"]:
        """Return class probabilities, which sum to one."""
        del fitted
        if self.loss == "softmax":
            return jax.nn.softmax(outputs, axis=-1)
        if self.binary:
            probability = jax.nn.sigmoid(outputs)
            columns = (1 - probability, probability) if self.positive_index == 1 else (probability, 1 - probability)
            return jnp.concatenate(columns, axis=-1)
        # p / sum(p) with p = sigmoid(outputs), in logarithms: where every p underflows there is still a sum of one.
        return jax.nn.softmax(jax.nn.log_sigmoid(outputs), axis=-1)

    def score(self, name: str, predictions: Float[np.ndarray, "n classes"], targets: Int[np.ndarray, " n"]) -> float:
        """Return one validation metric of predictions, larger is better (losses are negated)."""
        if name == "log_loss":
            chosen = np.take_along_axis(predictions, targets[:, None], 1)[:, 0]
            return -float(-np.log(np.clip(chosen, 1e-7, 1)).mean())
        hard = predictions.argmax(-1)
        if name == "accuracy":
            return float((hard == targets).mean())
        if name == "auroc":
            present = np.unique(targets)
            if len(present) < 2:
                raise InputError(
                    f"AUROC is undefined: all {len(targets)} validation cases are '{self.classes[int(present[0])]}'; "
                    "choose another training.select (accuracy, log_loss) or another split"
                )
            if self.binary:
                index = self.positive_index
                return float(metrics.auroc(predictions[:, index], targets == index))
            return float(np.mean([metrics.auroc(predictions[:, k], targets == k) for k in present]))
        raise InputError(f"training.select '{name}' is unknown; known: {', '.join(self.selectable)}")


def check_labels(targets: np.ndarray, classes: int, key: str, where: str) -> None:
    """Refuse labels that are no class, naming the first."""
    wrong = np.flatnonzero((targets < 0) | (targets >= classes))
    if len(wrong):
        raise InputError(f"{where}: case {wrong[0]} has {key} {targets[wrong[0]]}; it must be 0 to {classes - 1}")


def class_weights(
    spec: Literal["balanced"] | tuple[float, ...] | None, targets: np.ndarray, classes: int
) -> dict[str, np.ndarray]:
    """Class weights as a task states them: `{"class_weights": (classes,)}`, or nothing where `spec` is None.

    "balanced" is inverse to the counts of the labels `targets` (n,), with mean 1 over these cases.
    """
    if spec is None:
        return {}
    if spec == "balanced":
        counts = np.bincount(targets, minlength=classes)
        present = counts > 0
        weights = np.where(present, len(targets) / np.maximum(counts, 1) / present.sum(), 0.0)
    else:
        weights = np.asarray(spec, np.float64)
    return {"class_weights": weights.astype(np.float32)}
