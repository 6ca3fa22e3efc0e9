"""What a person sees while a run goes on: the first screen, a progress bar (or plain lines), notes."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import jax
import numpy as np


class Screen:
    """Writes to a stream: a live bar on a terminal, a plain line every ten seconds elsewhere.

    Attributes:
        stream: default standard error, so that standard output holds results alone.
    """

    def __init__(self, stream: TextIO | None = None, plain_every: float = 10.0):
        self.stream = stream or sys.stderr
        self.plain_every = plain_every
        self._bar: Any = None
        self._task: Any = None

    def say(self, text: str = "") -> None:
        """Write a line."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self.stream, flush=True)

    @contextmanager
    def progress(self, name: str, total: int, done: int, cases: int) -> Iterator[Any]:
        """Show the progress of training; yields a function (step, values) that updates it.

        Args:
            name: what is trained.
            total: steps of all waves.
            done: steps taken before (a continued run).
            cases: training cases a step, over all replicates.
        """
        first: list[tuple[int, float]] = []  # speed counts from the first report on: before it lies the compilation
        last = [time.monotonic()]
        latest: dict[str, float] = {}

        def describe(step: int) -> str:
            words = [f"{key} {value:.4g}" for key, value in latest.items()]
            if step > first[0][0]:
                speed = (step - first[0][0]) / max(time.monotonic() - first[0][1], 1e-9)
                words += [f"{speed * cases:,.0f} cases/s", f"{clock((total - step) / speed)} left"]
            return "  ".join(words)

        def update(step: int, values: dict[str, float]) -> None:
            step = min(step, total)
            if not first:
                first.append((step, time.monotonic()))
            latest.update({k: v for k, v in values.items() if "/" not in k and k != "gradient_norm"})
            if self._bar is not None:
                self._bar.update(self._task, completed=step, description=f"{name}  {describe(step)}")
            elif time.monotonic() - last[0] >= self.plain_every or step >= total:
                last[0] = time.monotonic()
                self.say(f"{name}  step {step} of {total}  {describe(step)}")

        if not self.stream.isatty():
            yield update
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TaskProgressColumn())
        with Progress(*columns, console=Console(file=self.stream), transient=True) as bar:
            self._bar, self._task = bar, bar.add_task(name, total=total, completed=done)
            try:
                yield update
            finally:
                self._bar = None


class Silent(Screen):
    """Says nothing, for tests and for scripts that read the run folder."""

    def say(self, text: str = "") -> None:
        """Write nothing."""

    @contextmanager
    def progress(self, name: str, total: int, done: int, cases: int) -> Iterator[Any]:
        """Show nothing."""
        yield lambda step, values: None


def clock(seconds: float) -> str:
    """Return a duration as 45 s, 3:05 or 2:03:05."""
    if not np.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: float | int) -> str:
    """Return bytes as KiB, MiB or GiB."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def parameter_table(parameters: Any) -> str:
    """Return the parameters of one model, a line each: path, shape, count, and the sum."""
    rows = [
        (jax.tree_util.keystr(path, simple=True, separator="/"), "x".join(map(str, leaf.shape)) or "1", leaf.size)
        for path, leaf in jax.tree_util.tree_leaves_with_path(parameters)
    ]
    width = max([len(row[0]) for row in rows] + [9])
    lines = [f"{'parameter':<{width}}  {'shape':>16}  {'count':>12}"]
    lines += [f"{path:<{width}}  {shape:>16}  {count:>12,}" for path, shape, count in rows]
    lines.append(f"{'all':<{width}}  {'':>16}  {sum(row[2] for row in rows):>12,}")
    return "\n".join(lines)
