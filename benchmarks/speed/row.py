"""What a row of the speed table is: its work, who does it, and what is asked of medjax."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


def cores() -> int:
    """Return how many cores this process may use; both sides of a row get all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Side:
    """One way of doing a row's work, in a process (or several) of its own.

    Attributes:
        label: what it is called in the table.
        build: "module:function"; called once in the new process with `settings`, it returns a `worker.Work`.
        settings: what JSON can hold.
        call: which of the work's calls is measured; sides with equal processes share one.
        peer: whether it runs under the peers' interpreter.
        devices: simulated CPU devices for JAX; None: as JAX decides.
        processes: how many do the work side by side; the rates add up.
    """

    label: str
    build: str
    settings: Mapping[str, object] = field(default_factory=dict)
    call: str = "run"
    peer: bool = False
    devices: int | None = None
    processes: int = 1


@dataclass(frozen=True)
class Goal:
    """What is asked of a row, on one kind of device.

    Attributes:
        least: the smallest ratio (peer's / ours) or value that will do; None: no such bound.
        most: the largest; of a row with a peer this is a bound on ours / peer's.
    """

    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        """Whether a ratio or value will do."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what `--only` takes; rows of a family share what stands before the first underscore, which it takes too.
        work: what both sides do, for a reader.
        unit: "s" (seconds a call, divided by the work's units), "MiB", or "" for a share.
        per: what one unit of work is: "step", "image", ...; "" where a call is the whole.
        ours: medjax.
        peers: others; the faster one counts. Empty: a value, not a ratio.
        goals: by kind of device, "cpu" and "gpu"; a kind that is not named has no goal.
        cost: whether the ratio is ours / peer's (an overhead) and not peer's / ours (how many times as fast).
        rounds: how often the sides take turns; six or more give an interval.
        reason: why a goal is missed, where a profile has told; empty: not profiled.
    """

    name: str
    work: str
    ours: Side
    peers: tuple[Side, ...] = ()
    unit: str = "s"
    per: str = ""
    goals: Mapping[str, Goal] = field(default_factory=dict)
    cost: bool = False
    rounds: int = 9
    reason: str = ""
