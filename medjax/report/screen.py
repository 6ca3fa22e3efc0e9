"""What a person sees while a run goes on: the first screen, a progress bar (or plain lines), notes."""

import math
import re
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


def parameter_table(parameters: Any, rows: int = 40) -> str:
    """Return the parameters of one model by module, as deep as fits into so many rows, and the sum.

    Each row is a module with all that is in it, or a single array; no parameter is in two rows, so the counts add up.
    Where even the outermost modules are too many, those that differ in numbers alone share a row ("stage_1_layer_*").

    Args:
        parameters: a tree of arrays or of their shapes.
        rows: how many rows the modules may take.
    """
    leaves = [
        ([str(getattr(key, "key", getattr(key, "idx", key))) for key in path], leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(parameters)
    ]
    depths = range(max([len(path) for path, _ in leaves] + [1]), 0, -1)
    groupings = [lambda path, depth=depth: "/".join(path[:depth]) for depth in depths]
    groupings += [
        lambda path: re.sub(r"\d+$", "*", path[0]),
        lambda path: re.sub(r"\d+", "*", path[0]),
        lambda path: "all modules",
    ]
    for name_of in groupings:
        modules: dict[str, list[Any]] = {}
        for path, leaf in leaves:
            modules.setdefault(name_of(path), []).append(leaf)
        if len(modules) <= rows:
            break
    total = sum(math.prod(leaf.shape) for _, leaf in leaves)
    table = [("module", "shape", "parameters", "share")]
    for name in sorted(modules, key=_natural):
        arrays = modules[name]
        count = sum(math.prod(leaf.shape) for leaf in arrays)
        shape = "x".join(map(str, arrays[0].shape)) or "1" if len(arrays) == 1 else f"{len(arrays)} arrays"
        table.append((name, shape, f"{count:,}", f"{count / max(total, 1):.1%}"))
    table.append(("all", f"{len(leaves)} array{'s' if len(leaves) != 1 else ''}", f"{total:,}", "100.0%"))
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" if not column else f"{cell:>{width}}" for column, (cell, width) in cells)
        for cells in (list(enumerate(zip(row, widths, strict=True))) for row in table)
    )


def _natural(name: str) -> list[Any]:
    """Return a sorting key by which block_2 stands before block_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
