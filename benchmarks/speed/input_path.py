"""The input path: cases a second of both feeds, and how long the device waits for the host.

SYNTHETIC scans, prepared as any data set is and read by medjax's own feeds. The wait is what the next batch takes once the
step before has ended: with nothing in flight, so it is the most that the device idles. On a CPU host and device are the
same cores, and reading ahead slows the step down as well; that part is not in the share.
"""

from typing import Literal

from benchmarks.speed.row import Row, Side
from benchmarks.speed.worker import Work

SIDE, BATCH, PATIENTS, STEPS = 64, 32, 128, 64


def feed(kind: Literal["streamed", "resident"]) -> Work:
    """Return the calls `read` (batches alone) and `wait` (with a small ResNet's steps between them)."""
    import itertools
    import os
    import tempfile
    import time

    import jax
    import optax

    from benchmarks.speed import training
    from medjax import job
    from medjax.data.origins.phantom import Phantom
    from medjax.data.split import HashedSplit
    from medjax.experiment import Data, Duration, Experiment, Optimizer, Training
    from medjax.models import ResNet
    from medjax.tasks import Classification

    # Streamed cases are read from the prepared files as long as the process lives.
    folder = tempfile.TemporaryDirectory()
    os.environ["MEDJAX_CACHE"] = folder.name
    experiment = Experiment(
        name="input_path",
        data=Data(
            "input_path", Phantom(size=(SIDE, SIDE), patients=PATIENTS), splits=HashedSplit(0.8, 0.2, 0), feed=kind
        ),
        task=Classification(positive="lesion"),
        model=ResNet(depth=18, stem="standard", width=16),
        standardise=("image",),
        optimizer=Optimizer(transform=optax.adam),
        training=Training(duration=Duration(steps=training.LONG), batch_size=BATCH),
    )
    work = job.build(experiment)
    wave, own = work.programs.waves[0], job.feed(work)
    plan, firsts = job.training_plan(work, wave), itertools.count(0, STEPS)
    state = training.start(work, wave)
    taken = jax.jit(lambda rows: {key: values[rows] for key, values in own.resident.items()})

    def read() -> None:
        first = next(firsts)
        for batch in own.batches(plan, first, first + STEPS):
            # A resident batch is its rows' numbers; the cases themselves are taken on the device.
            jax.block_until_ready(taken(batch["index"]) if own.resident else batch)

    def wait() -> float:
        nonlocal state
        waited, begin, first = 0.0, time.perf_counter(), int(state.step[0])
        batches = own.steps(plan, first, first + STEPS // 8)
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            waited += time.perf_counter() - asked
            if batch is None:
                return waited / (time.perf_counter() - begin)
            state, _ = work.programs.train(state, own.resident, batch)
            jax.block_until_ready(state)

    return Work({"read": read, "wait": wait, "keep": folder.cleanup}, STEPS * BATCH)


def _rows(kind: str) -> tuple[Row, Row]:
    build, settings = "benchmarks.speed.input_path:feed", {"kind": kind}
    return (
        Row(f"input_{kind}", f"batches of {BATCH} SYNTHETIC scans of {SIDE} x {SIDE}, {kind}",
            Side("medjax", build, settings, call="read"), per="case"),
        Row(f"input_{kind}_idle", f"share of the time that the device waits for the host, {kind}, ResNet-18 of width 16",
            Side("medjax", build, settings, call="wait"), unit="", rounds=6),
    )  # fmt: skip


ROWS = (*_rows("streamed"), *_rows("resident"))
