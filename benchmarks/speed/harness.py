"""Measuring a row: each side in a process of its own, in rounds, taking turns in going first."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from typing import IO, Any

from benchmarks.speed import interval, machine
from benchmarks.speed.row import Row, Side
from medjax.pages import tunables

LONGEST = 45.0  # seconds of rounds after which a row has enough, with three rounds at least


class Failed(Exception):
    """A side could not be built, or ended; the message is the last line that it wrote."""


class Worker:
    """A process that measures when it is asked to (`benchmarks.speed.worker`)."""

    def __init__(self, side: Side, python: str) -> None:
        """Start it; it builds its work meanwhile."""
        # Threads are not pinned and nothing is inherited that would give one side another number of them.
        environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")}
        paths = [str(machine.ROOT), *filter(None, [environment.get("PYTHONPATH")])]
        environment |= {"PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONWARNINGS": "ignore"}
        if value := tunables():  # as medjax's commands do for themselves; here the peers have it as well
            environment["GLIBC_TUNABLES"] = value
        if side.devices:
            environment["JAX_NUM_CPU_DEVICES"] = str(side.devices)
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it lives as long as the process)
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.speed.worker", side.build, json.dumps(dict(side.settings))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=environment,
            cwd=machine.ROOT,
        )  # fmt: skip
        self.facts: dict[str, Any] = {}

    def ready(self) -> None:
        """Wait until it is built and warmed up."""
        self.facts = self._answer()["facts"]

    def ask(self, call: str, seconds: float) -> None:
        """Have it begin a round."""
        _pipe(self.process.stdin).write(json.dumps({"call": call, "seconds": seconds}) + "\n")
        _pipe(self.process.stdin).flush()

    def value(self) -> float:
        """Wait for what the round has measured."""
        return float(self._answer()["value"])

    def stop(self) -> None:
        """Let it end."""
        _pipe(self.process.stdin).close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()

    def _answer(self) -> dict[str, Any]:
        line = _pipe(self.process.stdout).readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            said = [text.strip() for text in self.errors.read().splitlines() if text.strip()]
            raise Failed(said[-1][:300] if said else f"ended with code {self.process.returncode}")
        return json.loads(line)


def measure(row: Row, peer: str | None, quick: bool) -> dict[str, Any]:
    """Measure a row and return it as `results.json` holds it, but for the goal.

    Args:
        row: what to measure.
        peer: the interpreter that has the peers; None: only those sides that our own has.
        quick: three short rounds, to see that everything works.
    """
    sides = [row.ours, *(side for side in row.peers if peer or not side.peer)]
    workers: dict[tuple, list[Worker]] = {}
    missing: list[str] = [f"{side.label}: no --peer given" for side in row.peers if side not in sides]
    usable: list[Side] = []
    try:
        for side in sides:
            key = _process(side)
            try:
                # One after the other: two that compile at once would only take longer.
                if key not in workers:
                    python = str(peer) if side.peer else sys.executable
                    workers[key] = [Worker(side, python) for _ in range(side.processes)]
                    for one in workers[key]:
                        one.ready()
                usable.append(side)
            except Failed as error:
                if side is row.ours:
                    return {"error": str(error)}
                missing.append(f"{side.label}: {error}")
        watch = machine.Watch(one.process.pid for group in workers.values() for one in group)
        try:
            values = _rounds(row, usable, workers, quick)
        except Failed as error:
            return {"error": str(error)}
        load = watch.read()
        facts = {side.label: workers[_process(side)][0].facts for side in usable}
    finally:
        for group in workers.values():
            for one in group:
                one.stop()
    return {
        "ours": _summary(row.ours, values[0], facts),
        "peers": [_summary(side, own, facts) for side, own in zip(usable[1:], values[1:], strict=True)],
        "missing": missing,
        "rounds": len(values[0]),
        "load": load,
        "commit": machine.commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _rounds(row: Row, sides: list[Side], workers: dict[tuple, list[Worker]], quick: bool) -> list[list[float]]:
    """Return what each side measured, round by round."""
    values: list[list[float]] = [[] for _ in sides]
    begin = time.monotonic()
    for number in range(3 if quick else row.rounds):
        if number >= 3 and time.monotonic() - begin > LONGEST:
            break
        order = list(range(len(sides)))
        for place in order if number % 2 == 0 else reversed(order):
            side = sides[place]
            values[place].append(_round(side, workers[_process(side)], 0.1 if quick else 0.5))
    return values


def _round(side: Side, group: list[Worker], seconds: float) -> float:
    """Return one measurement; of several processes at once the time that their rates together give."""
    for one in group:
        one.ask(side.call, seconds)
    measured = [one.value() for one in group]
    return measured[0] if len(measured) == 1 else 1 / sum(1 / value for value in measured)


def _process(side: Side) -> tuple:
    """Return what tells processes apart: sides that differ in the call alone share one."""
    return side.build, json.dumps(dict(side.settings)), side.peer, side.devices, side.processes


def _summary(side: Side, values: list[float], facts: dict[str, Any]) -> dict[str, Any]:
    spread = interval.held(values)
    return {"label": side.label, "median": statistics.median(values), "interval": spread, "values": values,
            "facts": facts[side.label]}  # fmt: skip


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None  # both were asked for
    return pipe
