import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.experiment import Mesh
from medjax.training import mesh as meshes
from medjax.training import replicate


@pytest.mark.parametrize(("count", "together", "devices"), [(25, 25, 2), (25, 4, 1), (5, 1, 1), (3, 2, 4), (8, 8, 8)])
def test_waves_hold_every_replicate_and_are_of_one_size(count, together, devices):
    waves = replicate.waves(count, together, devices)
    assert {len(wave) for wave in waves} == {len(waves[0])}
    assert len(waves[0]) % devices == 0
    assert sorted(np.unique(np.concatenate(waves))) == list(range(count))


def test_clones_never_reach_the_host_tree():
    mesh = meshes.make(Mesh(), 3, 8, jax.devices()[:2])
    tree = {"x": np.arange(6.0).reshape(3, 2)}
    (wave,) = replicate.waves(3, 3, 2)
    assert len(wave) == 4
    placed = replicate.take(tree, wave, mesh)
    assert placed["x"].shape == (4, 2)
    back = replicate.put(tree, wave, jax.tree.map(lambda x: x + 1, placed))
    np.testing.assert_array_equal(back["x"], tree["x"] + 1)
    np.testing.assert_array_equal(tree["x"], np.arange(6.0).reshape(3, 2))


def test_a_replicate_s_seed_is_its_own_and_depends_on_nothing_else():
    few = replicate.plan(0, 2, [((0,), (), ())] * 2, True)
    many = replicate.plan(0, 5, [((0,), (), ())] * 5, True)
    assert {m.seed for m in few} <= {m.seed for m in many}
    assert len({m.seed for m in many}) == 25
    assert many[7].seed == replicate.replicate_seed(0, 1, 2)
    assert [m.number for m in replicate.plan(0, 5, [((0,), (), ())] * 5, True, only=(7,))] == [7]
    with pytest.raises(InputError, match="only names 25"):
        replicate.plan(0, 5, [((0,), (), ())] * 5, True, only=(25,))


def test_a_wave_of_one_gives_what_a_wave_of_many_gives():
    def function(x, shared):
        return {"y": x["a"] * shared + 1}

    x, shared = {"a": jnp.arange(6.0).reshape(3, 2)}, jnp.array(2.0)
    many = replicate.over_replicates(function, 3, (0, None))(x, shared)
    one = replicate.over_replicates(function, 1, (0, None))(jax.tree.map(lambda v: v[:1], x), shared)
    np.testing.assert_array_equal(many["y"][:1], one["y"])


def test_convolutions_are_recognised():
    assert replicate.has_convolutions(lambda x: jnp.convolve(x, jnp.ones(3)), jnp.ones(9))
    assert not replicate.has_convolutions(lambda x: x @ jnp.ones((9, 2)), jnp.ones(9))


def test_meshes_use_every_device_and_refuse_what_does_not_fit():
    def shape(settings, together):
        return tuple(meshes.make(settings, together, 8).shape.values())

    assert shape(Mesh(), 25) == (8, 1, 1)
    assert shape(Mesh(), 1) == (1, 8, 1)
    assert shape(Mesh(), 2) == (2, 4, 1)
    assert shape(Mesh(data=2), 25) == (4, 2, 1)
    with pytest.raises(InputError, match="cannot be divided over 8 devices"):
        meshes.make(Mesh(), 1, 20)
    with pytest.raises(InputError, match="but there are 8"):
        meshes.make(Mesh(replicate=3, data=4), 25, 8)


def test_host_copies_own_their_memory():
    array = jax.device_put(np.arange(4.0), jax.devices()[0])
    copy = meshes.to_host({"x": array})["x"]
    assert copy.flags.owndata
    assert copy.flags.writeable
