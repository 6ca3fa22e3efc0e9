import jax
import numpy as np
import pytest

from medjax.data.feed import CHUNK, Feed, case_arrays, stack
from medjax.data.order import training_batches
from medjax.data.source import MemorySource
from medjax.errors import InputError
from medjax.experiment import Mesh
from medjax.training import mesh as meshes
from medjax.training.step import gather

KEYS = ("image", "label")


def source(count=23):
    rng = np.random.default_rng(0)
    return MemorySource(
        [
            {"id": f"c{i}", "group": "g", "image": rng.integers(0, 256, (2, 3, 1)).astype(np.uint8), "label": i % 2}
            for i in range(count)
        ]
    )


def plan(start, stop):
    rows = [training_batches(seed, np.arange(23), 4, start, stop) for seed in (1, 2)]
    return tuple(np.stack([row[part] for row in rows], axis=1) for part in (0, 1))


def feeds():
    cases = source()
    mesh = meshes.make(Mesh(), 2, 4, jax.devices()[:4])
    sharding = meshes.spread(mesh, "replicate", "data")
    resident = jax.device_put(stack(cases, KEYS, "d"), meshes.spread(mesh))
    return Feed(resident, None, sharding), Feed({}, lambda i: case_arrays(cases[i], KEYS), sharding)


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (CHUNK - 2, CHUNK + 3), (7, 7)])
def test_resident_and_streamed_batches_are_identical(start, stop):
    whole = [
        [jax.device_get(gather(feed.resident, batch)) for batch in feed.batches(plan, start, stop)] for feed in feeds()
    ]
    assert len(whole[0]) == len(whole[1]) == stop - start
    for step, (resident, streamed) in enumerate(zip(*whole, strict=True), start):
        assert resident.keys() == streamed.keys() == {"index", "weight", *KEYS}
        for key in resident:
            np.testing.assert_array_equal(resident[key], streamed[key])
            assert resident[key].dtype == streamed[key].dtype
        (index,), (weight,) = plan(step, step + 1)
        np.testing.assert_array_equal(streamed["index"], index)
        np.testing.assert_array_equal(streamed["weight"], weight)
        np.testing.assert_array_equal(streamed["label"], index % 2)
        assert streamed["image"].shape == (2, 4, 2, 3, 1)


def test_a_resumed_feed_goes_on_where_the_other_stopped():
    for feed in feeds():
        whole, rest = (jax.device_get(list(feed.batches(plan, start, 9))) for start in (0, 6))
        jax.tree.map(np.testing.assert_array_equal, whole[6:], rest)


def test_batches_lie_spread_over_the_mesh():
    for feed in feeds():
        batch = next(feed.batches(plan, 0, 1))
        assert all(value.sharding == feed.sharding for value in batch.values())


def test_stack_reads_every_case_once_and_names_what_does_not_fit():
    cases = source(3)
    stacked = stack(cases, KEYS, "d")
    assert stacked["image"].shape == (3, 2, 3, 1)
    assert stacked["label"].tolist() == [0, 1, 0]
    cases.cases[1].pop("label")
    with pytest.raises(InputError, match=r"d: case 'c1' has no 'label'; it has group, id, image"):
        stack(cases, KEYS, "d")
    cases = source(3)
    cases.cases[2]["image"] = np.zeros((2, 2, 1), np.uint8)
    with pytest.raises(InputError, match=r"d: case 'c2': 'image' has shape \(2, 2, 1\), the first case \(2, 3, 1\)"):
        stack(cases, KEYS, "d")
    with pytest.raises(InputError, match="d: it holds no case"):
        stack(MemorySource([]), KEYS, "d")


def test_a_chunk_gives_each_step_its_own_row_also_beyond_the_last_step():
    """What the compiled step takes out of a chunk is what the plan says for that step, from any start."""
    import jax.numpy as jnp

    from medjax.data.feed import CHUNK
    from medjax.training.step import own_row

    def plan(start, stop):
        index = np.arange(start, stop, dtype=np.int32)[:, None, None] * 100 + np.arange(4, dtype=np.int32)
        return np.repeat(index, 2, axis=1), np.ones((stop - start, 2, 4), np.float32)

    mesh = meshes.make(Mesh(), 2, 4, jax.devices()[:2])
    feed = Feed({}, None, meshes.spread(mesh, "replicate", "data"))
    steps = list(feed.steps(plan, 5, 5 + CHUNK + 3))
    assert len(steps) == CHUNK + 3
    assert {step["index"].shape for step in steps} == {(2, CHUNK, 4)}
    for number, chunk in enumerate(steps, start=5):
        for replicate in range(2):
            one = {key: value[replicate] for key, value in chunk.items()}
            row = own_row(one, jnp.int32(number))
            np.testing.assert_array_equal(row["index"], plan(number, number + 1)[0][0, replicate])
