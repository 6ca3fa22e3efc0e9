"""The devices: one mesh with the axes `replicate`, `data` and `fsdp`, from a single device to many processes.

Replicates lie along `replicate`. The cases of a batch lie along `data` and `fsdp`. What a replicate keeps between steps
(parameters, their averages, the moments of the optimizer) lies along `fsdp`, leaf by leaf (`kept`), and is gathered for
the step: a model of which one device could not keep all copies trains on several.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from medjax.errors import InputError
from medjax.experiment import Mesh

CASES = ("data", "fsdp")  # the axes over which the cases of a batch lie
LEAST_SHARDED = 2**12  # numbers of a replicate's leaf, below which gathering it would cost more than keeping it whole


def make(settings: Mesh, together: int, batch: int | None, devices: Sequence[Any] | None = None) -> jax.sharding.Mesh:
    """Return the mesh. Without settings, replicates take the devices first and the batch what is left; `fsdp` is 1.

    Args:
        settings: devices an axis; 0 means chosen here.
        together: replicates in one compiled step.
        batch: cases in one (micro-)batch of a replicate; None where nothing is trained.
        devices: default all.

    Raises:
        InputError: more devices asked for than there are, or a batch that the data axis does not divide.
    """
    devices = list(jax.devices() if devices is None else devices)
    count, fsdp = len(devices), settings.fsdp
    if fsdp < 1:
        raise InputError(f"training.mesh.fsdp is {fsdp}; 1 keeps parameters whole, n divides them over n devices")
    replicate = settings.replicate
    if not replicate:
        free = max(count // (max(settings.data, 1) * fsdp), 1)
        # With at least as many replicates as devices the last wave is padded; otherwise no device may idle.
        replicate = free if together >= free else max(d for d in range(1, together + 1) if free % d == 0)
    data = settings.data or max(count // (replicate * fsdp), 1)
    if replicate * data * fsdp > count:
        asked = f"{replicate} x {data}" + (f" x {fsdp}" if fsdp > 1 else "")
        raise InputError(f"training.mesh asks for {asked} devices, but there are {count}")
    if batch is not None and batch % (data * fsdp):
        raise InputError(
            f"a batch of {batch} cases cannot be divided over {data * fsdp} devices: make training.batch_size a multiple "
            f"of {data * fsdp} (times training.accumulate), or set training.mesh.data"
        )
    axis_types = (AxisType.Auto,) * 3  # Explicit, the default, breaks Linen's Dropout
    shape = (replicate, data, fsdp)
    return jax.make_mesh(shape, ("replicate", *CASES), axis_types, devices=devices[: replicate * data * fsdp])


def spread(mesh: jax.sharding.Mesh, *axes: str | tuple[str, ...] | None) -> NamedSharding:
    """Return the sharding that lays the leading axes of an array over the named mesh axes."""
    return NamedSharding(mesh, PartitionSpec(*axes))


def rows(mesh: jax.sharding.Mesh) -> int:
    """Return over how many devices the cases of one replicate's batch lie."""
    return math.prod(mesh.shape[axis] for axis in CASES)


def kept(mesh: jax.sharding.Mesh, tree: Any) -> Any:
    """Return how a tree lies between steps; every leaf (an array or a shape) has a leading replicate axis.

    The rule: a leaf with at least `LEAST_SHARDED` numbers a replicate is divided over `fsdp` along the longest of its
    axes that the devices divide, the last of several; any other leaf is whole on each of them. Moments have the shapes
    of their parameters, so they lie where these do.
    """
    parts = mesh.shape["fsdp"]

    def one(leaf: Any) -> NamedSharding:
        own = leaf.shape[1:]
        fitting = [axis for axis, side in enumerate(own) if side % parts == 0]
        if parts == 1 or not fitting or math.prod(own) < LEAST_SHARDED:
            return spread(mesh, "replicate")
        longest = max(fitting, key=lambda axis: (own[axis], axis))
        return spread(mesh, "replicate", *[None] * longest, "fsdp")

    return jax.tree.map(one, tree)


def to_host(tree: Any) -> Any:
    """Copy a tree of device arrays into NumPy arrays that own their memory, in every process.

    On a CPU `device_get` may return views of buffers that the next donated step overwrites. What lies on the devices of
    several processes is gathered: all of them call this at the same point.
    """

    def fetch(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
            return leaf
        if leaf.is_fully_replicated:
            return leaf.addressable_data(0)
        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.tree.map(lambda x: np.array(x), jax.device_get(jax.tree.map(fetch, tree)))
