"""Ordinal classification: one grade out of several ordered ones, by CORN or, to compare, by plain cross-entropy."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from medjax import losses
from medjax.errors import InputError
from medjax.metrics import classification, ordinal
from medjax.tasks.classification import check_labels, class_weights


@dataclass(frozen=True)
class Ordinal:
    """One grade out of three or more ordered ones.

    CORN learns the chain of questions "above k, given above k - 1?", so its probabilities are a distribution for any
    outputs of the model (Shi, Cao & Raschka 2021, arXiv:2111.08851). The predicted grade is the median of the
    distribution, for both losses, so that they are compared under one rule.

    Attributes:
        classes: the grades from the lowest to the highest; empty: those of the data set.
        target: the key of the case that holds the grade, counted from 0.
        loss: "corn" (one output for each grade but the last) or "softmax" (one a grade; the order is not used).
        class_weights: None, "balanced" (inverse to the counts of the training cases), or one weight a grade.
    """

    classes: tuple[str, ...] = ()
    target: str = "label"
    loss: Literal["corn", "softmax"] = "corn"
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None

    kind: ClassVar[Literal["grade"]] = "grade"
    selectable: ClassVar[tuple[str, ...]] = (
        "quadratic_weighted_kappa",
        "mean_absolute_grade_error",
        "accuracy",
        "log_loss",
    )
    positive: ClassVar[None] = None
    positive_index: ClassVar[None] = None
    quantile_levels: ClassVar[tuple[float, ...]] = ()
    times: ClassVar[tuple[float, ...]] = ()
    horizons: ClassVar[tuple[float, ...]] = ()
    context: ClassVar[tuple[str, ...]] = ()

    def resolve(self, classes: tuple[str, ...]) -> "Ordinal":
        """Fill in the data set's grades."""
        task = replace(self, classes=self.classes or tuple(classes))
        if len(task.classes) < 3:
            raise InputError(
                f"an ordinal task needs three or more grades, lowest first; the data set names {list(classes) or 'none'} "
                "(of two classes use Classification)"
            )
        if classes and task.classes != tuple(classes):
            raise InputError(f"task.classes {list(task.classes)} differ from the data set's {list(classes)}")
        if isinstance(task.class_weights, tuple) and len(task.class_weights) != len(task.classes):
            raise InputError(f"task.class_weights needs {len(task.classes)} numbers, one a grade")
        return task

    @property
    def outputs(self) -> int:
        """How many numbers the model must give a case."""
        return len(self.classes) - (self.loss == "corn")

    @property
    def targets(self) -> tuple[str, ...]:
        """The keys of a case that the loss reads."""
        return (self.target,)

    def check(self, targets: np.ndarray, where: str) -> None:
        """Refuse labels that are no grade, naming the first."""
        check_labels(targets, len(self.classes), self.target, where)

    def fit(self, targets: np.ndarray) -> dict[str, np.ndarray]:
        """Fit the weights of the grades on the training cases (n,); returns `{"class_weights": (grades,)}`."""
        return class_weights(self.class_weights, targets, len(self.classes))

    def losses(
        self, outputs: Float[Array, "batch outputs"], batch: dict[str, Any], fitted: dict[str, Any]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """Return the per-case loss and weight; with CORN a case weighs as many questions as it answers."""
        labels = batch[self.target]
        weights = batch["weight"].astype(jnp.float32)
        if self.loss == "corn":
            questions = losses.corn_questions(labels, outputs.shape[-1]).astype(jnp.float32)
            values = losses.corn(outputs, labels).sum(-1) / jnp.maximum(questions, 1)
            weights = weights * questions
        else:
            values = losses.softmax_cross_entropy(outputs, labels)
        if "class_weights" in fitted:
            weights = weights * fitted["class_weights"][labels].astype(weights.dtype)
        return values, weights.astype(values.dtype)

    def predict(self, outputs: Float[Array, "batch outputs"], fitted: dict[str, Any]) -> Float[Array, "batch grades"]:
        """Return the probabilities of the grades, which sum to one."""
        del fitted
        if self.loss == "softmax":
            return jax.nn.softmax(outputs, axis=-1)
        above, not_above = jax.nn.log_sigmoid(outputs), jax.nn.log_sigmoid(-outputs)
        zero = jnp.zeros_like(outputs[:, :1])
        reached = jnp.concatenate([zero, jnp.cumsum(above, axis=-1)], axis=-1)  # log P(grade >= k)
        return jnp.exp(reached + jnp.concatenate([not_above, zero], axis=-1))

    def score(self, name: str, predictions: Float[np.ndarray, "n grades"], targets: Int[np.ndarray, " n"]) -> float:
        """Return one validation metric of predictions, larger is better (errors and losses are negated)."""
        if name not in self.selectable:
            raise InputError(f"training.select '{name}' is unknown; known: {', '.join(self.selectable)}")
        if name == "log_loss":
            return -float(classification.log_loss(np.clip(predictions, 1e-7, 1), targets))
        grade = ordinal.median_grade(predictions)
        if name == "accuracy":
            return float(classification.accuracy(grade, targets))
        if name == "mean_absolute_grade_error":
            return -float(ordinal.mean_absolute_grade_error(grade, targets))
        value = float(ordinal.quadratic_weighted_kappa(grade, targets, classes=len(self.classes)))
        if not np.isfinite(value):
            # One true grade, and only that predicted. With two true grades this cannot happen.
            raise InputError(
                f"the quadratic-weighted kappa is undefined: all {len(targets)} validation cases have one grade; choose "
                "another training.select (mean_absolute_grade_error, log_loss) or another split"
            )
        return value
