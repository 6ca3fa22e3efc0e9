"""What the training loop adds to the bare compiled step, and how long the first step takes to come.

    uv run python benchmarks/loop.py [--config configs/breast_cancer.py] [--steps 600] [--repeats 31]

Both sides take the same steps on the same batches. "Bare" calls the compiled step on batches that already lie on the
device and waits once, at the end; "loop" is `medjax.training.loop.run` with planning, feeding, logging to metrics.jsonl
and TensorBoard, and progress. The two alternate, and take turns in going first, so that a machine whose speed drifts is fair to
both; the interval of the median over pairs is by order statistics, exact for any distribution.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from scipy.stats import binom

from medjax import config, job
from medjax.report.screen import Silent
from medjax.training import loop
from medjax.training.record import MetricsLog
from medjax.training.replicate import take


def start(work: job.Job, wave: np.ndarray):
    """Return a fresh state of the wave."""
    seeds = np.array([work.replicates[k].seed for k in wave], np.uint32)
    return jax.block_until_ready(work.programs.initialise(seeds, take(work.fitted, wave, work.programs.mesh)))


def bare(work: job.Job, feed, batches: list, wave: np.ndarray) -> float:
    """Return the seconds of the compiled steps alone."""
    state = start(work, wave)
    begin = time.perf_counter()
    for batch in batches:
        state, _ = work.programs.train(state, feed.resident, batch)
    jax.block_until_ready(state)
    return time.perf_counter() - begin


def looped(work: job.Job, feed, steps: int, wave: np.ndarray) -> float:
    """Return the seconds of the training loop."""
    state = start(work, wave)
    with tempfile.TemporaryDirectory() as folder, Silent().progress("", steps, 0, 1) as update:
        log = MetricsLog(Path(folder), 0)

        def report(step: int, values: dict[str, float]) -> None:
            log.write(step, values)
            update(step, values)

        hooks = loop.Hooks(
            validate=lambda state, step: (state, {}),
            due=lambda step: False,
            save=lambda state, step: None,
            log=report,
            interrupted=lambda: False,
        )
        labels = [work.replicates[k].label for k in wave]
        begin = time.perf_counter()
        state = loop.run(
            work.programs, feed, job.training_plan(work, wave), state, labels, start=0, total=steps,
            evaluate_every=None, log_every=work.experiment.training.log_every,
            grid=work.experiment.training.save_grid, hooks=hooks,
        )  # fmt: skip
        jax.block_until_ready(state)
        seconds = time.perf_counter() - begin
        log.close()
    return seconds


def first_step(path: str) -> float:
    """Return the seconds from starting a process to the first line of its metrics.jsonl."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "train.py", "--config", path, "--workdir", f"{folder}/run"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        metrics = Path(folder) / "run" / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.005)
        seconds = time.perf_counter() - begin
        process.kill()
        process.wait()
    return seconds


def main() -> None:
    """Print the two medians, their ratio, and the import and first-step times of fresh processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/breast_cancer.py")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--set", action="append", default=[], dest="assignments")
    arguments = parser.parse_args()
    work = job.build(config.override(config.load_experiment(arguments.config), arguments.assignments))
    wave, feed = work.programs.waves[0], job.feed(work)
    batches = list(feed.steps(job.training_plan(work, wave), 0, arguments.steps))
    bare(work, feed, batches[:2], wave)
    pairs = []
    for number in range(arguments.repeats):
        first = bare(work, feed, batches, wave) if number % 2 == 0 else None
        around = looped(work, feed, arguments.steps, wave)
        pairs.append((bare(work, feed, batches, wave) if first is None else first, around))
    alone, around = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = sorted(b / a for a, b in pairs)
    print(
        f"{arguments.config}: {arguments.steps} steps, {len(np.unique(wave))} replicates a step, {arguments.repeats} pairs"
    )
    print(f"bare step  {1e3 * alone / arguments.steps:8.3f} ms a step (median)")
    print(f"loop       {1e3 * around / arguments.steps:8.3f} ms a step (median)")
    rank = int(binom.ppf(0.025, len(ratios), 0.5))  # the rank-th smallest and largest hold the median in 95 %
    held = f"({ratios[rank - 1]:.3f} to {ratios[-rank]:.3f})" if rank else "(too few pairs for an interval)"
    print(
        f"loop / bare, pair by pair: median {statistics.median(ratios):.3f} {held}, "
        f"single pairs from {ratios[0]:.3f} to {ratios[-1]:.3f}"
    )
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import medjax"], check=True)
        seconds.append(time.perf_counter() - begin)
    print(f"import medjax, whole process: {statistics.median(seconds):.2f} s (median of 5)")
    seconds = [first_step(arguments.config) for _ in range(4)]
    print(f"train.py to its first finished step, whole process: {seconds[0]:.2f} s, then, caches warm, "
          f"{statistics.median(seconds[1:]):.2f} s (median of 3)")  # fmt: skip
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import medjax; medjax.train"], check=True)
        seconds.append(time.perf_counter() - begin)
    print(f"import medjax; medjax.train (everything loaded), whole process: {statistics.median(seconds):.2f} s")


if __name__ == "__main__":
    main()
