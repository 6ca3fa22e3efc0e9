"""Segmentation: the class of every voxel, learnt by soft Dice (or Tversky) and cross-entropy a case."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from medjax import segmentation_losses as losses
from medjax.augment.patch import random_patch
from medjax.errors import InputError


@dataclass(frozen=True)
class Segmentation:
    """The class of every voxel; class 0 is the background.

    Volumes may differ in size. For training they are laid centred onto a common canvas, around which voxels are unknown,
    and a patch of it is drawn for every case and step. Predictions are made through a sliding window of the patch's size,
    on the case as it is.

    Attributes:
        classes: names by number, the background first; empty: those of the data set.
        target: the key of the case that holds the label map.
        loss: "dice" (soft Dice + cross-entropy), "tversky" (Tversky + cross-entropy) or "cross_entropy".
        false_positives: weight of false positives in the Tversky loss; false negatives weigh the rest to 1.
        patch: size in space of what the model sees at once; empty: the whole canvas.
        foreground: share of the patches that are centred on a voxel of a foreground class (each class that a case has is
            equally likely) instead of anywhere.
        overlap: of neighbouring windows, as a share of their side (Isensee et al. 2021 take one half).
        flips: axes of space along which a case is also predicted mirrored; all combinations are averaged.
        components: "all", or only the "largest" connected component of every foreground class is kept, or "choose": the
            largest where that has the better mean Dice on validation cases (in cross-validation on a part of the training
            cases, `data.splits.hold_back`).
    """

    classes: tuple[str, ...] = ()
    target: str = "segmentation"
    loss: Literal["dice", "tversky", "cross_entropy"] = "dice"
    false_positives: float | int = 0.3
    patch: tuple[int, ...] = ()
    foreground: float | int = 1 / 3
    overlap: float | int = 0.5
    flips: tuple[int, ...] = ()
    components: Literal["all", "largest", "choose"] = "all"

    kind: ClassVar[Literal["segmentation"]] = "segmentation"
    selectable: ClassVar[tuple[str, ...]] = ("dice", "iou")
    positive: ClassVar[None] = None
    positive_index: ClassVar[None] = None
    quantile_levels: ClassVar[tuple[float, ...]] = ()
    times: ClassVar[tuple[float, ...]] = ()
    horizons: ClassVar[tuple[float, ...]] = ()
    context: ClassVar[tuple[str, ...]] = ()

    def resolve(self, classes: tuple[str, ...]) -> "Segmentation":
        """Fill in the data set's classes, and check the settings."""
        task = replace(self, classes=self.classes or tuple(classes))
        if not 2 <= len(task.classes) < losses.UNKNOWN:
            raise InputError(
                f"a segmentation needs two to 254 classes, the background first; task.classes is {list(task.classes)}"
            )
        if not 0 <= task.foreground <= 1:
            raise InputError(f"task.foreground {task.foreground} must be a share from 0 to 1")
        if not 0 <= task.overlap < 1:
            raise InputError(f"task.overlap {task.overlap} must be a share from 0 up to, not including, 1")
        if not 0 <= task.false_positives <= 1:
            raise InputError(f"task.false_positives {task.false_positives} must be a share from 0 to 1")
        if any(side < 1 for side in task.patch):
            raise InputError(f"task.patch {task.patch}: every side must be 1 or more")
        return task

    @property
    def outputs(self) -> int:
        """How many numbers the model must give a voxel."""
        return len(self.classes)

    @property
    def targets(self) -> tuple[str, ...]:
        """The keys of a case that the loss reads."""
        return (self.target,)

    @property
    def augment(self) -> tuple[Callable, ...]:
        """What is done to a case on the device before the experiment's own augmentations: a patch is drawn."""
        if not self.patch:
            return ()
        return (partial(random_patch, shape=self.patch, foreground=self.foreground, classes=len(self.classes)),)

    def check(self, targets: Integer[np.ndarray, "n classes"], where: str) -> None:
        """Refuse data in which no case has any foreground (the voxels of each case and class)."""
        if not targets[:, 1:].any():
            raise InputError(f"{where}: no case has a voxel of {', '.join(self.classes[1:])}; all is background")

    def fit(self, targets: Integer[np.ndarray, "n classes"]) -> dict[str, np.ndarray]:
        """Fit nothing."""
        del targets
        return {}

    def losses(
        self, outputs: Any, batch: dict[str, Any], fitted: dict[str, Any]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """Return the per-case loss, weighted over the levels of deep supervision, and the case's weight.

        Args:
            outputs: logits (batch, space, classes), or a tuple of those of every level, finest first.
            batch: the label map, where 255 is unknown, and `weight`.
            fitted: nothing.
        """
        del fitted
        values = losses.over_levels(self._loss, outputs, batch[self.target])
        return values, batch["weight"].astype(values.dtype)

    def _loss(self, logits: Array, labels: Array) -> Float[Array, " batch"]:
        value = losses.voxel_cross_entropy(logits, labels)
        if self.loss == "dice":
            value = value + losses.soft_dice(logits, labels)
        if self.loss == "tversky":
            value = value + losses.tversky(logits, labels, self.false_positives, 1 - self.false_positives)
        return value

    def predict(
        self, outputs: Float[Array, "batch *space classes"], fitted: dict[str, Any]
    ) -> Float[Array, "batch *space classes"]:
        """Return the probabilities of the classes of every voxel."""
        del fitted
        return jax.nn.softmax(outputs, axis=-1)

    def counts(
        self, outputs: Float[Array, "batch *space classes"], batch: dict[str, Any]
    ) -> Float[Array, "batch values"]:
        """Return voxels found rightly, found, and there, of every foreground class: what `score` needs of a case."""
        labels = batch[self.target]
        known, space = labels != losses.UNKNOWN, tuple(range(1, labels.ndim))
        found = outputs.argmax(axis=-1)
        columns = []
        for number in range(1, len(self.classes)):
            said, true = (found == number) & known, labels == number
            columns += [(said & true).sum(space), said.sum(space), true.sum(space)]
        return jnp.stack(columns, axis=-1).astype(jnp.float32)

    def score(self, name: str, predictions: Float[np.ndarray, "n values"], targets: np.ndarray) -> float:
        """Return the mean over cases and classes of Dice or IoU on the grid that the model sees, larger is better.

        Args:
            name: "dice" or "iou".
            predictions: what `counts` gives. A class that is neither there nor found counts 1.
            targets: the voxels of every class; not needed.
        """
        del targets
        if name not in self.selectable:
            raise InputError(f"training.select '{name}' is unknown; known: {', '.join(self.selectable)}")
        both, found, there = np.moveaxis(predictions.reshape(len(predictions), -1, 3), -1, 0)
        above, below = (2 * both, found + there) if name == "dice" else (both, found + there - both)
        return float(np.where(below > 0, above / np.maximum(below, 1), 1.0).mean())
