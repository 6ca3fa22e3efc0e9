"""A trace of some training steps that TensorBoard and XProf open, and the operations that took most of the time."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import jax

FIRST, LAST = 10, 20  # steps of a run that are traced: after the compilation and the first steps


class Profiler:
    """Traces steps of a run into a folder.

    Args:
        folder: where the trace goes.
        total: steps of the run; of a short one the last half is traced.
    """

    def __init__(self, folder: Path, total: int):
        self.folder = folder
        self._last = min(LAST, total - 1)
        self._first = min(FIRST, self._last // 2)
        self._begun: int | None = None
        self.steps = 0

    def before(self, step: int, state: Any) -> None:
        """Begin or end the trace where it is time; called before each step with the state that it starts from."""
        if self._begun is None and not self.steps and step >= self._first:
            jax.block_until_ready(state)
            jax.profiler.start_trace(str(self.folder))
            self._begun = step
        elif self._begun is not None and step >= self._begun + self._last - self._first:
            jax.block_until_ready(state)
            self.close(step - self._begun)

    def close(self, steps: int = 1) -> None:
        """End the trace, if it is on."""
        if self._begun is not None:
            jax.profiler.stop_trace()
            self._begun, self.steps = None, max(steps, 1)


def top_costs(folder: Path, program: str, steps: int, count: int = 15) -> list[str]:
    """Return lines: the operations of a trace that took most of the time, over all threads or streams of the devices.

    Args:
        folder: of the trace.
        program: the text of the compiled step, which says where each operation comes from.
        steps: how many steps were traced.
        count: how many to name.
    """
    (newest,) = sorted(folder.glob("**/*.xplane.pb"))[-1:]
    spent: Counter[str] = Counter()
    for plane in jax.profiler.ProfileData.from_file(str(newest)).planes:
        for line in plane.lines:
            for event in line.events:
                if "hlo_op" in dict(event.stats) and not event.name.startswith("end: "):
                    spent[event.name] += event.duration_ns
    names = origins(program)
    whole = sum(spent.values())
    lines = [f"top costs of {steps} steps, {whole / 1e6 / steps:.1f} ms of the devices a step:"]
    for name, nanoseconds in spent.most_common(count):
        share = nanoseconds / whole
        lines.append(f"  {share:6.1%} {nanoseconds / 1e6 / steps:9.2f} ms  {name}  {names.get(name, '')}".rstrip())
    return lines


def origins(program: str) -> dict[str, str]:
    """Return for each operation of a compiled program the function and the layer that it comes from."""
    found = re.findall(r'^\s*(?:ROOT )?%?([\w.-]+) = .*?op_name="([^"]*)"', program, re.MULTILINE)
    return {name: re.sub(r"\b(?:jit|vmap)\((?:single|train)?\)/?", "", origin) for name, origin in found}
