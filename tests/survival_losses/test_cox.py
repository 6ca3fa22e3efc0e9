import math

import jax
import numpy as np
import pytest

from medjax.survival_losses import cox


def cohort(seed: int = 0, count: int = 24) -> dict[str, np.ndarray]:
    """Cases with few distinct times, so that events tie with events and with censored cases."""
    rng = np.random.default_rng(seed)
    times = rng.integers(1, 9, count).astype(np.float32)
    return {
        "log_risks": rng.normal(size=count).astype(np.float32),
        "times": times,
        "events": rng.integers(0, 2, count),
        "weights": rng.choice([0.0, 0.5, 1.0, 3.0], count).astype(np.float32),
        "entries": np.where(rng.uniform(size=count) < 0.5, 0, rng.integers(0, 8, count) % times).astype(np.float32),
        "strata": rng.integers(0, 3, count),
    }


def by_loop(log_risks, times, events, weights=None, entries=None, strata=None, ties="efron") -> np.ndarray:
    """The definition, one event and one share at a time."""
    count = len(times)
    weights = np.ones(count) if weights is None else weights
    entries = np.full(count, -1.0) if entries is None else entries
    strata = np.zeros(count) if strata is None else strata
    risks = weights * np.exp(np.asarray(log_risks, np.float64))
    terms = np.zeros(count)
    for i in range(count):
        if not events[i] or weights[i] == 0:
            continue
        at_risk = (entries < times[i]) & (times[i] <= times) & (strata == strata[i])
        tied = (times == times[i]) & (events == 1) & (weights > 0) & (strata == strata[i])
        shares = np.arange(tied.sum()) / tied.sum() if ties == "efron" else np.zeros(1)
        terms[i] = np.mean([np.log(risks[at_risk].sum() - share * risks[tied].sum()) for share in shares])
        terms[i] -= log_risks[i]
    return terms


def padded(size: int = 24, **given) -> dict[str, np.ndarray]:
    """Fill up to so many cases with weight 0 (all tests share a few programs); what is not given has no effect."""
    count = len(given["times"])
    neutral = {"weights": np.ones(count, np.float32), "strata": np.zeros(count, int)}
    filled = {name: np.resize(values, size) for name, values in (neutral | given).items()}
    return filled | {"weights": np.where(np.arange(size) < count, filled["weights"], 0)}


@jax.jit
def with_gradient(given):
    def total(log_risks):
        terms = cox.partial_likelihood(**(given | {"log_risks": log_risks}))
        return terms.sum(), terms

    return jax.grad(total, has_aux=True)(given["log_risks"])


@jax.jit
@jax.vmap
def breslow(given):
    return cox.partial_likelihood(**given, ties="breslow")


def compiled(ties: str = "efron", **given) -> np.ndarray:
    if ties == "efron":
        _, terms = with_gradient(padded(**given))
    else:
        no_entries = {"entries": np.zeros(len(given["times"]), np.float32)}
        twice = {name: np.stack([values] * 2) for name, values in padded(**(no_entries | given)).items()}
        terms = breslow(twice)[1]
    return np.asarray(terms)[: len(given["times"])]


