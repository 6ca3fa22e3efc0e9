"""Patient bootstrap of AUROC against a loop over scikit-learn, in one run; its standard error; its memory.

    python benchmarks/bootstrap.py [--pairs 9] [--cases 2000] [--resamples 1000]

Both sides resample the same cases with ties (scores of three digits), one after the other, many times in turn; the ratio
of times has a 95 % interval over these pairs (Student's, on the log ratio). The loop draws indices and calls
`roc_auc_score`. A version compiled by `jax.jit` stands beside it, its compilation apart: it is why medjax uses NumPy here.
"""

import argparse
import math
import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from medjax.evidence import auroc, bootstrap
from medjax.evidence.intervals import t_quantile


def sample(cases: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, and targets, 40 % positive; AUROC about .80."""
    generator = np.random.default_rng(seed)
    target = (generator.random(cases) < 0.4).astype(np.int64)
    return np.round(generator.normal(size=cases) + 1.2 * target, 3), target


def medjax_bootstrap(score: np.ndarray, target: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """AUROC in resamples, sorting included."""
    return bootstrap.resample(
        bootstrap.ranked_auroc(score, target), np.arange(len(score)), resamples=resamples, seed=seed
    )


def sklearn_bootstrap(score: np.ndarray, target: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The loop that papers' repositories hold."""
    from sklearn.metrics import roc_auc_score

    generator, found = np.random.default_rng(seed), []
    for _ in range(resamples):
        drawn = generator.integers(0, len(score), len(score))
        found.append(roc_auc_score(target[drawn], score[drawn]))
    return np.array(found)


def jax_bootstrap(score: np.ndarray, target: np.ndarray, resamples: int) -> Callable[[int], np.ndarray]:
    """The same by `jax.jit`: draws, counts, ranks and sums in one compiled program, 100 resamples at a time."""
    import jax
    import jax.numpy as jnp

    order = np.argsort(score, kind="stable")
    ordered, positive = score[order], target[order].astype(np.float32)
    first, last = (np.searchsorted(ordered, ordered, side) for side in ("left", "right"))
    cases = len(score)

    def one(key: jax.Array) -> jax.Array:
        counts = jnp.zeros(cases, jnp.float32).at[jax.random.randint(key, (cases,), 0, cases)].add(1.0)
        below = jnp.concatenate([jnp.zeros(1), jnp.cumsum(counts * (1 - positive))])
        own = counts * positive
        return own @ (below[first] + below[last]) / 2 / (own.sum() * below[-1])

    many = jax.jit(lambda key: jax.lax.map(one, jax.random.split(key, resamples), batch_size=min(100, resamples)))
    return lambda seed: np.asarray(many(jax.random.key(seed)))


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    score, target = sample(arguments.cases)
    resamples = arguments.resamples
    compiled = jax_bootstrap(score, target, resamples)
    compilation = seconds(lambda: compiled(0))
    medjax_bootstrap(score, target, 10, 0), sklearn_bootstrap(score, target, 10, 0)  # imports, caches
    ours, loop, jitted = [], [], []
    for pair in range(arguments.pairs):
        ours.append(seconds(lambda seed=pair: medjax_bootstrap(score, target, resamples, seed)))
        loop.append(seconds(lambda seed=pair: sklearn_bootstrap(score, target, resamples, seed)))
        jitted.append(seconds(lambda seed=pair: compiled(seed)))
    print(f"{resamples:,} resamples of AUROC on {arguments.cases:,} cases, {arguments.pairs} pairs (median seconds)")
    print(f"  medjax, NumPy              {np.median(ours):8.4f}")
    print(f"  scikit-learn in a loop     {np.median(loop):8.4f}")
    print(f"  jax.jit                    {np.median(jitted):8.4f}   and {compilation:.2f} to compile")
    logs = np.log(np.array(loop) / np.array(ours))
    half = t_quantile(0.95, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    low, mean, high = (math.exp(logs.mean() + side * half) for side in (-1, 0, 1))
    print(f"  medjax is {mean:.0f} times as fast as the loop ({low:.0f} to {high:.0f})")

    _, influence = auroc.auroc_influence(score, target)
    delong = math.sqrt(auroc.influence_variance(influence, target, np.arange(len(score))))
    print("standard error")
    print(f"  DeLong                     {delong:.5f}")
    for name, values in (
        ("medjax, 1 seed", medjax_bootstrap(score, target, resamples, 0)),
        ("medjax, 20 times as many", medjax_bootstrap(score, target, 20 * resamples, 1)),
        ("scikit-learn in a loop", sklearn_bootstrap(score, target, resamples, 0)),
        ("jax.jit", compiled(1)),
    ):
        print(f"  {name:<26} {values.std(ddof=1):.5f}   {values.std(ddof=1) / delong - 1:+.1%}")

    score, target = sample(100_000)
    elapsed = seconds(lambda: medjax_bootstrap(score, target, resamples, 0))
    tracemalloc.start()
    medjax_bootstrap(score, target, resamples, 0)
    peak = tracemalloc.get_traced_memory()[1]
    metric = bootstrap.ranked_auroc(score, target)
    tracemalloc.reset_peak()
    both = seconds(lambda: bootstrap.bca(metric, np.arange(len(score)), resamples=resamples))
    whole = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{resamples:,} resamples of 100,000 cases (all weights at once: {resamples * 8e5 / 2**30:.2f} GiB)")
    print(f"  bootstrap {elapsed:.1f} s, peak {peak / 2**20:.1f} MiB of arrays")
    print(f"  BCa (with 1,000 groups left out in turn) {both:.1f} s, peak {whole / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
