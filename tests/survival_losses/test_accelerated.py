import math

import jax
import numpy as np
import pytest
from scipy import stats

from medjax.survival_losses import accelerated

LAWS = {
    "weibull": lambda location, scale: stats.weibull_min(1 / scale, scale=np.exp(location)),
    "log_normal": lambda location, scale: stats.lognorm(scale, scale=np.exp(location)),
}


@jax.jit
def with_gradient(outputs, times, events):
    def total(outputs):
        losses = {name: getattr(accelerated, name)(outputs, times, events) for name in LAWS}
        return sum(each.sum() for each in losses.values()), losses

    return jax.grad(total, has_aux=True)(outputs)


def losses(outputs, times, events) -> dict[str, np.ndarray]:
    """What both laws give; filled up with unknown cases to one size, so that one program is compiled."""
    known, rest = len(times), 12 - len(times)
    outputs = np.pad(np.float32(outputs), ((0, rest), (0, 0)), constant_values=np.nan)
    times = np.pad(np.float32(times), (0, rest), constant_values=np.nan)
    gradient, found = with_gradient(outputs, times, np.pad(np.float32(events), (0, rest)))
    np.testing.assert_array_equal(gradient[known:], 0)
    for each in found.values():
        np.testing.assert_array_equal(each[known:], 0)
    return {name: np.asarray(each)[:known] for name, each in found.items()} | {"gradient": gradient[:known]}


def test_by_hand_at_the_time_whose_logarithm_is_the_location() -> None:
    """There z is 0: the Weibull survival is 1/e and the normal one 1/2."""
    scale, time = 0.5, 3.0
    found = losses([[math.log(time), math.log(scale)]] * 2, [time, time], [0, 1])
    np.testing.assert_allclose(found["weibull"], [1, 1 + math.log(scale * time)], rtol=1e-6)
    expected = [math.log(2), math.log(math.sqrt(2 * math.pi) * scale * time)]
    np.testing.assert_allclose(found["log_normal"], expected, rtol=1e-6)


@pytest.mark.parametrize("law", LAWS)
def test_random_cases_agree_with_the_laws_of_scipy(law) -> None:
    rng = np.random.default_rng(0)
    outputs, times, events = rng.normal(size=(12, 2)), rng.exponential(size=12), rng.integers(0, 2, 12)
    expected = LAWS[law](outputs[:, 0], np.exp(outputs[:, 1]))
    terms = np.where(events, expected.logpdf(times), expected.logsf(times))
    np.testing.assert_allclose(losses(outputs, times, events)[law], -terms, rtol=2e-5, atol=1e-5)

    grid = np.array([0, 0.1, 1, 5, 50])
    curve = jax.jit(getattr(accelerated, f"{law}_survival"))(outputs, grid)
    np.testing.assert_allclose(curve, np.stack([expected.sf(time) for time in grid], axis=-1), atol=2e-6)
    median = jax.jit(getattr(accelerated, f"{law}_median"))(outputs)
    np.testing.assert_allclose(median, expected.median(), rtol=1e-5)


def test_another_unit_of_time_adds_a_constant_to_each_event() -> None:
    rng = np.random.default_rng(1)
    outputs, times, events = rng.normal(size=(12, 2)), rng.exponential(size=12), rng.integers(0, 2, 12)
    years = losses(outputs, times, events)
    months = losses(outputs + np.array([math.log(12), 0]), times * 12, events)
    for law in LAWS:
        np.testing.assert_allclose(months[law], years[law] + math.log(12) * events, rtol=1e-4, atol=1e-5)


def test_unknown_cases_teach_nothing_and_an_event_at_time_zero_is_impossible() -> None:
    found = losses([[0.3, 0.2]] * 5, [np.nan, -1, 2, 0, 0], [1, 1, -1, 0, 1])
    for law in LAWS:
        np.testing.assert_array_equal(found[law][:4], 0)
        assert np.isnan(found[law][4])
    np.testing.assert_array_equal(found["gradient"][:4], 0)


def test_values_and_gradients_are_finite_far_from_the_location() -> None:
    outputs = [[location, log_scale] for location in (-1e3, -40, 40, 1e3) for log_scale in (-5, 0, 40)]
    for events in (np.zeros(12), np.ones(12)):
        found = losses(outputs, np.linspace(0.1, 900, 12), events)
        for values in found.values():
            assert np.isfinite(values).all()


def test_the_continued_exponential_still_rises() -> None:
    """Where exp itself would overflow, worse outputs still have the larger loss, and a gradient that leads back."""
    found = losses([[0, 0], [-50, 0], [-100, 0], [-200, 0]], [1.0] * 4, [0] * 4)
    assert (np.diff(found["weibull"]) > 0).all()
    assert (found["gradient"][:, 0] < 0).all()