@pytest.mark.parametrize(("ties", "share"), [("breslow", 0.0), ("efron", 0.5)])
def test_by_hand_with_two_events_and_a_censored_case_at_one_time(ties, share) -> None:
    """Risks 1 to 5; at time 2 the cases of risk 2 and 3 have the event and that of risk 4 is censored; 1 was before."""
    found = compiled(
        ties,
        log_risks=np.log(np.float32([1, 2, 3, 4, 5])),
        times=np.float32([1, 2, 2, 2, 3]),
        events=np.array([1, 1, 1, 0, 1]),
    )
    at_two = (math.log(2 + 3 + 4 + 5) + math.log(14 - share * (2 + 3))) / 2
    expected = [math.log(15), at_two - math.log(2), at_two - math.log(3), 0, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_by_hand_with_late_entry_and_strata() -> None:
    """The case of risk 4 enters at time 2: after the first event, and not yet at risk for the second, at 2."""
    given = {
        "log_risks": np.log(np.float32([1, 2, 3, 4, 8])),
        "times": np.float32([1, 2, 3, 4, 5]),
        "events": np.array([1, 1, 1, 0, 0]),
        "entries": np.float32([0, 0, 0, 2, 0]),
    }
    expected = [math.log(1 + 2 + 3 + 8), math.log((2 + 3 + 8) / 2), math.log((3 + 4 + 8) / 3), 0, 0]
    np.testing.assert_allclose(compiled(**given), expected, rtol=1e-6)
    apart = compiled(**given, strata=np.array([0, 1, 0, 0, 1]))
    np.testing.assert_allclose(apart, [math.log(4), math.log(5), math.log(7 / 3), 0, 0], rtol=1e-6)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("used", [(), ("weights", "strata"), ("weights", "entries", "strata")])
def test_random_cohorts_agree_with_the_definition(ties, used) -> None:
    for seed in range(4):
        full = cohort(seed)
        given = {name: full[name] for name in ("log_risks", "times", "events", *used)}
        np.testing.assert_allclose(compiled(ties, **given), by_loop(**given, ties=ties), rtol=2e-5, atol=2e-5)


def test_entries_of_zero_change_nothing() -> None:
    full = cohort(5)
    plain = {name: full[name] for name in ("log_risks", "times", "events", "weights", "strata")}
    since_ever = compiled(**plain, entries=np.zeros(24, np.float32))
    np.testing.assert_allclose(since_ever, compiled(**plain), rtol=1e-5, atol=1e-6)


def test_the_order_of_the_cases_does_not_matter() -> None:
    full, order = cohort(6), np.random.default_rng(1).permutation(24)
    mixed = {name: values[order] for name, values in full.items()}
    np.testing.assert_allclose(compiled(**mixed), compiled(**full)[order], rtol=1e-5, atol=1e-6)


def test_the_origin_of_the_log_risks_does_not_matter() -> None:
    full = cohort(7)
    moved = {**full, "log_risks": full["log_risks"] + np.float32(50)}
    np.testing.assert_allclose(compiled(**moved), compiled(**full), atol=5e-5)


@pytest.mark.parametrize("hide", ["weights", "times", "entries", "strata", "late"])
def test_a_case_of_weight_zero_or_unknown_is_as_if_absent(hide) -> None:
    full, count = cohort(8), 24
    full["weights"] = np.maximum(full["weights"], 0.5)
    gone = np.arange(count) % 5 == 2
    kept = {name: values[~gone] for name, values in full.items()}
    full["log_risks"] = np.where(gone, np.float32(np.nan), full["log_risks"])
    if hide == "late":
        full["entries"] = np.where(gone, full["times"], full["entries"])
    else:
        mark = {"weights": 0.0, "times": np.nan, "entries": np.nan, "strata": -1}[hide]
        full[hide] = np.where(gone, np.asarray(mark, full[hide].dtype), full[hide])

    found = with_gradient(full)
    expected = [each[: (~gone).sum()] for each in with_gradient(padded(**kept))]
    for with_gone, without in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(with_gone)[~gone], without, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(np.asarray(with_gone)[gone], 0)


@pytest.mark.parametrize("with_entries", [False, True])
def test_values_and_gradients_are_finite_whatever_is_missing(with_entries) -> None:
    full = cohort(9)
    extreme = np.where(np.arange(24) % 2 == 0, 1e3, -1e3).astype(np.float32)
    cases = {
        "extreme": full | {"log_risks": extreme},
        "reversed": full | {"log_risks": -extreme},
        "no event": full | {"events": np.zeros(24, int)},
        "no weight": full | {"weights": np.zeros(24, np.float32)},
        "no time": full | {"times": np.full(24, np.nan, np.float32)},
        "one time": full | {"times": np.full(24, 8, np.float32), "events": np.ones(24, int)},
        "a single case": full | {"weights": (np.arange(24) == 3).astype(np.float32), "events": np.ones(24, int)},
        "a stratum with one other each": full | {"strata": np.arange(24) // 2},
    }

    for name, case in cases.items():
        if not with_entries:
            del case["entries"]
        gradient, terms = with_gradient(case)
        assert np.isfinite(terms).all(), name
        assert np.isfinite(gradient).all(), name
        teaches = not name.startswith(("no ", "a single"))
        assert np.any(np.asarray(terms) != 0) == teaches, name
        assert np.any(np.asarray(gradient) != 0) == teaches, name


def test_extreme_log_risks_by_hand() -> None:
    found = compiled(
        log_risks=np.float32([-1000, 1000, -1000]), times=np.float32([1, 2, 3]), events=np.array([1, 1, 1])
    )
    np.testing.assert_allclose(found, [2000, 0, 0])


def test_replicates_are_mapped_over() -> None:
    parts = [cohort(seed) for seed in (1, 2)]
    found = breslow({name: np.stack([part[name] for part in parts]) for name in parts[0]})
    np.testing.assert_allclose(found, [by_loop(**part, ties="breslow") for part in parts], rtol=2e-5, atol=2e-5)


# What lifelines 0.30.3 gives (CoxPHFitter, ties by Efron; fit_options precision=1e-14, step_size=1) for `simulated()`:
# coefficients, and the log partial likelihood there.
LIFELINES = [
    ((), [0.635110779, -0.444637776, 0.032858869], -403.895331862),
    (("weights",), [0.610735658, -0.408623306, -0.008176117], -1002.676967527),
    (("entries",), [0.604758871, -0.410250025, 0.033801472], -384.526461229),
    (("strata",), [0.626726883, -0.428272735, 0.032488270], -337.598377467),
    (("weights", "entries", "strata"), [0.560779414, -0.350868607, 0.027379772], -826.842630534),
]


def simulated() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """150 cases with 99 events, up to 14 of them at one time."""
    rng = np.random.default_rng(2026)
    features = rng.normal(size=(150, 3)).round(2)
    log_risks = features @ np.array([0.8, -0.5, 0.0])
    lifetimes = np.ceil(rng.exponential(12, 150) * np.exp(-log_risks))
    censored = np.ceil(rng.uniform(2, 30, 150))
    times, events = np.minimum(lifetimes, censored), lifetimes <= censored
    entries = np.where(rng.uniform(size=150) < 0.4, np.floor(rng.uniform(size=150) * times), 0)
    strata, weights = rng.integers(0, 2, 150), rng.integers(1, 4, 150)
    return features, {"times": times, "events": events, "weights": weights, "entries": entries, "strata": strata}


@jax.jit
def slope(coefficients, features, others):
    def loss(coefficients):
        return (others["weights"] * cox.partial_likelihood(features @ coefficients, **others)).sum()

    return jax.value_and_grad(loss)(coefficients)


@pytest.mark.parametrize(("used", "expected", "log_likelihood"), LIFELINES)
def test_a_linear_model_has_the_coefficients_of_lifelines(used, expected, log_likelihood, monkeypatch) -> None:
    """Newton's method, the second derivatives by differences: it ends where the gradient does, at any accuracy of them."""
    monkeypatch.setattr(cox, "ROWS", 64)  # two whole blocks and a rest
    features, full = simulated()
    plain = {"weights": np.ones(150, int), "strata": np.zeros(150, int)}
    given = {**plain, **{name: full[name] for name in ("times", "events", *used)}}
    coefficients = np.zeros(3)
    with jax.enable_x64(True):
        for _ in range(8):
            _, gradient = jax.device_get(slope(coefficients, features, given))
            changes = [slope(coefficients + step, features, given)[1] - gradient for step in 1e-6 * np.eye(3)]
            coefficients = coefficients - np.linalg.solve(np.array(changes) / 1e-6, gradient)
        loss, _ = slope(coefficients, features, given)
    np.testing.assert_allclose(coefficients, expected, atol=2e-9)
    np.testing.assert_allclose(loss, -log_likelihood, rtol=1e-11)


@jax.jit
def baseline_and_curves(given, grid):
    del given["strata"]
    log_hazard = cox.log_baseline_hazard(**given, grid=grid)
    return log_hazard, cox.survival(given["log_risks"], log_hazard)


def test_the_baseline_and_the_curves_are_those_of_lifelines() -> None:
    """Of the first row of `LIFELINES`: baseline_cumulative_hazard_ at covariates of 0, and predict_survival_function."""
    features, full = simulated()
    known = {name: np.float32(full[name]) for name in ("times", "events")} | {"entries": np.zeros(150, np.float32)}
    grid = np.float32([0.5, 1, 5, 10, 20])
    for origin in (0, 1000):
        log_risks = np.float32(features @ np.array(LIFELINES[0][1]) + origin)
        log_hazard, survival = baseline_and_curves(padded(150, log_risks=log_risks, **known), grid)
        expected = [0, 0.039662518, 0.338114248, 0.733845362, 1.499806742]
        np.testing.assert_allclose(np.exp(log_hazard + np.float32(origin)), expected, rtol=2e-4)
        expected = [[1, 0.979926, 0.841253, 0.687163, 0.464503], [1, 0.930611, 0.541698, 0.264329, 0.065917]]
        np.testing.assert_allclose(survival[:2], expected, atol=1e-4 if origin else 1e-6)


def test_the_baseline_by_hand() -> None:
    """Risks 1, 2, 4, 8, the last of weight 2; two events at time 2, one at 3; the case of risk 4 enters at 2."""
    given = padded(
        150,
        log_risks=np.log(np.float32([1, 2, 4, 8, 1])),
        times=np.float32([2, 2, 3, 4, np.nan]),
        events=np.float32([1, 1, 1, 0, 1]),
        weights=np.float32([1, 1, 1, 2, 1]),
        entries=np.float32([0, 0, 2, 0, 0]),
    )
    first, second = 2 / (1 + 2 + 16), 1 / (4 + 16)
    log_hazard, _ = baseline_and_curves(given, np.float32([1.9, 2, 2.5, 3, 99]))
    np.testing.assert_allclose(np.exp(log_hazard), [0, first, first, first + second, first + second], rtol=1e-6)
    nobody, survival = baseline_and_curves(given | {"events": np.zeros(150, np.float32)}, np.zeros(5, np.float32))
    np.testing.assert_array_equal(nobody, -np.inf)
    np.testing.assert_array_equal(survival, 1)


def test_a_case_that_stands_for_two_adds_twice_to_the_baseline() -> None:
    """Events at 1 (weight 2) and 2, all log risks 0: 2 / (2 + 1 + 1), then 1 / (1 + 1)."""
    times, events, weights = np.float32([1, 2, 3]), np.float32([1, 1, 0]), np.float32([2, 1, 1])
    log_risks, grid = np.zeros(3, np.float32), np.float32([0.5, 1.5, 2.5])
    found = jax.jit(cox.log_baseline_hazard)(log_risks, times, events, grid, weights)
    np.testing.assert_allclose(np.exp(found), [0, 0.5, 1], rtol=1e-6)
