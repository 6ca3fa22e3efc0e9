from functools import partial

import jax
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.survival_losses import discrete

EDGES = np.float32([0, 1, 2.5, 4])
COUNT, CAUSES, INTERVALS = 12, 2, 3


def cohort(seed: int = 0) -> dict[str, np.ndarray]:
    """Cases at time 0, between the edges, at them and after the last, of two causes."""
    rng = np.random.default_rng(seed)
    return {
        "logits": rng.normal(size=(COUNT, CAUSES, INTERVALS)).astype(np.float32),
        "times": rng.choice(np.float32([0, 0.5, 1, 2, 2.5, 3, 4, 5]), COUNT),
        "events": rng.integers(0, CAUSES + 1, COUNT),
        "weights": rng.choice(np.float32([0.5, 1, 3]), COUNT),
    }


@jax.jit
@partial(jax.vmap, in_axes=(0, None))
def replicates(given, edges):
    def total(logits):
        labels = {name: given[name] for name in ("times", "events")} | {"edges": edges}
        sums, pairs = discrete.ranking(logits, **labels, weights=given["weights"])
        found = {
            "hazard": discrete.logistic_hazard(logits[:, 0], **labels),
            "mass": discrete.probability_mass(logits, **labels),
            "sums": sums,
            "pairs": pairs,
        }
        return sum(values.sum() for values in found.values()), found

    gradient, found = jax.grad(total, has_aux=True)(given["logits"])
    interval, happened = discrete.cut(given["times"], given["events"], edges)
    return found | {"gradient": gradient, "interval": interval, "happened": happened}


def losses(**given) -> dict[str, np.ndarray]:
    """All losses, of the hazards with the logits of the first cause; filled up with weight 0 to one size."""
    count = len(given["times"])
    neutral = {"logits": np.zeros((count, CAUSES, INTERVALS), np.float32), "weights": np.ones(count, np.float32)}
    filled = {name: np.resize(values, (COUNT, *np.shape(values)[1:])) for name, values in (neutral | given).items()}
    filled["weights"] = np.where(np.arange(COUNT) < count, filled["weights"], 0).astype(np.float32)
    twice = {name: np.stack([values, values]) for name, values in filled.items()}
    return {name: np.asarray(values)[1, :count] for name, values in replicates(twice, EDGES).items()}


