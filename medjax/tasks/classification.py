"""Binary and multi-class classification: per-case cross-entropy, probabilities, and the metrics that judge them."""

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
            or one weight a class.
    """

    positive: str | None = None
    classes: tuple[str, ...] = ()
    target: str = "label"
    loss: Literal["softmax", "sigmoid"] = "softmax"
    label_smoothing: float = 0.0
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None

    kind: ClassVar[Literal["probability"]] = "probability"
    selectable: ClassVar[tuple[str, ...]] = ("auroc", "accuracy", "log_loss")

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

    def check(self, targets: np.ndarray, where: str) -> None:
        """Refuse labels that are no class, naming the first."""
        wrong = np.flatnonzero((targets < 0) | (targets >= len(self.classes)))
        if len(wrong):
            raise InputError(
                f"{where}: case {wrong[0]} has {self.target} {targets[wrong[0]]}; it must be 0 to {len(self.classes) - 1}"
            )

    def fit(self, targets: np.ndarray) -> dict[str, np.ndarray]:
        """Fit the class weights on the labels of the training cases (n,); returns `{"class_weights": (classes,)}`."""
        if self.class_weights is None:
            return {}
        if self.class_weights == "balanced":
            counts = np.bincount(targets, minlength=len(self.classes))
            present = counts > 0
            weights = np.where(present, len(targets) / np.maximum(counts, 1) / present.sum(), 0.0)
        else:
            weights = np.asarray(self.class_weights, np.float64)
        return {"class_weights": weights.astype(np.float32)}

    def losses(
        self, outputs: Float[Array, "batch outputs"], batch: dict[str, Any], fitted: dict[str, Any]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """Return the per-case loss and the per-case weight (the case's own weight times its class's)."""
        labels = batch[self.target]
        if self.loss == "softmax":
            values = losses.softmax_cross_entropy(outputs, labels, self.label_smoothing)
        elif self.binary:
            targets = (labels == self.positive_index).astype(outputs.dtype)
            values = losses.sigmoid_cross_entropy(outputs[:, 0], targets, self.label_smoothing)
        else:
            targets = jax.nn.one_hot(labels, len(self.classes), dtype=outputs.dtype)
            values = losses.sigmoid_cross_entropy(outputs, targets, self.label_smoothing).sum(-1)
        weights = batch["weight"].astype(values.dtype)
        if "class_weights" in fitted:
            weights = weights * fitted["class_weights"][labels].astype(values.dtype)
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
