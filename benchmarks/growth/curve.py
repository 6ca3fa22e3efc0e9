"""A curve: the same work at growing sizes, and the exponent that its time should grow with."""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.speed import harness, interval, machine
from benchmarks.speed.row import Side, cores

FITTED = 3  # of the largest sizes: at the smallest ones what every call costs would hide how the work grows
LONGEST = 60.0  # seconds of rounds after which a curve has enough, with three rounds at least
ROUNDS = 9


@dataclass(frozen=True)
class Curve:
    """The same work at growing sizes.

    Attributes:
        name: what `--only` takes.
        work: what is done, for a reader.
        axis: what the size is.
        build: "module:function"; called with `sizes` and `settings`, it returns a `worker.Work` with a call a size.
        sizes: ascending.
        most: the exponent with which the time may grow; arithmetic says which, see `why`.
        why: where `most` comes from.
        settings: further arguments, what JSON can hold.
        devices: simulated CPU devices; None: as JAX decides.
        known: what is known of a curve that lies above; printed where it does.
    """

    name: str
    work: str
    axis: str
    build: str
    sizes: Sequence[int]
    most: float
    why: str
    settings: Mapping[str, object] = field(default_factory=dict)
    devices: int | None = None
    known: str = ""


def measure(curve: Curve, quick: bool) -> dict[str, Any]:
    """Return the seconds of each size in each round, the fitted exponent, and the load, as `growth.json` holds them.

    The sizes take turns, upwards and downwards, so that a machine that slows down bends no curve.

    Args:
        curve: what to measure.
        quick: three short rounds, to see that everything works.

    Raises:
        harness.Failed: the process could not build the work.
    """
    sizes = list(curve.sizes)
    side = Side(curve.name, curve.build, {"sizes": sizes, **curve.settings}, devices=curve.devices)
    worker = harness.Worker(side, sys.executable)
    try:
        worker.ready()
        watch = machine.Watch([worker.process.pid])
        rounds: list[list[float]] = []
        began = time.monotonic()
        while len(rounds) < (3 if quick else ROUNDS):
            if len(rounds) >= 3 and time.monotonic() - began > LONGEST:
                break
            found = dict.fromkeys(sizes, 0.0)
            for size in sizes if len(rounds) % 2 == 0 else reversed(sizes):
                worker.ask(str(size), 0.05 if quick else 0.2)
                found[size] = worker.value()
            rounds.append(list(found.values()))
        load = watch.read()
    finally:
        worker.stop()
    return {
        "work": curve.work, "axis": curve.axis, "sizes": sizes, "seconds": rounds,
        "median": [statistics.median(column) for column in zip(*rounds, strict=True)],
        "exponent": exponent(sizes, rounds), "most": curve.most, "why": curve.why, "cores": cores(), "load": load,
        "commit": machine.commit(), "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }  # fmt: skip


def exponent(sizes: Sequence[int], rounds: Sequence[Sequence[float]]) -> dict[str, float | None]:
    """Return the power of the size with which the time grows: a line through logarithms, by least squares.

    Args:
        sizes: ascending; the `FITTED` largest count.
        rounds: seconds, rounds x sizes.

    Returns:
        `median` over the rounds, each fitted by itself, and `low` and `high`, which hold it in 95 % whatever the
        distribution is; None below six rounds.
    """
    x = np.log(np.asarray(sizes[-FITTED:], float))
    x = x - x.mean()
    slopes = [float(x @ np.log(np.asarray(row[-FITTED:]))) / float(x @ x) for row in rounds]
    low, high = interval.held(slopes) or (None, None)
    return {"median": statistics.median(slopes), "low": low, "high": high}
