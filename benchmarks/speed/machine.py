"""The machine in words, without its name, and how much of it others used meanwhile."""

import os
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.speed.row import cores

ROOT = Path(__file__).parents[2]


def describe() -> dict[str, object]:
    """Return processor, cores, memory and system; no host name and no path."""
    model = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"processor": model, "cores": cores(), "memory_gib": round(memory, 1), "system": platform.system()}


def commit() -> str:
    """Return the commit that is measured, with a "+" where files differ from it; empty outside a checkout."""

    def git(*arguments: str) -> str:
        found = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return found.stdout.strip() if found.returncode == 0 else ""

    # What this command itself writes does not count.
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/RESULTS.md",
                  ":!benchmarks/results.json")  # fmt: skip
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _busy() -> float | None:
    """Return the seconds that all cores together have worked since the machine started, stolen ones included."""
    if not (stat := Path("/proc/stat")).exists():
        return None
    user, nice, system, _, _, hard, soft, steal, *_ = (int(x) for x in stat.read_text().split("\n")[0].split()[1:])
    return (user + nice + system + hard + soft + steal) / os.sysconf("SC_CLK_TCK")


def _own(processes: Iterable[int]) -> float:
    """Return the processor seconds of some processes and of their children that have ended."""
    ticks = 0
    for number in (*processes, os.getpid()):
        try:
            ticks += sum(int(x) for x in Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[11:15])
        except OSError:
            continue  # it has ended, and counts as a child of this one
    return ticks / os.sysconf("SC_CLK_TCK")


class Watch:
    """Counts what others take of the cores between its start and `read`."""

    def __init__(self, processes: Iterable[int]) -> None:
        self.processes = tuple(processes)
        self.begin = time.monotonic(), _busy(), _own(self.processes)

    def read(self) -> dict[str, float | None]:
        """Return the load average (which counts the measured work too) and the share of the cores that others had."""
        began, busy, own = self.begin
        load = {"average_1_minute": round(os.getloadavg()[0], 2)}
        now = _busy()
        if busy is None or now is None:
            return {**load, "others": None}
        span = max(time.monotonic() - began, 1e-9) * (os.cpu_count() or 1)
        taken = max(now - busy - (_own(self.processes) - own), 0)
        return {**load, "others": round(min(taken / span, 1), 3)}  # the clock ticks coarsely
