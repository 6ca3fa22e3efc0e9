import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from medjax import job
from medjax.errors import InputError
from medjax.experiment import Mesh
from medjax.training import mesh as meshes
from medjax.training.replicate import take


def test_large_leaves_are_divided_along_their_longest_fitting_axis():
    mesh = meshes.make(Mesh(replicate=2, data=1, fsdp=4), 2, 8)
    shapes = {"kernel": (2, 3, 3, 64, 128), "turned": (2, 128, 64), "odd": (2, 81, 63), "bias": (2, 128), "step": (2,)}
    tree = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}
    found = {name: tuple(sharding.spec) for name, sharding in meshes.kept(mesh, tree).items()}
    assert found == {
        "kernel": ("replicate", None, None, None, "fsdp"),
        "turned": ("replicate", "fsdp"),
        "odd": ("replicate",),
        "bias": ("replicate",),
        "step": ("replicate",),
    }


def test_what_is_kept_between_steps_is_divided_and_the_moments_lie_with_their_parameters(small, monkeypatch):
    monkeypatch.setattr(meshes, "LEAST_SHARDED", 64)
    training = dataclasses.replace(small.training, mesh=Mesh(replicate=1, data=1, fsdp=4), ema=0.9)
    experiment = dataclasses.replace(small, training=training)
    work = job.build(experiment, devices=jax.devices()[:4])
    wave = work.programs.waves[0]
    seeds = np.array([work.replicates[k].seed for k in wave], np.uint32)
    state = work.programs.initialise(seeds, take(work.fitted, wave, work.programs.mesh))
    feed = job.feed(work)
    _, chunk = next(feed.chunks(job.training_plan(work, wave), 0, 4))
    for take_steps in (work.programs.train, partial(work.programs.train_several, count=np.int32(3)), None):
        divided = [x for x in jax.tree.leaves((state.variables, state.moments, state.average)) if x.ndim == 3]
        kernels = [x for x in divided if x.shape[1:] == (30, 8)]
        assert len(kernels) == 4  # the parameter, two moments of Adam and the average
        assert all({part.data.shape for part in x.addressable_shards} == {(len(wave), 30, 2)} for x in kernels)
        if take_steps is not None:
            state, _ = take_steps(state, feed.resident, chunk)


def test_more_devices_than_there_are_and_none_are_refused():
    with pytest.raises(InputError, match="asks for 1 x 1 x 16 devices, but there are 8"):
        meshes.make(Mesh(fsdp=16), 1, 16)
    with pytest.raises(InputError, match="fsdp is 0"):
        meshes.make(Mesh(fsdp=0), 1, 16)
    with pytest.raises(InputError, match="cannot be divided over 4 devices"):
        meshes.make(Mesh(replicate=1, data=2, fsdp=2), 1, 6)
