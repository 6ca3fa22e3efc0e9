"""What the training loop adds to the bare compiled step, and how long it takes until the first step is done.

Both sides of the loop take the same steps on the same batches, in one process. "Bare" calls the compiled program, as many steps
at once as a chunk of the plan holds or one by one, on chunks that already lie on the device, and waits once, at the end; "loop" is `medjax.training.loop.run` with planning, feeding, logging to
metrics.jsonl and TensorBoard, and progress.
"""

from benchmarks.speed.row import Goal, Row, Side
from benchmarks.speed.worker import Work

CONFIG, STEPS = "configs/breast_cancer.py", 640


def loop() -> Work:
    """Return the calls `loop` and `bare` on the replicates of a configuration, for the same steps."""
    import time

    import jax
    import numpy as np

    from benchmarks.speed import training
    from medjax import config, job

    work = job.build(config.load_experiment(CONFIG))
    wave, feed = work.programs.waves[0], job.feed(work)
    chunks = list(feed.chunks(job.training_plan(work, wave), 0, STEPS))

    def bare() -> float:
        state = training.start(work, wave)
        begin = time.perf_counter()
        for first, (after, chunk) in zip([0, *(after for after, _ in chunks)], chunks, strict=False):
            state, _ = work.programs.train_several(state, feed.resident, chunk, np.int32(after - first))
        jax.block_until_ready(state)
        return (time.perf_counter() - begin) / STEPS

    def single() -> float:
        state, first = training.start(work, wave), 0
        begin = time.perf_counter()
        for after, chunk in chunks:
            for _ in range(first, after):
                state, _ = work.programs.train(state, feed.resident, chunk)
            first = after
        jax.block_until_ready(state)
        return (time.perf_counter() - begin) / STEPS

    def around() -> float:
        state = training.start(work, wave)
        return training.looped(work, feed, wave, state, 0, STEPS)[1] / STEPS

    bare(), single(), around()
    return Work(
        {"loop": around, "bare": bare, "single": single},
        facts={"note": f"{CONFIG}, {len(np.unique(wave))} models a step"},
    )


def imports(statement: str) -> Work:
    """Return the time of a fresh interpreter that runs one statement."""
    import subprocess
    import sys

    def run() -> None:
        subprocess.run([sys.executable, "-c", statement], check=True)

    run()
    return Work({"run": run})


def first_step(cold: bool) -> Work:
    """Return the seconds from starting `train.py` to the first line of its metrics; cold: with an empty cache each time."""
    import os
    import subprocess
    import sys
    import tempfile
    import time
    from pathlib import Path

    cache = tempfile.TemporaryDirectory()

    def once(cache: str) -> float:
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "MEDJAX_CACHE": cache}
            begin = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "train.py", "--config", CONFIG, "--workdir", f"{folder}/run"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
            )  # fmt: skip
            metrics = Path(folder) / "run" / "metrics.jsonl"
            while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
                time.sleep(0.005)
            seconds = time.perf_counter() - begin
            process.kill()
            _, said = process.communicate()
            if not metrics.exists():
                raise RuntimeError(f"train.py ended before its first step: {said[-200:]}")
        return seconds

    def run() -> float:
        if not cold:
            return once(cache.name)
        with tempfile.TemporaryDirectory() as empty:
            return once(empty)

    if not cold:
        run()
    return Work({"run": run})


_MODULE = "benchmarks.speed.startup"
ROWS = (
    Row(
        "loop", f"the training loop beside the bare compiled step, {STEPS} steps",
        Side("medjax", f"{_MODULE}:loop", call="loop"),
        (Side("bare, a chunk a call", f"{_MODULE}:loop", call="bare"), Side("bare, a step a call", f"{_MODULE}:loop", call="single")),
        per="step", cost=True, rounds=21, goals={"cpu": Goal(most=1.02), "gpu": Goal(most=1.02)},
        reason="profiled: the orders of 25 models' cases, drawn anew each epoch, and the log, on the same two cores",
    ),
    Row(
        "import", "`import medjax`, whole process",
        Side("medjax", f"{_MODULE}:imports", {"statement": "import medjax"}), goals={"cpu": Goal(most=1.5)},
    ),
    Row(
        "import_all", "`import medjax; medjax.train` (everything loaded), whole process",
        Side("medjax", f"{_MODULE}:imports", {"statement": "import medjax; medjax.train"}), rounds=6,
    ),
    Row(
        "first_step_warm", f"`train.py --config {CONFIG}` to its first finished step, caches warm",
        Side("medjax", f"{_MODULE}:first_step", {"cold": False}), rounds=6, goals={"cpu": Goal(most=5), "gpu": Goal(most=5)},
    ),
    Row(
        "first_step_cold", "the same, data not prepared and nothing compiled before",
        Side("medjax", f"{_MODULE}:first_step", {"cold": True}), rounds=6,
    ),
)  # fmt: skip
