"""The devices: one mesh with a `replicate` and a `data` axis, from a single device to many."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from medjax.errors import InputError
from medjax.experiment import Mesh


def make(settings: Mesh, together: int, batch: int | None, devices: Sequence[Any] | None = None) -> jax.sharding.Mesh:
    """Return the mesh. Without settings, replicates take the devices first and the batch what is left.

    Args:
        settings: devices an axis; 0 means chosen here.
        together: replicates in one compiled step.
        batch: cases in one (micro-)batch of a replicate; None where nothing is trained.
        devices: default all.

    Raises:
        InputError: more devices asked for than there are, or a batch that the data axis does not divide.
    """
    devices = list(jax.devices() if devices is None else devices)
    count = len(devices)
    replicate = settings.replicate
    if not replicate:
        free = count // max(settings.data, 1)
        # With at least as many replicates as devices the last wave is padded; otherwise no device may idle.
        replicate = free if together >= free else max(d for d in range(1, together + 1) if free % d == 0)
    data = settings.data or max(count // replicate, 1)
    if replicate * data > count:
        raise InputError(f"training.mesh asks for {replicate} x {data} devices, but there are {count}")
    if batch is not None and batch % data:
        raise InputError(
            f"a batch of {batch} cases cannot be divided over {data} devices: make training.batch_size a multiple of "
            f"{data} (times training.accumulate), or set training.mesh.data"
        )
    axis_types = (AxisType.Auto, AxisType.Auto)  # Explicit, the default, breaks Linen's Dropout
    return jax.make_mesh((replicate, data), ("replicate", "data"), axis_types, devices=devices[: replicate * data])


def spread(mesh: jax.sharding.Mesh, *axes: str | None) -> NamedSharding:
    """Return the sharding that lays the leading axes of an array over the named mesh axes."""
    return NamedSharding(mesh, PartitionSpec(*axes))


def to_host(tree: Any) -> Any:
    """Copy a tree of device arrays into NumPy arrays that own their memory.

    On a CPU `device_get` may return views of buffers that the next donated step overwrites.
    """
    return jax.tree.map(lambda x: np.array(x), jax.device_get(tree))
