"""Time to an event: from a model's outputs to survival curves, whatever the input and whichever loss is learnt."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from medjax.errors import InputError
from medjax.metrics import concordance, horizon
from medjax.survival_losses import accelerated, cox, discrete

Loss = Literal["cox", "weibull", "log_normal", "logistic_hazard", "probability_mass"]


@dataclass(frozen=True)
class Survival:
    """When an event happens, of cases of which some were only seen to be free of it for a while.

    A prediction is a risk and a survival curve at `times`; with several `causes` a risk and a cumulative incidence of
    each. The risk of Cox's model is the logarithm of the hazard ratio; that of every other loss is the time lost up to
    `until`, the area above the survival curve (of a cause: below its incidence).

    Attributes:
        until: how far predictions reach and are judged, tau, in the unit of the times; state a time up to which enough
            cases are watched.
        horizons: the times, not beyond `until`, at which AUROC, Brier score and calibration are stated.
        loss: "cox" (proportional hazards, nothing assumed about the baseline, which is fitted on the training cases once
            the parameters are there), "weibull" or "log_normal" (accelerated failure time), "logistic_hazard" (a hazard
            for each of `intervals`) or "probability_mass" (a probability for each interval and cause; with `ranking` it
            is DeepHit).
        ties: how Cox's loss takes events at the same time.
        intervals: of the two discrete losses; they end at quantiles of the training cases' times of events.
        ranking: factor of DeepHit's ranking term; 0: none.
        causes: names of competing causes in the order of their numbers 1, 2, ...; empty: one event, 1.
        entry: whether cases have an `entry`, the time at which they came under observation (left truncation); for "cox".
        strata: how many baselines there are; with more than one every case has its `stratum`, from 0; for "cox".
        points: at how many times, evenly up to `until`, curves are written; the horizons come on top.
        unit: of the times, for tables: "months".

    Under mini-batches the risk sets of Cox's loss, and the pairs of `ranking`, are those of a (micro-)batch: an
    approximation, the better the larger the batch; `batch_size="full"` is exact.
    """

    until: float | int
    horizons: tuple[float | int, ...]
    loss: Loss = "cox"
    ties: Literal["efron", "breslow"] = "efron"
    intervals: int = 20
    ranking: float | int = 0.0
    causes: tuple[str, ...] = ()
    entry: bool = False
    strata: int = 1
    points: int = 24
    unit: str = ""

    kind: ClassVar[Literal["survival"]] = "survival"
    target: ClassVar[str] = "time"
    selectable: ClassVar[tuple[str, ...]] = ("concordance_index", "integrated_brier")
    positive: ClassVar[None] = None
    positive_index: ClassVar[None] = None
    quantile_levels: ClassVar[tuple[float, ...]] = ()

    def resolve(self, classes: tuple[str, ...]) -> "Survival":
        """Check the settings; a time has no classes to fill in."""
        del classes
        if not 0 < self.until < math.inf:
            raise InputError(f"task.until {self.until} must be positive: the time up to which curves are judged")
        rising = list(self.horizons) == sorted(set(self.horizons))
        if not self.horizons or not rising or not 0 < self.horizons[0] <= self.horizons[-1] <= self.until:
            raise InputError(
                f"task.horizons {list(self.horizons)} must be rising times after 0 and not beyond task.until {self.until:g}"
            )
        if self.intervals < 1 or self.points < 2:
            raise InputError("task.intervals must be at least 1, task.points at least 2")
        if self.ranking and self.loss != "probability_mass":
            raise InputError(f"task.ranking goes with task.loss 'probability_mass', not with '{self.loss}'")
        if not 0 <= self.ranking < math.inf:
            raise InputError(f"task.ranking {self.ranking} must be at least 0")
        if self.causes and (len(set(self.causes)) < len(self.causes) or len(self.causes) < 2):
            raise InputError(f"task.causes {list(self.causes)} must be at least two names; empty: one event")
        if self.causes and self.loss != "probability_mass":
            raise InputError(f"task.causes needs task.loss 'probability_mass'; '{self.loss}' knows one event")
        if self.loss != "cox" and (self.entry or self.strata != 1):
            raise InputError(f"task.entry and task.strata go with task.loss 'cox', not with '{self.loss}'")
        if self.strata < 1:
            raise InputError(f"task.strata {self.strata} must be at least 1")
        rounded = tuple(float(f"{one:.6g}") for one in self.horizons)  # as files of predictions name them
        return replace(self, until=float(self.until), horizons=rounded)

    @property
    def classes(self) -> tuple[str, ...]:
        """The competing causes; empty where there is one event."""
        return self.causes

    @property
    def times(self) -> tuple[float, ...]:
        """The times at which curves are written, ascending, the horizons among them."""
        even = np.linspace(self.until / self.points, self.until, self.points)
        return tuple(sorted({float(f"{one:.6g}") for one in even} | set(self.horizons)))

    @property
    def outputs(self) -> int:
        """How many numbers the model must give a case."""
        if self.loss == "cox":
            return 1
        if self.loss in ("weibull", "log_normal"):
            return 2
        return max(len(self.causes), 1) * self.intervals

    @property
    def targets(self) -> tuple[str, ...]:
        """The keys of a case that the loss reads."""
        return ("time", "event", *(("entry",) if self.entry else ()), *self.context)

    @property
    def context(self) -> tuple[str, ...]:
        """The keys that a prediction needs beyond the model's inputs."""
        return ("stratum",) if self.strata > 1 else ()

    def truth(self, columns: Sequence[np.ndarray]) -> Float[np.ndarray, "cases targets"]:
        """Return what is learnt and judged, one column for each of `targets`."""
        return np.stack([np.asarray(column, np.float64) for column in columns], axis=-1)

    def check(self, targets: np.ndarray, where: str, *others: np.ndarray) -> None:
        """Refuse times and events that no model could be made of; the first such case is named."""
        del others
        time, event = targets[:, 0], targets[:, 1]
        known = np.isfinite(time) & np.isfinite(event)

        def refuse(wrong: np.ndarray, what: str) -> None:
            if wrong.any():
                case = int(np.flatnonzero(wrong)[0])
                raise InputError(f"{where}: case {case} has {what.format(time=time[case], event=event[case])}")

        refuse(known & (time < 0), "the negative time {time:g}; times count from 0")
        most = max(len(self.causes), 1)
        meant = f"1 to {most} (one of task.causes)" if self.causes else "1 (the event); several causes need task.causes"
        refuse(
            known & ~np.isin(event, np.arange(most + 1)),
            f"event {{event:g}}; it must be 0 (censored at that time) or {meant}",
        )
        if self.loss in ("weibull", "log_normal"):
            refuse(
                known & (time == 0) & (event > 0),
                "an event at time 0, which an accelerated failure time cannot have; choose another task.loss, or count from earlier",
            )
        if not (known & (event > 0)).any():
            raise InputError(f"{where}: no case has an event: all {len(time)} are censored, so no risk can be learnt")
        if self.entry:
            refuse(known & (targets[:, 2] >= time), "an entry at or after its own time {time:g}")
        if self.strata > 1:
            stratum = targets[:, -1]
            refuse(~np.isin(stratum, np.arange(self.strata)), f"a stratum that is none of 0 to {self.strata - 1}")

    def fit(self, targets: np.ndarray) -> dict[str, np.ndarray]:
        """Fit on the targets of training cases: ends of intervals, or the scale of the times; of Cox room for the baseline."""
        time, event = targets[:, 0], targets[:, 1]
        if self.loss == "cox":
            return {"log_baseline": np.full((self.strata, len(self.times)), cox.NOTHING, np.float32)}
        if self.loss in ("weibull", "log_normal"):
            known = time[np.isfinite(time) & (time > 0)]
            return {"time_scale": np.asarray(np.median(known) if len(known) else 1.0, np.float32)}
        if not np.any(event > 0):  # shapes without data
            return {"edges": np.arange(self.intervals + 1, dtype=np.float32)}
        return {"edges": discrete.time_edges(time, event, self.intervals).astype(np.float32)}

    def losses(
        self, outputs: Float[Array, "batch outputs"], batch: dict[str, Any], fitted: dict[str, Any]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """Return the per-case loss in nats and its weight; of Cox's loss only events have terms, and so weight."""
        time, event, weight = batch["time"], batch["event"], batch["weight"].astype(outputs.dtype)
        known = (time >= 0) & (event >= 0)
        if self.loss == "cox":
            entry = batch["entry"] if self.entry else None
            stratum = batch["stratum"].astype(jnp.int32) if self.strata > 1 else None
            values = cox.partial_likelihood(outputs[:, 0], time, event, weight, entry, stratum, self.ties)
            return values, weight * (known & (event > 0))
        if self.loss in ("weibull", "log_normal"):
            learnt = getattr(accelerated, self.loss)
            return learnt(outputs, time / fitted["time_scale"], event), weight * known
        if self.loss == "logistic_hazard":
            return discrete.logistic_hazard(outputs, time, event, fitted["edges"]), weight * known
        logits = self._by_cause(outputs)
        values = discrete.probability_mass(logits, time, event, fitted["edges"])
        if self.ranking:
            sums, pairs = discrete.ranking(logits, time, event, fitted["edges"], weight)
            total = (weight * pairs).sum()
            # The mean over pairs, shared out so that the mean over cases of these values is its sum.
            share = (weight * known).sum() / jnp.where(total > 0, total, 1)
            values = values + self.ranking * sums * share
        return values, weight * known

    def _by_cause(self, outputs: Float[Array, "batch outputs"]) -> Float[Array, "batch causes intervals"]:
        return outputs.reshape(len(outputs), -1, self.intervals)

    def predict(self, outputs: Float[Array, "batch outputs"], fitted: dict[str, Any]) -> Float[Array, "batch values"]:
        """Return the risk and the survival at `times`; with causes the risks of all, then the incidences of each.

        `fitted` holds the `context` of the cases as well.
        """
        times = jnp.asarray(self.times, jnp.float32)
        if self.loss == "cox":
            risk = outputs[:, 0]
            stratum = fitted["stratum"].astype(jnp.int32) if self.strata > 1 else jnp.zeros(len(risk), jnp.int32)
            curves = jnp.exp(-jnp.exp(risk[:, None] + fitted["log_baseline"][stratum]))
            return jnp.concatenate([risk[:, None], curves], axis=-1)
        if self.causes:
            incidence = discrete.cumulative_incidence(self._by_cause(outputs))
            curves = discrete.between_edges(incidence, fitted["edges"], times)
            risks = 1 - jax.vmap(lambda one: self._spared(1 - one), in_axes=1, out_axes=1)(curves) / self.until
            return jnp.concatenate([risks * self.until, curves.reshape(len(outputs), -1)], axis=-1)
        if self.loss in ("weibull", "log_normal"):
            function = getattr(accelerated, f"{self.loss}_survival")
            curves = function(outputs.astype(jnp.float32), times / fitted["time_scale"])
        else:
            if self.loss == "logistic_hazard":
                at_edges = discrete.logistic_hazard_survival(outputs)
            else:
                at_edges = discrete.probability_mass_survival(self._by_cause(outputs))
            curves = discrete.between_edges(at_edges, fitted["edges"], times)
        lost = self.until - self._spared(curves)
        return jnp.concatenate([lost[:, None], curves], axis=-1)

    def _spared(self, curves: Float[Array, "batch times"]) -> Float[Array, " batch"]:
        """The mean time free of the event up to `until`: the area below a curve that starts at 1, in the unit of time."""
        times = jnp.concatenate([jnp.zeros(1), jnp.asarray(self.times, jnp.float32)]).astype(curves.dtype)
        curves = jnp.concatenate([jnp.ones_like(curves[:, :1]), curves], axis=-1)
        return ((curves[:, 1:] + curves[:, :-1]) / 2 * jnp.diff(times)[None, :]).sum(-1)

    @property
    def completes(self) -> bool:
        """Whether something is fitted on the training cases' predictions once the parameters are there."""
        return self.loss == "cox"

    def complete(
        self, values: Float[np.ndarray, "cases values"], targets: Float[np.ndarray, "cases targets"]
    ) -> dict[str, np.ndarray]:
        """Return the baseline of every stratum (Breslow's), from the predictions of the training cases."""
        grid, found = jnp.asarray(self.times, jnp.float32), []
        risk, time, event = (jnp.asarray(column, jnp.float32) for column in (values[:, 0], *targets[:, :2].T))
        entry = jnp.asarray(targets[:, 2], jnp.float32) if self.entry else None
        for stratum in range(self.strata):
            own = targets[:, -1] == stratum if self.strata > 1 else np.ones(len(targets))
            weight = jnp.asarray(own, jnp.float32)
            found.append(jax.jit(cox.log_baseline_hazard)(risk, time, event, grid, weight, entry))
        return {"log_baseline": np.maximum(np.stack(found), cox.NOTHING).astype(np.float32)}

    def score(
        self, name: str, predictions: Float[np.ndarray, "n values"], targets: Float[np.ndarray, "n targets"]
    ) -> float:
        """Return one validation metric of predictions, larger is better; with causes the mean over these."""
        if name not in self.selectable:
            raise InputError(f"training.select '{name}' is unknown; known: {', '.join(self.selectable)}")
        if name == "integrated_brier" and (self.completes or self.causes):
            raise InputError(
                "training.select 'integrated_brier' needs one event and a loss that gives curves while it is trained: not "
                "'cox', whose baseline comes last; choose concordance_index"
            )
        known = np.isfinite(targets[:, :2]).all(-1)
        predictions, (time, event) = predictions[known], targets[known, :2].T
        if name == "integrated_brier":
            times = np.asarray(self.times)
            value = -float(horizon.integrated_brier(predictions[:, 1:], time, event > 0, times))
        else:
            every = []
            for cause in range(max(len(self.causes), 1)):
                own = event == cause + 1
                # As in the evaluation: whoever had another cause first never has this one.
                until = np.where((event > 0) & ~own, time.max(initial=0) + 1, time)
                every.append(
                    float(concordance.harrell(predictions[:, cause], until, own, truncation=float(self.until)))
                )
            value = float(np.mean(every))
        if not math.isfinite(value):
            raise InputError(
                f"{name} is undefined for the {len(time)} validation cases ({int((event > 0).sum())} with an event): too few "
                "events, or nobody is watched up to task.until; choose another split or a smaller task.until"
            )
        return value
