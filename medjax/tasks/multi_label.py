"""Multi-label classification: several yes-or-no labels a case, each of which may be unknown."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from medjax import losses
from medjax.errors import InputError
from medjax.metrics import multi_label as metrics


@dataclass(frozen=True)
class MultiLabel:
    """Several labels a case, by cross-entropy (or focal loss) of each; NaN marks an unknown one, which is left out.

    Attributes:
        classes: the labels in the order of the columns; empty: those of the data set.
        target: the key of the case that holds the labels: (labels,) with 0, 1 or NaN.
        label_smoothing: `a`: targets become `(1 - a) * target + a / 2`.
        focal: exponent of the focal loss (Lin et al. 2017); 0 is cross-entropy.
        positive_weights: how much more a positive answer weighs than a negative one, for each label: None (1),
            "balanced" (negatives divided by positives among the training cases), or one number a label.
    """

    classes: tuple[str, ...] = ()
    target: str = "labels"
    label_smoothing: float = 0.0
    focal: float | int = 0.0
    positive_weights: Literal["balanced"] | tuple[float, ...] | None = None

    kind: ClassVar[Literal["labels"]] = "labels"
    selectable: ClassVar[tuple[str, ...]] = ("auroc", "accuracy", "log_loss")
    positive: ClassVar[None] = None
    positive_index: ClassVar[None] = None
    quantile_levels: ClassVar[tuple[float, ...]] = ()
    times: ClassVar[tuple[float, ...]] = ()
    horizons: ClassVar[tuple[float, ...]] = ()
    context: ClassVar[tuple[str, ...]] = ()

    def resolve(self, classes: tuple[str, ...]) -> "MultiLabel":
        """Fill in the data set's labels."""
        task = replace(self, classes=self.classes or tuple(classes))
        if not task.classes:
            raise InputError("multi-label classification needs the names of its labels; give task.classes")
        if classes and task.classes != tuple(classes):
            raise InputError(f"task.classes {list(task.classes)} differ from the data set's {list(classes)}")
        if not 0 <= task.label_smoothing < 1:
            raise InputError(f"task.label_smoothing {task.label_smoothing} must be at least 0 and below 1")
        if not task.focal >= 0:
            raise InputError(f"task.focal {task.focal} must be at least 0; 0 is cross-entropy")
        if isinstance(task.positive_weights, tuple):
            if len(task.positive_weights) != len(task.classes):
                raise InputError(f"task.positive_weights needs {len(task.classes)} numbers, one a label")
            if min(task.positive_weights) <= 0:
                raise InputError("task.positive_weights must be positive")
        return task

    @property
    def outputs(self) -> int:
        """How many numbers the model must give a case: the log-odds of each label."""
        return len(self.classes)

    @property
    def targets(self) -> tuple[str, ...]:
        """The keys of a case that the loss reads."""
        return (self.target,)

    def check(self, targets: Float[np.ndarray, "n labels"], where: str) -> None:
        """Refuse another number of labels, answers other than 0, 1 and NaN, and data without any known label."""
        if targets.ndim != 2 or targets.shape[1] != len(self.classes):
            raise InputError(f"{where}: {self.target} has {targets.shape[1:]} entries; the labels are {self.classes}")
        wrong = np.argwhere(~np.isin(targets, (0, 1)) & ~np.isnan(targets))
        if len(wrong):
            case, label = wrong[0]
            raise InputError(
                f"{where}: case {case} has {targets[case, label]} for '{self.classes[label]}'; it must be 0, 1 or NaN"
            )
        if not np.isfinite(targets).any():
            raise InputError(f"{where}: no case has a known label")

    def fit(self, targets: Float[np.ndarray, "n labels"]) -> dict[str, np.ndarray]:
        """Fit the weights of positive answers on the training cases; returns `{"positive_weights": (labels,)}`."""
        if self.positive_weights is None:
            return {}
        if self.positive_weights == "balanced":
            positives, negatives = (targets == 1).sum(0), (targets == 0).sum(0)
            known = (positives > 0) & (negatives > 0)
            weights = np.where(known, negatives / np.maximum(positives, 1), 1.0)
        else:
            weights = np.asarray(self.positive_weights, np.float64)
        return {"positive_weights": weights.astype(np.float32)}

    def losses(
        self, outputs: Float[Array, "batch labels"], batch: dict[str, Any], fitted: dict[str, Any]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """Return each case's mean over its known labels, and as weight how many these are times the case's own weight.

        So the sum of loss by weight over the sum of weights counts every known label once, and a case of which nothing
        is known not at all.
        """
        targets = batch[self.target].astype(outputs.dtype)
        each = losses.sigmoid_cross_entropy(outputs, targets, self.label_smoothing, self.focal)
        if "positive_weights" in fitted:
            factor = fitted["positive_weights"].astype(each.dtype)[None, :]
            each = each * jnp.where(targets == 1, factor, 1.0)
        count = (~jnp.isnan(targets)).sum(-1).astype(each.dtype)
        return each.sum(-1) / jnp.maximum(count, 1), batch["weight"].astype(each.dtype) * count

    def predict(self, outputs: Float[Array, "batch labels"], fitted: dict[str, Any]) -> Float[Array, "batch labels"]:
        """Return the probability of each label."""
        del fitted
        return jax.nn.sigmoid(outputs)

    def score(
        self, name: str, predictions: Float[np.ndarray, "n labels"], targets: Shaped[np.ndarray, "n labels"]
    ) -> float:
        """Return one validation metric of predictions, larger is better (losses are negated)."""
        targets = np.asarray(targets, np.float64)
        if name not in self.selectable:
            raise InputError(f"training.select '{name}' is unknown; known: {', '.join(self.selectable)}")
        if name == "log_loss":
            value = -float(metrics.mean_error("log_loss", np.clip(predictions, 1e-7, 1 - 1e-7), targets))
        elif name == "accuracy":
            value = float(metrics.macro_ratio("accuracy", predictions >= 0.5, targets))
        else:
            value = float(metrics.macro_auroc(predictions, targets))
        if not np.isfinite(value):
            raise InputError(
                f"{name} is undefined: no label has both a positive and a negative validation case; choose another "
                "training.select (log_loss) or another split"
            )
        return value
