from itertools import product

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from medjax.data import near, thumbnail
from medjax.errors import InputError


def pictures(count, seed=0, size=28):
    """Smooth random pictures with structure in common, as all chest radiographs have."""
    random = np.random.default_rng(seed)
    common = gaussian_filter(np.random.default_rng(99).standard_normal((size, size)), 5) * 30
    own = np.stack([gaussian_filter(random.standard_normal((size, size)), 1.2) for _ in range(count)])
    return (common + 3 * own).astype(np.float32)


def found(queries, references, row, rate=near.RATE):
    neighbours = near.picture_neighbours(queries, references)
    return ((neighbours.position == row[:, None]) & (neighbours.chance < rate)).any(1)


def test_the_filter_is_pillows_and_keeps_constants():
    from PIL import Image

    random = np.random.default_rng(0)
    for length, points in ((64, 28), (28, 28), (20, 28), (100, 7)):
        weights = thumbnail.sampling(length, points)
        assert np.allclose(weights.sum(1), 1, atol=1e-6)
        line = random.random((1, length)).astype(np.float32)
        theirs = np.asarray(Image.fromarray(line).resize((points, 1), Image.Resampling.BILINEAR))
        inner = slice(1, -1)
        assert np.allclose((line @ weights.T)[:, inner], theirs[:, inner], atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_shift_is_undone_by_what_is_cut(dimensions):
    random = np.random.default_rng(1)
    for ours, theirs in thumbnail.shifts(dimensions):
        wide = random.random((1,) + (36,) * dimensions).astype(np.float32)
        moved = [one[0] - other[0] for one, other in zip(ours, theirs, strict=True)]
        whole = wide[(slice(None), *(slice(4, 32),) * dimensions)]
        copy = wide[(slice(None), *(slice(4 + step, 32 + step) for step in moved))]
        grid = (28,) * dimensions
        one, other = (
            thumbnail.resample(np.ascontiguousarray(array), grid, crop)
            for array, crop in ((whole, ours), (copy, theirs))
        )
        inner = (slice(None), *(slice(1, -1),) * dimensions)  # the outermost points look beyond what is kept
        assert np.allclose(one[inner], other[inner], atol=1e-4)
    steps = {
        tuple(one[0] - other[0] for one, other in zip(*pair, strict=True)) for pair in thumbnail.shifts(dimensions)
    }
    assert steps == set(product(range(-2, 3), repeat=dimensions)) - {(0,) * dimensions}


def test_there_are_eight_turns_of_an_image_and_all_differ():
    image = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    seen = {thumbnail.turned(image, turn).tobytes() for turn in thumbnail.turns(2)}
    expected = {np.ascontiguousarray(np.rot90(one, k)).tobytes() for one in (image[0], image[0].T) for k in range(4)}
    assert seen == expected
    assert len(seen) == 8
    assert (
        len(
            {
                thumbnail.turned(np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3), t).tobytes()
                for t in thumbnail.turns(3)
            }
        )
        == 8
    )


def test_chance_is_what_it_says_where_the_tail_is_exponential():
    random = np.random.default_rng(0)
    closeness = -np.sort(-random.exponential(0.3, (8000, 300)), axis=1)[:, : near.FARTHEST]
    chance = near.chance(closeness)
    # Rather too rarely, since the longer of several estimates counts.
    for rate, least in ((0.5, 0.6), (0.1, 0.4), (0.01, 0.1)):
        error = np.sqrt(rate * (1 - rate) / len(chance))
        assert least * rate - 4 * error < (chance[:, 0] < rate).mean() < rate + 4 * error
    assert np.all(np.diff(chance, axis=1) >= -1e-12)  # the nearest is the least likely
    assert np.allclose(near.chance(3 * closeness + 2), chance)  # neither origin nor unit of the scale matter


def test_pictures_of_other_patients_are_called_suspect_no_more_often_than_stated():
    neighbours = near.picture_neighbours(pictures(300, 1, 16), pictures(300, 2, 16))
    for rate, most in ((0.1, 0.16), (0.01, 0.04)):
        assert (neighbours.chance[:, 0] < rate).mean() < most
    assert near.suspects(neighbours, alone=False) == []


def test_hidden_copies_are_found_and_named():
    references, some = pictures(250), 10
    originals = references[:some]
    random = np.random.default_rng(3)
    crops = (((2, 0), (0, 2)), ((1, 1), (1, 1)), ((2, 2), (2, 2)), ((1, 0), (0, 1)))
    cut = [thumbnail.resample(originals, (28, 28), crop) for crop in crops]
    kinds = {
        **{f"turn {number}": thumbnail.turned(originals, turn) for number, turn in enumerate(thumbnail.turns(2))},
        "brighter": originals * 1.7 - 12,
        "noisy": originals + random.normal(0, 0.2, originals.shape),
        **{f"crop {number}": one for number, one in enumerate(cut)},
        "moved": np.stack([np.roll(one, (2, -1), (0, 1)) for one in originals]),
        "turned and cut": thumbnail.resample(thumbnail.turned(originals, ((1, 0), (0,))), (28, 28), crops[0]),
    }
    queries = np.concatenate([*kinds.values(), pictures(some, 9)]).astype(np.float32)
    hit = found(queries, references, np.tile(np.arange(some), len(kinds) + 1)).reshape(-1, some)
    assert dict(zip(kinds, hit[:-1].mean(1).tolist(), strict=True)) == dict.fromkeys(kinds, 1.0)
    assert not hit[-1].any()  # other pictures
    both = np.concatenate([cut[0], references[some:]])
    assert found(originals, both, np.arange(some)).all()  # the other way round


