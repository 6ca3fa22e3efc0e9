"""One optimizer step and one prediction, as pure functions of a state and a batch."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Shaped

from medjax import augment
from medjax.experiment import Experiment
from medjax.keys import named
from medjax.preprocess import standardise
from medjax.training import optimizer
from medjax.training.state import TrainState
from medjax.vocabulary import known_codes, standardise_numbers

Batch = dict[str, Any]
Sums = dict[str, Float[Array, ""]]


def own_row(batch: Batch, step: Int[Array, ""]) -> Batch:
    """Take the row of this step out of a chunk of the plan (`Feed.steps`); a batch that is no chunk stays as it is.

    A replicate that has stopped asks for a row outside the chunk and gets one inside; it does not learn from it.
    """
    if "first" not in batch:
        return batch
    row = step - batch["first"]
    return {key: jax.lax.dynamic_index_in_dim(batch[key], row, keepdims=False) for key in ("index", "weight")}


def gather(resident: Batch, batch: Batch) -> Batch:
    """Complete a batch with the rows of a data set that lies on the device; `{}` where batches are streamed."""
    return {**{key: values[batch["index"]] for key, values in resident.items()}, **batch}


def model_inputs(
    experiment: Experiment, fitted: dict[str, Any], batch: Batch
) -> tuple[Shaped[Array, "batch ..."], ...]:
    """Return what the model is called with: floating point, standardised where the experiment says so; codes stay whole."""
    arrays = []
    for key in experiment.data.inputs:
        array = batch[key]
        if key == "code":
            arrays.append(known_codes(fitted["code"], array))
            continue
        if not jnp.issubdtype(array.dtype, jnp.floating):
            array = array.astype(jnp.float32)
        if key == "number" and key in experiment.standardise:
            array = standardise_numbers(fitted["code"], batch["code"], array)
        elif key in experiment.standardise:
            array = standardise(fitted[key], array)
        arrays.append(array)
    return tuple(arrays)


def drawn_first(experiment: Experiment) -> tuple[Callable, ...]:
    """Return what the task itself does to a case on the device, before any augmentation: a segmentation draws a patch."""
    return experiment.task.augment if experiment.task.kind == "segmentation" else ()


def train_step(experiment: Experiment, total_steps: int, state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
    """Take one optimizer step of one replicate.

    Args:
        experiment: resolved.
        total_steps: the length of training (for the schedule).
        state: before the step.
        batch: inputs, target, `index` and `weight`, each with a leading batch axis.

    Returns:
        The state after the step, and sums: `loss` and `weight` (their ratio is the mean loss) and `gradient_norm`.
    """
    key = jax.random.key(state.seed)
    functions = (*drawn_first(experiment), *experiment.augment)
    if functions:
        batch = augment.apply_batch(functions, named(key, "augment"), state.step, batch["index"], batch)
    dropout, mix = (jax.random.fold_in(named(key, name), state.step) for name in ("dropout", "mix"))
    variables = state.variables
    params, model_state = variables["params"], {k: v for k, v in variables.items() if k != "params"}

    def loss_sum(params: Any, model_state: Any, micro: Batch, number: int) -> tuple[Any, tuple[Any, Any]]:
        targets = ((micro, None),)
        if experiment.mix is not None:
            micro, other, share = experiment.mix(jax.random.fold_in(mix, number), micro, experiment.data.inputs)
            targets = ((micro, share), (other, 1 - share))
        inputs = model_inputs(experiment, state.fitted, micro)
        rngs = {"dropout": jax.random.fold_in(dropout, number)}
        outputs, new_state = experiment.model.apply(
            {"params": params, **model_state}, *inputs, train=True, rngs=rngs, mutable=list(model_state)
        )
        total, weight = jnp.zeros(()), jnp.zeros(())
        for batch, share in targets:
            values, weights = experiment.task.losses(outputs, batch, state.fitted)
            if share is not None:
                weights = weights * share.astype(weights.dtype)
            # The inner where: the gradient of a value of weight 0 is 0 even where the value is infinite or NaN.
            total = total + jnp.where(weights > 0, jnp.where(weights > 0, values, 0) * weights, 0).sum()
            weight = weight + weights.sum()
        return total, (weight, new_state)

    # Accumulation is unrolled: convolution gradients inside lax.scan are several times slower on a CPU (jax issue 12868)
    parts = experiment.training.accumulate
    gradients, total, weight = None, jnp.zeros(()), jnp.zeros(())
    for number in range(parts):
        # Every parts-th row, so that a batch that is sharded over devices stays where it is.
        micro = jax.tree.map(lambda x, n=number: x[n::parts], batch) if parts > 1 else batch
        (part, (part_weight, new_state)), part_gradients = jax.value_and_grad(loss_sum, has_aux=True)(
            params, model_state, micro, number
        )
        model_state = {**model_state, **new_state}
        total, weight = total + part, weight + part_weight
        gradients = part_gradients if gradients is None else jax.tree.map(jnp.add, gradients, part_gradients)
        if number + 1 < parts:  # the next part waits, or activations of several would be kept at a time
            gradients, params = jax.lax.optimization_barrier((gradients, params))
    divisor = jnp.where(weight > 0, weight, 1)
    gradients = jax.tree.map(lambda g: (g / divisor).astype(g.dtype), gradients)

    settings = optimizer.with_numbers(experiment.optimizer, state.fitted.get("sweep", {}))
    transform = optimizer.build(settings, params, total_steps)
    updates, moments = transform.update(gradients, state.moments, params)
    variables = {"params": optax.apply_updates(params, updates), **model_state}
    average = state.average
    if average is not None and experiment.training.ema is not None:
        count = state.step.astype(jnp.float32)
        decay = jnp.minimum(experiment.training.ema, (1 + count) / (10 + count))  # young averages forget their start
        average = jax.tree.map(lambda a, v: (decay * a + (1 - decay) * v).astype(v.dtype), average, variables)
    after = dataclasses.replace(state, step=state.step + 1, variables=variables, moments=moments, average=average)
    if experiment.training.patience is not None:
        after = jax.tree.map(lambda new, old: jnp.where(state.stopped, old, new), after, state)
    return after, {"loss": total, "weight": weight, "gradient_norm": _norm(gradients)}


def _norm(gradients: Any) -> Float[Array, ""]:
    """The length of all gradients as one vector.

    By products: the compiler would keep the squares for the optimizer, which takes them as well, instead of squaring twice.
    """
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(gradients)))


def predict_step(
    experiment: Experiment, variables: dict[str, Any], fitted: dict[str, Any], batch: Batch
) -> Float[Array, "batch values"]:
    """Return one replicate's predictions for a batch: probabilities of the classes, or a value.

    Of a segmentation the counts of voxels that its score is made from, in one patch a case, the same every time; whole
    cases are predicted by `medjax.segmentation.sliding`.
    """
    if experiment.task.kind == "segmentation":
        batch = augment.apply_batch(drawn_first(experiment), jax.random.key(0), 0, batch["index"], batch)
    outputs: Any = experiment.model.apply(variables, *model_inputs(experiment, fitted, batch), train=False)
    if experiment.task.kind == "segmentation":
        return experiment.task.counts(outputs, batch)
    return experiment.task.predict(outputs, {**fitted, **{key: batch[key] for key in experiment.task.context}})
