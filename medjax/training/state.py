"""Everything that training changes, as one pytree; a checkpoint holds it and nothing else."""

import dataclasses
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Float

from medjax.experiment import Experiment
from medjax.keys import named
from medjax.training import optimizer

# A tree of arrays with a leading replicate axis, or of whatever JAX and orbax put in their place: shapes, None, ...
Leaf = Any


@flax.struct.dataclass
class Best:
    """The parameters with the best validation metric so far, per replicate."""

    variables: Leaf
    metric: Leaf
    step: Leaf


@flax.struct.dataclass
class TrainState:
    """One replicate's state; a run's state is this tree with a leading replicate axis on every leaf.

    Attributes:
        step: how many optimizer steps were taken, int32 (replicates,).
        seed: the replicate's own seed, uint32 (replicates,); every random key of step t derives from (seed, t, name).
        variables: parameters ("params") and model state such as batch statistics ("batch_stats").
        moments: the state of the optax transform.
        fitted: whatever was fitted on the replicate's training cases: standardisation, class weights.
        average: the moving average of `variables`, or None.
        best: the best variables on validation (`Best`), or None.
        stopped: whether early stopping has ended this replicate; it then no longer changes; bool (replicates,).
    """

    step: Leaf
    seed: Leaf
    variables: Leaf
    moments: Leaf
    fitted: Leaf
    average: Leaf
    best: Leaf
    stopped: Leaf


def initialise(
    experiment: Experiment, inputs: tuple[jax.ShapeDtypeStruct, ...], total_steps: int, seed: Any, fitted: Any
) -> TrainState:
    """Return the first state of one replicate, a pure function of its seed.

    Args:
        experiment: resolved.
        inputs: shapes of the model's inputs for a batch of one.
        total_steps: the length of training.
        seed: the replicate's seed (uint32).
        fitted: the tree fitted on its training cases.
    """
    key = named(jax.random.key(seed), "initialisation")
    zeros = tuple(jnp.zeros(x.shape, x.dtype) for x in inputs)
    variables = dict(nn.unbox(experiment.model.init({"params": key}, *zeros, train=False)))
    compute = jnp.dtype(getattr(experiment.model, "dtype", "float32"))
    # Parameters are float32 unless the computation is wider (the float64 comparisons between device counts).
    variables = jax.tree.map(lambda x: x.astype(jnp.promote_types(x.dtype, compute)), variables)
    moments = optimizer.build(experiment.optimizer, variables["params"], total_steps).init(variables["params"])
    best = None
    if experiment.training.select is not None:
        best = Best(variables=variables, metric=jnp.asarray(-jnp.inf, jnp.float32), step=jnp.asarray(0, jnp.int32))
    return TrainState(
        step=jnp.asarray(0, jnp.int32),
        seed=jnp.asarray(seed, jnp.uint32),
        variables=variables,
        moments=moments,
        fitted=fitted,
        average=variables if experiment.training.ema is not None else None,
        best=best,
        stopped=jnp.asarray(False),
    )


def current_variables(state: TrainState) -> dict[str, Any]:
    """Return the variables that a validation judges: the moving average where there is one."""
    return state.variables if state.average is None else state.average


def final_variables(state: TrainState) -> dict[str, Any]:
    """Return the variables that the run delivers: the best on validation where they are selected."""
    return current_variables(state) if state.best is None else state.best.variables


def select(state: TrainState, metric: Float[Any, ""], patience: int | None) -> TrainState:
    """Keep the variables if the validation metric is the best so far; stop after `patience` steps without a better one.

    Judging the same state twice changes nothing, so a resume may repeat a validation.
    """
    if state.best is None:
        return state
    better = (metric > state.best.metric) & ~state.stopped
    kept = jax.tree.map(lambda new, old: jnp.where(better, new, old), current_variables(state), state.best.variables)
    best = Best(
        variables=kept,
        metric=jnp.where(better, metric, state.best.metric),
        step=jnp.where(better, state.step, state.best.step),
    )
    stopped = state.stopped if patience is None else state.stopped | (state.step - best.step >= patience)
    return dataclasses.replace(state, best=best, stopped=stopped)