def test_volumes_and_signals_are_found_too():
    random = np.random.default_rng(0)
    for shape, change in (
        ((8, 8, 8), lambda x: x[:, ::-1, :, ::-1]),
        ((128,), lambda x: thumbnail.resample(x, (128,), ((2, 1),))),
    ):
        cases = random.standard_normal((100, *shape))
        cases = np.stack([gaussian_filter(one, 1.5) for one in cases]).astype(np.float32)
        copies = np.ascontiguousarray(change(cases[:10]))
        neighbours = near.picture_neighbours(np.concatenate([copies, cases[50:]]), cases[:50])
        hit = neighbours.chance[:, 0] < near.RATE
        assert hit[:10].all()
        assert np.array_equal(neighbours.position[:10, 0], np.arange(10))
        assert not hit[10:].any()


def test_blocks_do_not_matter_and_neither_does_the_order(monkeypatch):
    cases = pictures(60, 0, 16)
    cases[7] = cases[40][::-1]
    whole = near.picture_neighbours(cases)
    monkeypatch.setattr(near, "BLOCK", 60 * 23)
    order = np.random.default_rng(0).permutation(60)
    parts = near.picture_neighbours(cases[order])
    assert np.allclose(whole.similarity[order], parts.similarity, atol=1e-4)
    (pair,) = near.suspects(whole)
    assert (pair.first, pair.second) == (7, 40)
    assert pair.similarity == pytest.approx(1, abs=1e-3)
    (pair,) = near.suspects(parts)
    assert {order[pair.first], order[pair.second]} == {7, 40}


def test_cases_of_one_patient_may_be_alike():
    cases = np.random.default_rng(0).standard_normal((100, 6))
    cases[7] = cases[40] + 1e-5
    patient = np.array([str(number) for number in range(100)])
    assert len(near.suspects(near.row_neighbours(cases, None, (patient, patient)), same=None)) == 1
    patient[7] = patient[40]
    assert near.suspects(near.row_neighbours(cases, None, (patient, patient)), same=None) == []


def test_many_copies_of_one_case_do_not_hide_each_other():
    cases = pictures(250, 0, 16)
    random = np.random.default_rng(0)
    cases[:30] = cases[0] + random.normal(0, 0.01, (30, 16, 16))  # a video: more copies than the ranks that are skipped
    neighbours = near.picture_neighbours(cases)
    pairs = near.suspects(neighbours)
    assert {(pair.first, pair.second) for pair in pairs} == {(a, b) for a in range(30) for b in range(a + 1, 30)}
    assert len(near.suspects(neighbours, same=2.0)) < len(pairs)  # without that rule they do


def test_nearest_rows_are_those_of_brute_force_on_ranks():
    random = np.random.default_rng(0)
    table = random.integers(0, 30, (80, 3)).astype(float)
    ranks = rankdata(table, axis=0)
    ranks = (ranks - ranks.mean(0)) / ranks.std(0)
    distance = cdist(ranks, ranks)
    np.fill_diagonal(distance, np.inf)
    neighbours = near.row_neighbours(table)
    assert np.allclose(neighbours.similarity, np.sort(distance, axis=1)[:, : neighbours.position.shape[1]], atol=1e-4)
    assert np.allclose(distance[np.arange(80), neighbours.position[:, 0]], distance.min(1))
    across = near.row_neighbours(table[:30], table[30:])
    assert np.allclose(across.similarity[:, 0], distance[:30, 30:].min(1), atol=1e-4)


def test_rows_far_out_are_not_called_alike():
    random = np.random.default_rng(0)
    table = random.standard_normal((400, 4))
    table[:2] = [[50, 60, 70, 80], [51, 61, 69, 82]]
    pairs = near.suspects(near.row_neighbours(table), same=None)
    assert not pairs or {(pair.first, pair.second) for pair in pairs} == {(0, 1)}
    assert len(near.suspects(near.row_neighbours(random.standard_cauchy((600, 5))), same=None)) <= 1


def test_rows_that_were_changed_a_little_are_found_and_others_are_not():
    random = np.random.default_rng(0)
    table = random.standard_normal((400, 8)) @ random.standard_normal((8, 8))
    table[random.random(table.shape) < 0.05] = np.nan
    assert near.suspects(near.row_neighbours(table), same=None) == []
    copies = table[:20] + 0.0005 * random.standard_normal((20, 8))
    neighbours = near.row_neighbours(copies, table)
    assert ((neighbours.position[:, 0] == np.arange(20)) & (neighbours.chance[:, 0] < near.RATE)).all()


def test_small_or_flat_data_say_nothing_rather_than_something():
    assert near.suspects(near.picture_neighbours(pictures(3, 0, 16))) == []
    flat = np.ones((40, 16, 16), np.float32)
    assert near.suspects(near.picture_neighbours(flat)) == []
    one = near.picture_neighbours(pictures(1, 0, 16))
    assert one.position.shape == (1, 0)
    assert near.suspects(one) == []
    assert near.suspects(near.row_neighbours(np.zeros((40, 2))), same=None) == []
    with pytest.raises(InputError, match="false-alarm rate"):
        near.suspects(one, rate=0.0)
