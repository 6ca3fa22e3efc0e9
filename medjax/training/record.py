"""metrics.jsonl and the TensorBoard events beside it: one line a logged step, also across interruptions."""

import json
from pathlib import Path
from typing import Any

from medjax.data.storage import write_atomically
from medjax.folder import METRICS


class MetricsLog:
    """Appends lines; lines of steps that a resumed run takes again are dropped when it opens.

    Args:
        folder: the run folder.
        start: the step at which the run goes on.
        validated: whether the validation of the state at `start` stays, because no loop will repeat it (a wave's end).
    """

    def __init__(self, folder: Path, start: int, *, validated: bool = False):
        from tensorboardX import SummaryWriter

        self._path = folder / METRICS
        kept = []
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:  # the last line of a killed run may be torn
                    continue
                if row["step"] < start or (validated and row["step"] == start and "loss" not in row):
                    kept.append(json.dumps(row))
        write_atomically(self._path, "".join(line + "\n" for line in kept).encode())
        self._file = self._path.open("a")
        self._events = SummaryWriter(str(folder), purge_step=start, flush_secs=10)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append the named values of a step."""
        self._file.write(json.dumps({"step": step, **values}, allow_nan=False) + "\n")
        self._file.flush()
        for name, value in values.items():
            if "/" in name:  # one curve a replicate would cost a small model several per cent; metrics.jsonl has them
                continue
            self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish both files."""
        self._file.close()
        self._events.close()


class NoLog:
    """Writes nothing: the log of every process but the first."""

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Finish nothing."""
