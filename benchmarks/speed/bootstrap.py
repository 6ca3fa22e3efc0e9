"""The patient bootstrap of AUROC: its time beside a loop over scikit-learn, its standard error, its memory.

Both sides resample the same cases with ties (scores of three digits). The loop draws indices and calls `roc_auc_score`. A
version compiled by `jax.jit` stands beside it, its compilation apart: it is why medjax uses NumPy here.
"""

from benchmarks.speed.row import Goal, Row, Side
from benchmarks.speed.worker import Work

CASES, MANY, RESAMPLES = 2_000, 100_000, 1_000


def _sample(cases: int):
    """Return scores with ties, and targets, 40 % positive; AUROC about .80."""
    import numpy as np

    generator = np.random.default_rng(0)
    target = (generator.random(cases) < 0.4).astype(np.int64)
    return np.round(generator.normal(size=cases) + 1.2 * target, 3), target


def resampled(cases: int, resamples: int, seed: int):
    """Return AUROC in resamples, sorting included."""
    import numpy as np

    from medjax.evidence import bootstrap

    score, target = _sample(cases)
    metric = bootstrap.ranked_auroc(score, target)
    return bootstrap.resample(metric, np.arange(cases), resamples=resamples, seed=seed)


def ours() -> Work:
    """Return medjax's bootstrap: its time, and how far its standard error is from DeLong's."""
    import itertools
    import math

    import numpy as np

    from medjax.evidence import auroc

    seeds = itertools.count()
    score, target = _sample(CASES)
    _, influence = auroc.auroc_influence(score, target)
    delong = math.sqrt(auroc.influence_variance(influence, target, np.arange(CASES)))

    def run() -> None:
        resampled(CASES, RESAMPLES, next(seeds))

    def error() -> float:
        return abs(float(resampled(CASES, RESAMPLES, next(seeds)).std(ddof=1)) / delong - 1)

    run()
    return Work({"run": run, "error": error}, facts={"note": f"DeLong's standard error {delong:.5f}"})


def loop() -> Work:
    """Return the loop that papers' repositories hold."""
    import itertools

    import numpy as np
    from sklearn.metrics import roc_auc_score

    seeds = itertools.count()
    score, target = _sample(CASES)

    def run() -> None:
        generator = np.random.default_rng(next(seeds))
        for _ in range(RESAMPLES):
            drawn = generator.integers(0, CASES, CASES)
            roc_auc_score(target[drawn], score[drawn])

    return Work({"run": run})


def compiled() -> Work:
    """Return the same by `jax.jit`: draws, counts, ranks and sums in one program, 100 resamples at a time."""
    import itertools
    import time

    import jax
    import jax.numpy as jnp
    import numpy as np

    score, target = _sample(CASES)
    order = np.argsort(score, kind="stable")
    ordered, positive = score[order], target[order].astype(np.float32)
    first, last = (np.searchsorted(ordered, ordered, side) for side in ("left", "right"))

    def one(key: jax.Array) -> jax.Array:
        counts = jnp.zeros(CASES, jnp.float32).at[jax.random.randint(key, (CASES,), 0, CASES)].add(1.0)
        below = jnp.concatenate([jnp.zeros(1), jnp.cumsum(counts * (1 - positive))])
        own = counts * positive
        return own @ (below[first] + below[last]) / 2 / (own.sum() * below[-1])

    many = jax.jit(lambda key: jax.lax.map(one, jax.random.split(key, RESAMPLES), batch_size=100))
    seeds = itertools.count()

    def run() -> None:
        many(jax.random.key(next(seeds))).block_until_ready()

    begin = time.perf_counter()
    run()
    return Work({"run": run}, facts={"note": f"compilation {time.perf_counter() - begin:.1f} s, not counted"})


def memory() -> Work:
    """Return the peak of the arrays of many cases' resamples, whose weights at once would fill `all` MiB."""
    import tracemalloc

    import numpy as np

    from medjax.evidence import bootstrap

    def peak(function) -> float:
        tracemalloc.start()
        function()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found / 2**20

    score, target = _sample(MANY)
    metric = bootstrap.ranked_auroc(score, target)
    return Work(
        {
            "resample": lambda: peak(lambda: bootstrap.resample(metric, np.arange(MANY), resamples=RESAMPLES, seed=0)),
            "bca": lambda: peak(lambda: bootstrap.bca(metric, np.arange(MANY), resamples=RESAMPLES)),
        },
        facts={"note": f"all weights at once would be {8 * MANY * RESAMPLES / 2**20:,.0f} MiB"},
    )


_MODULE = "benchmarks.speed.bootstrap"
_OURS = Side("medjax, NumPy", f"{_MODULE}:ours")
_WORK = f"{RESAMPLES:,} bootstrap resamples of AUROC, {CASES:,} cases"
ROWS = (
    Row("bootstrap", _WORK, _OURS, (Side("scikit-learn in a loop", f"{_MODULE}:loop"),), goals={"cpu": Goal(least=50)}),
    Row("bootstrap_compiled", _WORK, _OURS, (Side("the same by jax.jit", f"{_MODULE}:compiled"),)),
    Row(
        "bootstrap_error", f"{_WORK}: distance of the standard error from DeLong's, as a share",
        Side("medjax, NumPy", f"{_MODULE}:ours", call="error"), unit="", rounds=25, goals={"cpu": Goal(most=0.05)},
    ),
    Row(
        "bootstrap_memory", f"peak of arrays, {RESAMPLES:,} resamples of {MANY:,} cases",
        Side("medjax, NumPy", f"{_MODULE}:memory", call="resample"), unit="MiB", rounds=1,
    ),
    Row(
        "bootstrap_memory_bca", "the same with the jackknife of BCa",
        Side("medjax, NumPy", f"{_MODULE}:memory", call="bca"), unit="MiB", rounds=1,
    ),
)  # fmt: skip