def curves(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Survival by the hazards of the first cause, incidence by cause, and survival by the distribution."""
    program = jax.jit(
        lambda x: (
            discrete.logistic_hazard_survival(x[:, 0]),
            discrete.cumulative_incidence(x),
            discrete.probability_mass_survival(x),
        )
    )
    return jax.device_get(program(logits))


def test_edges_hold_equally_many_events() -> None:
    times = np.array([5.0, 1, 2, 3, 4, 6, 9, 9, np.nan, -1])
    events = np.array([1, 1, 2, 1, 1, 1, 0, 0, 1, 1])
    np.testing.assert_array_equal(discrete.time_edges(times, events, 3), [0, 2, 4, 6])
    np.testing.assert_array_equal(discrete.time_edges(times, events, 6), [0, 1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([1, 1, 1, 1, 2, 3, 4, 5], [0, 1, 2, 3, 5]),  # half of the events at the first time
        ([1, 2, 3, 4, 4, 4, 4, 4], [0, 2, 3, 4]),  # and at the last one
        ([0, 0, 0, 3], [0, 3]),
    ],
)
def test_edges_rise_though_quantiles_coincide(times, expected) -> None:
    found = discrete.time_edges(np.array(times), np.ones(len(times), bool), len(expected) - 1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("intervals", [0, 3])
def test_more_intervals_than_times_of_events_are_refused(intervals) -> None:
    with pytest.raises(InputError, match=f"{intervals} intervals of time need"):
        discrete.time_edges(np.array([1.0, 2, 3]), np.array([1, 1, 0]), intervals)


def test_cut_by_hand() -> None:
    """An event at an edge ends the interval there; who is censored at an edge has been followed through it."""
    times = np.float32([0, 0.5, 1, 2.5, 4, 4.1, 0, 0.5, 1, 2, 4, np.nan])
    found = losses(times=times, events=np.array([1] * 6 + [0] * 5 + [1]))
    np.testing.assert_array_equal(found["interval"], [0, 0, 0, 1, 2, 3, 0, 0, 1, 1, 3, 0])
    np.testing.assert_array_equal(found["happened"], [True] * 5 + [False] * 7)


def test_losses_and_curves_by_hand() -> None:
    """Hazards 1/2, 1/3, 1/4; chances 1, 2, 3 and 2, 2, 2 of 13, and 1 to have no event until the last edge."""
    logits = np.log(np.float32([[[1, 1 / 2, 1 / 3], [1, 1, 1]]] * 4))
    times, events = np.float32([0.5, 2, 2, 9]), np.array([1, 1, 0, 1])
    found = losses(logits=logits, times=times, events=events)
    np.testing.assert_allclose(np.exp(-found["hazard"]), [1 / 2, 1 / 2 / 3, 1 / 2, 1 / 2 * 2 / 3 * 3 / 4], rtol=1e-6)
    chances = np.log(np.float32([[[1, 2, 3], [2, 2, 2]]] * 4))
    found = losses(logits=chances, times=times, events=np.array([1, 2, 0, 2]))
    np.testing.assert_allclose(np.exp(-found["mass"]), [1 / 13, 2 / 13, 10 / 13, 1 / 13], rtol=1e-6)
    by_hazard, _, _ = curves(logits[:1])
    _, incidence, by_mass = curves(chances[:1])
    np.testing.assert_allclose(by_hazard, [[1, 1 / 2, 1 / 3, 1 / 4]], rtol=1e-6)
    np.testing.assert_allclose(incidence * 13, [[[0, 1, 3, 6], [0, 2, 4, 6]]], rtol=1e-6)
    np.testing.assert_allclose(by_mass * 13, [[13, 10, 6, 1]], rtol=1e-6)


def test_ranking_by_hand() -> None:
    """Case 0 has cause 1 in the first interval; 1 had another event then, 2 was censored in it, 3 and 4 were free."""
    chances = np.float32([[1, 2, 3, 2, 2, 2], [1] * 6, [1] * 6, [2, 1, 1, 1, 1, 1], [3, 1, 1, 1, 1, 1]])
    found = losses(
        logits=np.log(chances).reshape(5, 2, 3),
        times=np.float32([0.5, 1, 0.9, 1, 3]),
        events=np.array([1, 2, 0, 0, 2]),
        weights=np.float32([2, 1, 1, 1, 5]),
    )
    expected = np.exp((2 / 8 - 1 / 13) / 0.1) + 5 * np.exp((3 / 9 - 1 / 13) / 0.1)
    # Case 1 has cause 2 in the first interval, before 3 and 4 too; nobody is free when case 4 has its event.
    other = np.exp((1 / 8 - 1 / 7) / 0.1) + 5 * np.exp((1 / 9 - 1 / 7) / 0.1)
    np.testing.assert_allclose(found["sums"], [expected, other, 0, 0, 0], rtol=1e-5)
    np.testing.assert_array_equal(found["pairs"], [6, 6, 0, 0, 0])


def by_loop(logits, times, events, weights) -> dict[str, np.ndarray]:
    """The definitions, one case, cause and interval at a time."""
    found = {name: np.zeros(COUNT) for name in ("hazard", "mass", "sums", "pairs")}
    chances = np.exp(np.float64(logits))
    chances /= 1 + chances.sum((1, 2), keepdims=True)
    hazards = 1 / (1 + np.exp(-np.float64(logits[:, 0])))

    def has_event_in(i, k):
        return events[i] > 0 and (EDGES[k] < times[i] or k == 0) and times[i] <= EDGES[k + 1]

    def is_free_at(i, k):
        return times[i] > EDGES[k + 1] or (times[i] == EDGES[k + 1] and events[i] == 0)

    for i in range(COUNT):
        likelihood, remaining = 1.0, 1.0
        for k in range(INTERVALS):
            if is_free_at(i, k):
                likelihood *= 1 - hazards[i, k]
                remaining -= chances[i, :, k].sum()
            if has_event_in(i, k):
                likelihood *= hazards[i, k]
                remaining = chances[i, events[i] - 1, k]
                incidence = chances[:, events[i] - 1, : k + 1].sum(-1)
                later = [j for j in range(COUNT) if is_free_at(j, k)]
                found["pairs"][i] = weights[later].sum()
                found["sums"][i] = (weights[later] * np.exp((incidence[later] - incidence[i]) / 0.1)).sum()
        found["hazard"][i], found["mass"][i] = -np.log(likelihood), -np.log(remaining)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_random_cohorts_agree_with_the_definitions(seed) -> None:
    given = cohort(seed)
    found, expected = losses(**given), by_loop(**given)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_order_of_the_cases_does_not_matter() -> None:
    given, order = cohort(5), np.random.default_rng(1).permutation(COUNT)
    found, mixed = losses(**given), losses(**{name: values[order] for name, values in given.items()})
    for name, values in found.items():
        np.testing.assert_allclose(mixed[name], values[order], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("name", "mark"), [("times", np.nan), ("times", -1), ("events", -1), ("weights", 0)])
def test_a_case_of_weight_zero_or_unknown_is_as_if_absent(name, mark) -> None:
    """A weight acts through the pairs alone: the other losses are of one case, which its own weight multiplies."""
    given, gone = cohort(6), np.arange(COUNT) % 4 == 1
    without = losses(**{key: values[~gone] for key, values in given.items()})
    given[name] = np.where(gone, np.asarray(mark, given[name].dtype), given[name])
    if name != "weights":
        given["logits"] = np.where(gone[:, None, None], np.float32(np.nan), given["logits"])
    found = losses(**given)
    for key, values in without.items():
        np.testing.assert_allclose(found[key][~gone], values, rtol=1e-4, atol=1e-4, err_msg=key)
        if name != "weights" or key in ("sums", "pairs"):
            np.testing.assert_array_equal(found[key][gone], 0, err_msg=key)


@pytest.mark.parametrize("size", [1e3, -1e3])
def test_values_and_gradients_are_finite_whatever_is_missing(size) -> None:
    plain = cohort(7)
    sign = np.where(np.random.default_rng(2).uniform(size=plain["logits"].shape) < 0.5, 1, -1)
    extreme = plain | {"logits": (size * sign).astype(np.float32)}
    for case in (
        extreme,
        extreme | {"events": np.zeros(COUNT, int)},
        extreme | {"weights": np.zeros(COUNT, np.float32)},
        extreme | {"times": np.full(COUNT, np.nan, np.float32)},
        {name: values[:1] for name, values in extreme.items()},
    ):
        for name, values in losses(**case).items():
            assert np.isfinite(values).all(), name


def test_a_cause_without_an_output_is_not_taken_for_another_one() -> None:
    found = losses(times=np.float32([2, 2]), events=np.array([2, 3]))
    np.testing.assert_array_equal(np.isnan(found["mass"]), [False, True])


def test_replicates_are_mapped_over() -> None:
    first, second = cohort(1), cohort(2)
    stacked = {name: np.stack([first[name], second[name]]) for name in first}
    found = replicates(stacked, EDGES)
    for number, part in enumerate((first, second)):
        for name, values in losses(**part).items():
            np.testing.assert_allclose(found[name][number], values, rtol=1e-5, atol=1e-5, err_msg=name)


def test_between_the_edges_curves_are_straight_and_after_the_last_one_flat() -> None:
    survival, incidence = np.float32([[1, 0.8, 0.2, 0.1]]), np.float32([[[0, 0.1, 0.4, 0.4]] * 2])
    grid = np.float32([0, 0.5, 1, 1.75, 4, 9])
    program = jax.jit(discrete.between_edges)
    np.testing.assert_allclose(program(survival, EDGES, grid), [[1, 0.9, 0.8, 0.5, 0.1, 0.1]], rtol=1e-6)
    np.testing.assert_allclose(program(incidence, EDGES, grid), [[[0, 0.05, 0.1, 0.25, 0.4, 0.4]] * 2], rtol=1e-6)
