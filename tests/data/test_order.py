import numpy as np
import pytest

from medjax.data.order import evaluation_batches, permutation, positions, training_batches


def test_each_case_appears_once_an_epoch():
    rows = positions(seed=3, count=10, batch=5, start=0, stop=6).reshape(3, 10)
    assert all(sorted(row) == list(range(10)) for row in rows)
    assert not np.array_equal(rows[0], rows[1])


def test_any_batch_can_be_made_again_alone():
    together = positions(7, 13, 4, 0, 20)
    for step in (0, 3, 19):
        np.testing.assert_array_equal(positions(7, 13, 4, step, step + 1)[0], together[step])


def test_a_batch_may_span_more_than_one_epoch():
    rows = positions(0, 3, 8, 0, 3).reshape(-1)
    assert all(sorted(rows[start : start + 3]) == [0, 1, 2] for start in range(0, 24, 3))


def test_seeds_and_epochs_differ_and_are_reproducible():
    assert not np.array_equal(permutation(0, 0, 50), permutation(1, 0, 50))
    assert not np.array_equal(permutation(0, 0, 50), permutation(0, 1, 50))
    permutation.cache_clear()
    first = permutation(5, 2, 50).copy()
    permutation.cache_clear()
    np.testing.assert_array_equal(first, permutation(5, 2, 50))


def test_an_epoch_is_numpys_own_philox_whatever_was_drawn_before():
    permutation.cache_clear()
    permutation(9, 9, 51)
    expected = np.random.Generator(np.random.Philox(key=np.array([5, 2], np.uint64))).permutation(50)
    np.testing.assert_array_equal(permutation(5, 2, 50), expected)


def test_full_batches_hold_every_case_once_and_the_rest_weighs_nothing():
    index, weight = training_batches(0, np.array([4, 2, 9]), batch=5, start=2, stop=4)
    assert index.shape == weight.shape == (2, 5)
    assert sorted(index[0][weight[0] > 0]) == [2, 4, 9]
    assert weight.sum() == 6


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 8, 100])
def test_evaluation_takes_every_case_exactly_once(batch):
    cases = np.array([5, 3, 8, 1, 9, 0, 2])
    index, weight = evaluation_batches(cases, batch)
    np.testing.assert_array_equal(index[weight > 0], cases)
