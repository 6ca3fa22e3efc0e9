"""Regression: a number a case, learnt on the standardised scale and predicted in the target's own unit."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Array, Float

from medjax import losses
from medjax.errors import InputError
from medjax.metrics import regression as metrics


@dataclass(frozen=True)
class Regression:
    """One number a case, by squared error.

    Attributes:
        target: the key of the case that holds the number; NaN marks an unknown one, which gets weight 0.
        unit: its unit, for tables.
        standardise: learn (value - mean) / standard deviation of the training cases; predictions are transformed back.
    """

    target: str = "value"
    unit: str = ""
    standardise: bool = True

    kind: ClassVar[Literal["value"]] = "value"
    selectable: ClassVar[tuple[str, ...]] = ("mean_squared_error", "mean_absolute_error", "r2")
    classes: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[int] = 1
    positive: ClassVar[None] = None
    positive_index: ClassVar[None] = None

    def resolve(self, classes: tuple[str, ...]) -> "Regression":
        """Return itself; a number has no classes to fill in."""
        del classes
        return self

    def check(self, targets: np.ndarray, where: str) -> None:
        """Refuse infinite targets, naming the first case."""
        wrong = np.flatnonzero(np.isinf(targets))
        if len(wrong):
            raise InputError(f"{where}: case {wrong[0]} has an infinite {self.target}")

    def fit(self, targets: np.ndarray) -> dict[str, np.ndarray]:
        """Fit mean and standard deviation of the training targets (n,), NaN left out."""
        known = targets[~np.isnan(targets)].astype(np.float64)
        if not self.standardise or not len(known):
            return {}
        deviation = known.std()
        scale = deviation if deviation > 0 else 1.0
        return {"target_mean": np.asarray(known.mean(), np.float32), "target_scale": np.asarray(scale, np.float32)}

    def losses(
        self, outputs: Float[Array, "batch 1"], batch: dict[str, Any], fitted: dict[str, Any]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """Return the per-case squared error on the learnt scale, and the weight (0 where the target is NaN)."""
        values = batch[self.target].astype(outputs.dtype)
        if "target_mean" in fitted:
            values = (values - fitted["target_mean"]) / fitted["target_scale"]
        known = values == values  # NaN is the only number that differs from itself
        return losses.squared_error(outputs[:, 0], values), batch["weight"].astype(outputs.dtype) * known

    def predict(self, outputs: Float[Array, "batch 1"], fitted: dict[str, Any]) -> Float[Array, "batch 1"]:
        """Return predictions in the target's unit."""
        if "target_mean" in fitted:
            return outputs * fitted["target_scale"] + fitted["target_mean"]
        return outputs

    def score(self, name: str, predictions: Float[np.ndarray, "n 1"], targets: Float[np.ndarray, " n"]) -> float:
        """Return one validation metric of predictions, larger is better (errors are negated)."""
        known = ~np.isnan(targets)
        if not known.any():
            raise InputError("no validation case has a known target; choose another split")
        functions = {
            "mean_squared_error": (metrics.mean_squared_error, -1),
            "mean_absolute_error": (metrics.mean_absolute_error, -1),
            "r2": (metrics.r2, 1),
        }
        if name not in functions:
            raise InputError(f"training.select '{name}' is unknown; known: {', '.join(functions)}")
        function, sign = functions[name]
        return sign * float(function(predictions[known, 0], targets[known]))
