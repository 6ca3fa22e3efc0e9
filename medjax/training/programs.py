"""The compiled functions of a run: one set for all waves, mapped over replicates and laid out on the mesh."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from medjax.data.feed import CHUNK
from medjax.experiment import Experiment, Mesh
from medjax.models.convolution import compiler_options, saving_options
from medjax.training import mesh as meshes
from medjax.training.replicate import default_together, has_convolutions, over_replicates, waves
from medjax.training.state import TrainState, initialise, select
from medjax.training.step import gather, own_row, predict_step, train_step

SHORT = 1e9  # operations that take milliseconds on any device
Shapes = dict[str, jax.ShapeDtypeStruct]


@dataclass(frozen=True)
class Programs:
    """Functions on a wave of replicates; every argument but `resident` has a leading replicate axis.

    Attributes:
        mesh: the devices.
        waves: which replicates train together, clones included.
        initialise: (seeds, fitted) -> state.
        train: (state, resident, batch) -> (state, sums); the state is donated.
        train_several: (state, resident, chunk, count) -> (state, sums (CHUNK, replicates)), `count` steps of a chunk of
            the plan in one call; the state is donated.
        spacing: saves fall on multiples of this many steps.
        predict: (variables, fitted, resident, batch) -> predictions.
        select: (state, metric) -> state with the best kept.
        state: shapes of one replicate's state.
        convolutions: whether the model convolves.
    """

    mesh: jax.sharding.Mesh
    waves: list[Int[np.ndarray, " wave"]]
    initialise: Callable
    train: Callable
    train_several: Callable
    spacing: int
    predict: Callable
    select: Callable
    state: TrainState
    convolutions: bool

    @property
    def parameters(self) -> Any:
        """Shapes of one replicate's parameters."""
        return self.state.variables["params"]


def build(
    experiment: Experiment,
    shapes: Shapes,
    fitted: dict[str, Any],
    count: int,
    total_steps: int,
    patience: int | None,
    batch: int | None,
    devices: Sequence[Any] | None = None,
) -> Programs:
    """Map the pure functions of one replicate over waves of them, and compile each once.

    Args:
        experiment: resolved.
        shapes: of one case's arrays, by key.
        fitted: one replicate's fitted tree (its shapes count).
        count: how many replicates.
        total_steps: the length of training.
        patience: steps without a better validation after which a replicate stops.
        batch: cases a step and replicate; None where nothing is trained.
        devices: default all.
    """
    inputs = model_input_shapes(experiment, shapes)
    start = partial(initialise, experiment, inputs, total_steps)
    state = jax.eval_shape(start, np.uint32(0), fitted)
    example = {key: jax.ShapeDtypeStruct((1, *x.shape), x.dtype) for key, x in shapes.items()}
    example["index"] = jax.ShapeDtypeStruct((1,), np.int32)
    convolutions = has_convolutions(partial(predict_step, experiment), state.variables, state.fitted, example)
    settings = experiment.training.mesh
    if batch is None:  # what is not trained runs on all devices that are here, however many the training had
        settings = Mesh()
    platform = (devices or jax.devices())[0].platform
    together = experiment.replicates.together or default_together(count, convolutions, platform)
    micro = None if batch is None else batch // experiment.training.accumulate
    mesh = meshes.make(settings, together, micro, devices)
    every = waves(count, together, mesh.shape["replicate"])
    size = len(every[0])

    saves = experiment.training.accumulate > 1 or getattr(experiment.model, "remat", False)
    whole = meshes.spread(mesh)  # of one replicate: all of a leaf on each device of `fsdp`

    def gathered(tree: Any) -> Any:
        if mesh.shape["fsdp"] == 1:
            return tree
        return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, whole), tree)

    def train(state: TrainState, resident: Any, batch: Any) -> tuple[TrainState, Any]:
        state = dataclasses.replace(state, variables=gathered(state.variables))
        return train_step(experiment, total_steps, state, gather(resident, own_row(batch, state.step)))

    def train_several(state: TrainState, resident: Any, chunk: Any, count: Any) -> tuple[TrainState, Any]:
        step = over_replicates(train, size, (0, None, 0))
        _, one = jax.eval_shape(step, state, resident, chunk)
        kept = jax.tree.map(lambda x: jnp.zeros((CHUNK, *x.shape), x.dtype), one)

        def next_step(number: Any, carried: tuple[TrainState, Any]) -> tuple[TrainState, Any]:
            state, sums = step(carried[0], resident, chunk)
            state = jax.lax.with_sharding_constraint(state, between)
            return state, jax.tree.map(lambda whole, own: whole.at[number].set(own), carried[1], sums)

        return jax.lax.fori_loop(0, count, next_step, (state, kept))

    def predict(variables: Any, fitted: Any, resident: Any, batch: Any) -> Any:
        return predict_step(experiment, gathered(variables), fitted, gather(resident, batch))

    def over(function: Callable, *axes: int | None, outputs: Any, **more: Any) -> Callable:
        return compiled(over_replicates(function, size, axes), outputs, **more)

    def compiled(function: Callable, outputs: Any, **more: Any) -> Callable:
        options = compiler_options() if convolutions else saving_options() if saves else None
        return jax.jit(function, out_shardings=outputs, compiler_options=options, **more)

    wave = jax.tree.map(lambda x: jax.ShapeDtypeStruct((size, *x.shape), x.dtype), state)
    between, replicate = meshes.kept(mesh, wave), meshes.spread(mesh, "replicate")
    grid = experiment.training.save_grid
    work = 6 * size * (batch or 0) * sum(math.prod(x.shape) for x in jax.tree.leaves(state.variables["params"]))
    return Programs(
        mesh=mesh,
        waves=every,
        initialise=over(start, 0, 0, outputs=between),
        train=over(train, 0, None, 0, outputs=(between, replicate), donate_argnums=0),
        train_several=compiled(
            train_several, outputs=(between, meshes.spread(mesh, None, "replicate")), donate_argnums=0
        ),
        spacing=grid if convolutions else spacing(grid, total_steps, work / mesh.size),
        predict=over(predict, 0, 0, None, 0, outputs=replicate),
        select=over(lambda state, metric: select(state, metric, patience), 0, 0, outputs=between),
        state=state,
        convolutions=convolutions,
    )


def spacing(grid: int, total: int, operations: float) -> int:
    """Return on multiples of how many steps a save may fall; a multiple of `grid`.

    Between them, steps of a dense model are handed out in one call. Where a step takes milliseconds at most that are as
    many as a chunk of the plan holds, but half of the training at most: a save lies behind the last one.

    Args:
        grid: the experiment's `training.save_grid`.
        total: steps of the training.
        operations: of a step and device, about.
    """
    return max(grid, min(CHUNK, total // 2) // grid * grid) if operations < SHORT else grid


def model_input_shapes(experiment: Experiment, shapes: Shapes) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Return the shapes that the model is initialised with: a batch of one, in floating point but for codes; of a patch, where one is drawn."""
    patch = experiment.task.patch if experiment.task.kind == "segmentation" else ()

    def one(key: str) -> jax.ShapeDtypeStruct:
        kept = key == "code" or np.issubdtype(shapes[key].dtype, np.floating)
        shape = (1, *patch, shapes[key].shape[-1]) if patch else (1, *shapes[key].shape)
        return jax.ShapeDtypeStruct(shape, shapes[key].dtype if kept else np.float32)

    return tuple(one(key) for key in experiment.data.inputs)
