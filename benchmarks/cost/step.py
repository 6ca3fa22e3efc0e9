"""The training steps that are measured and predicted: a perceptron, many perceptrons, a ResNet, a U-Net."""

from typing import Any

import numpy as np

MODELS = {
    "perceptron": "perceptron, 3 hidden layers of 1,024, batch 256",
    "replicates": "24 perceptrons, 3 hidden layers of 64, batch 64 each",
    "resnet": "ResNet-18 of width 16, batch normalisation, 28 x 28, batch 32",
    "unet": "3-D U-Net, patch 32^3, batch 4",
}


def experiment(name: str, count: int) -> tuple[Any, dict[str, np.ndarray], int, int]:
    """Return one of `MODELS`: its experiment, the arrays of some cases, cases of a batch, replicates.

    Args:
        name: of `MODELS`.
        count: devices; replicates lie along them, of a single model its batch.
    """
    import dataclasses

    from medjax.experiment import Mesh

    if name in ("perceptron", "replicates"):
        from benchmarks.speed import training

        width, batch, replicates = (1_024, 256, 1) if name == "perceptron" else (64, 64, 24)
        found, arrays = training.perceptron(width, batch)
    elif name == "unet":
        from benchmarks.speed import unet

        space, batch, replicates = (32, 32, 32), 4, 1
        found = unet.experiment(1, space)
        arrays = {"volume": np.zeros((2 * batch, *space, 1), np.float32),
                  "segmentation": np.zeros((2 * batch, *space), np.uint8)}  # fmt: skip
    else:
        from benchmarks.speed import resnet

        batch, replicates = 32, 1
        found, arrays = resnet.experiment("float32", batch, 28, 16)
    mesh = Mesh(replicate=count) if replicates > 1 else Mesh(replicate=1, data=count)
    laid = dataclasses.replace(found.training, mesh=mesh)
    return dataclasses.replace(found, training=laid), arrays, batch, replicates


def shapes(programs: Any, arrays: dict[str, np.ndarray], batch: int) -> tuple[Any, ...]:
    """Return the shapes of what the compiled step takes: state, resident cases, batch."""
    import jax

    size = len(programs.waves[0])
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape), leaf.dtype), programs.state)
    resident = {key: jax.ShapeDtypeStruct(values.shape, values.dtype) for key, values in arrays.items()}
    rows = {"index": jax.ShapeDtypeStruct((size, batch), np.int32),
            "weight": jax.ShapeDtypeStruct((size, batch), np.float32)}  # fmt: skip
    return state, resident, rows
