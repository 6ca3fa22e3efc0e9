"""Peak memory of one training step with and without remat, as the compiler plans it and as the process has it.

The compiler's number is what it sets aside for intermediate values (`memory_analysis`), parameters and data apart. The
process's peak is that of a fresh process that has compiled and taken one step.
"""

from typing import Any

from benchmarks.speed.row import Row, Side
from benchmarks.speed.worker import Work

MODELS = {
    "resnet": "ResNet-18, 64 px, batch 64",
    "unet": "3-D U-Net, patch 64^3, batch 2",
    "unet_large": "3-D U-Net, patch 128^3, batch 1",
}
PATCHES = {"unet": (64, 2), "unet_large": (128, 1)}  # side and batch


def _experiment(name: str, remat: bool):
    """Return an experiment, arrays for one batch, and the batch size."""
    import numpy as np

    from benchmarks.speed import unet
    from medjax.experiment import Data, Experiment
    from medjax.models import ResNet
    from medjax.tasks import Classification

    if name == "resnet":
        arrays = {"image": np.zeros((64, 64, 64, 1), np.float32), "label": np.zeros(64, np.int32)}
        model = ResNet(normalisation="batch", outputs=2, remat=remat)
        task = Classification(positive="b").resolve(("a", "b"))
        return Experiment(name="resnet", data=Data("noise"), task=task, model=model), arrays, 64
    from dataclasses import replace

    side, batch = PATCHES[name]
    patch = (side,) * 3
    own = unet.experiment(1, patch)
    arrays = {"volume": np.zeros((batch, *patch, 1), np.float32), "segmentation": np.zeros((batch, *patch), np.uint8)}
    return replace(own, model=own.model.clone(remat=remat)), arrays, batch


def planned(name: str, remat: bool) -> Work:
    """Return what the compiler sets aside, in MiB; nothing is run."""
    import jax
    import numpy as np

    from benchmarks.speed import training

    experiment, arrays, batch = _experiment(name, remat)
    own = training.built(experiment, arrays, batch)
    shapes = {key: jax.ShapeDtypeStruct(values.shape, values.dtype) for key, values in arrays.items()}
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), own.state)
    batches = {"index": jax.ShapeDtypeStruct((1, batch), np.int32),
               "weight": jax.ShapeDtypeStruct((1, batch), np.float32)}  # fmt: skip
    train: Any = own.train  # of `jax.jit`
    plan = train.lower(state, shapes, batches).compile().memory_analysis()
    return Work({"run": lambda: plan.temp_size_in_bytes / 2**20})


def process(name: str, remat: bool) -> Work:
    """Return the largest resident size of a process that took one step, in MiB."""
    import resource

    from benchmarks.speed import training

    experiment, arrays, batch = _experiment(name, remat)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    training.step(experiment, arrays, batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # KiB on Linux
    return Work({"run": lambda: peak}, facts={"note": f"{before:,.0f} MiB before it compiled"})


def _rows(name: str, what: str) -> tuple[Row, Row]:
    def sides(build: str) -> tuple[Side, Side]:
        with_, without = ({"name": name, "remat": remat} for remat in (True, False))
        return Side("with remat", f"benchmarks.speed.memory:{build}", with_), Side(
            "without remat", f"benchmarks.speed.memory:{build}", without
        )

    ours, plain = sides("planned")
    ran, ran_plain = sides("process")
    return (
        Row(f"memory_{name}", f"intermediate values of a training step: {what}, with and without remat", ours, (plain,),
            unit="MiB", rounds=1),
        Row(f"memory_{name}_process", "the same, the process's peak", ran, (ran_plain,), unit="MiB", rounds=1),
    )  # fmt: skip


ROWS = tuple(row for name, what in MODELS.items() for row in _rows(name, what))
