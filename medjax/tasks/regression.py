"""Regression: a number a case, or its quantiles, learnt on the standardised scale and predicted in the target's unit."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from medjax import losses
from medjax.errors import InputError
from medjax.metrics import regression as metrics


@dataclass(frozen=True)
class Regression:
    """One number a case.

    Attributes:
        target: the key of the case that holds the number; NaN marks an unknown one, which gets weight 0.
        unit: its unit, for tables.
        standardise: learn (value - mean) / standard deviation of the training cases; predictions are transformed back.
        loss: "squared" (its minimum is the mean), "absolute" (the median), "huber" (between the two), or "quantile"
            (several quantiles at once, one output each; the point prediction is the median).
        huber_delta: where the Huber loss turns from a parabola into a line, on the learnt scale.
        quantiles: the quantiles of `loss="quantile"`, rising, .5 among them; the outermost ones are the prediction
            interval whose coverage is reported.
    """

    target: str = "value"
    unit: str = ""
    standardise: bool = True
    loss: Literal["squared", "absolute", "huber", "quantile"] = "squared"
    huber_delta: float | int = 1.0
    quantiles: tuple[float, ...] = (0.05, 0.5, 0.95)

    kind: ClassVar[Literal["value"]] = "value"
    classes: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[None] = None
    positive_index: ClassVar[None] = None
    times: ClassVar[tuple[float, ...]] = ()
    horizons: ClassVar[tuple[float, ...]] = ()
    context: ClassVar[tuple[str, ...]] = ()

    def resolve(self, classes: tuple[str, ...]) -> "Regression":
        """Check the settings; a number has no classes to fill in."""
        del classes
        if not 0 < self.huber_delta < math.inf:
            raise InputError(f"task.huber_delta {self.huber_delta} must be positive")
        if self.loss == "quantile":
            given = list(self.quantiles)
            if not all(0 < level < 1 for level in given) or given != sorted(set(given)):
                raise InputError(f"task.quantiles {given} must rise and lie between 0 and 1")
            if 0.5 not in given or len(given) < 2:
                raise InputError(
                    f"task.quantiles {given} must hold 0.5, which is the point prediction, and at least one other"
                )
        return self

    @property
    def selectable(self) -> tuple[str, ...]:
        """The metrics that training.select may name."""
        known = ("mean_squared_error", "mean_absolute_error", "r2")
        return (*known, "pinball_loss") if self.loss == "quantile" else known

    @property
    def quantile_levels(self) -> tuple[float, ...]:
        """The quantiles that are predicted beside the value; empty unless the loss is "quantile"."""
        return self.quantiles if self.loss == "quantile" else ()

    @property
    def outputs(self) -> int:
        """How many numbers the model must give a case."""
        return max(len(self.quantile_levels), 1)

    @property
    def targets(self) -> tuple[str, ...]:
        """The keys of a case that the loss reads."""
        return (self.target,)

    def check(self, targets: np.ndarray, where: str) -> None:
        """Refuse infinite targets, naming the first case, and data without a known one."""
        wrong = np.flatnonzero(np.isinf(targets))
        if len(wrong):
            raise InputError(f"{where}: case {wrong[0]} has an infinite {self.target}")
        if np.isnan(targets).all():
            raise InputError(f"{where}: no case has a known {self.target}")

    def fit(self, targets: np.ndarray) -> dict[str, np.ndarray]:
        """Fit mean and standard deviation of the training targets (n,), NaN left out; 0 and 1 where all are NaN."""
        if not self.standardise:
            return {}
        known = targets[~np.isnan(targets)].astype(np.float64)
        deviation = known.std() if len(known) else 0.0
        scale, mean = (deviation if deviation > 0 else 1.0), (known.mean() if len(known) else 0.0)
        return {"target_mean": np.asarray(mean, np.float32), "target_scale": np.asarray(scale, np.float32)}

    def losses(
        self, outputs: Float[Array, "batch outputs"], batch: dict[str, Any], fitted: dict[str, Any]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """Return the per-case loss on the learnt scale (of quantiles the mean), and the weight (0 for a NaN target)."""
        values = batch[self.target].astype(outputs.dtype)
        if "target_mean" in fitted:
            values = (values - fitted["target_mean"]) / fitted["target_scale"]
        known = ~jnp.isnan(values)
        if self.loss == "quantile":
            found = losses.pinball(outputs, values, self.quantiles).mean(-1)
        elif self.loss == "huber":
            found = losses.huber(outputs[:, 0], values, self.huber_delta)
        elif self.loss == "absolute":
            found = losses.absolute_error(outputs[:, 0], values)
        else:
            found = losses.squared_error(outputs[:, 0], values)
        return found, batch["weight"].astype(outputs.dtype) * known

    def predict(self, outputs: Float[Array, "batch outputs"], fitted: dict[str, Any]) -> Float[Array, "batch values"]:
        """Return predictions in the target's unit: the value, then the quantiles, sorted so that they never cross."""
        if "target_mean" in fitted:
            outputs = outputs * fitted["target_scale"] + fitted["target_mean"]
        if not self.quantile_levels:
            return outputs
        outputs = jnp.sort(outputs, axis=-1)
        middle = self.quantiles.index(0.5)
        return jnp.concatenate([outputs[:, middle : middle + 1], outputs], axis=-1)

    def score(self, name: str, predictions: Float[np.ndarray, "n values"], targets: Float[np.ndarray, " n"]) -> float:
        """Return one validation metric of predictions, larger is better (errors are negated)."""
        known = ~np.isnan(targets)
        if not known.any():
            raise InputError("no validation case has a known target; choose another split")
        if name not in self.selectable:
            raise InputError(f"training.select '{name}' is unknown; known: {', '.join(self.selectable)}")
        if name == "pinball_loss":
            return -float(metrics.pinball_values(predictions[known, 1:], targets[known], self.quantiles).mean())
        value = float(getattr(metrics, name)(predictions[known, 0], targets[known]))
        return value if name == "r2" else -value
