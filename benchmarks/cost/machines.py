"""Machines: this one from its measurements, and accelerators from what their makers state and a share of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.cost.measure import SUMMED
from benchmarks.cost.model import Machine
from medjax.training.speed import PEAKS

# Nothing of this was measured here. A device reaches so much of the peak that its maker states for float32 inputs (TF32, or
# passes of bfloat16); the rest are the makers' numbers for memory, links and network, four fifths of each.
REACHED = {"products": 0.5, "convolutions": 0.3}
USED = 0.8


def _accelerator(name: str, memory: float, link: float, network: float, host: int) -> Machine:
    peak = PEAKS[name][1]
    return Machine(
        products=REACHED["products"] * peak, convolutions=REACHED["convolutions"] * peak, bandwidth=USED * memory,
        overhead=1e-4, link=USED * link, latency=1e-5, network=USED * network, network_latency=2e-5, host=host,
        combined=3e7,
    )  # fmt: skip


ACCELERATORS = {
    # NVLink 900 GB/s both ways together; one 400 Gb/s network adapter a device; 8 devices a host.
    "NVIDIA H200": _accelerator("NVIDIA H200", 4.8e12, 450e9, 50e9, 8),
    # Links of a pod 200 GB/s both ways together; pods of 256, beyond them the data centre's network.
    "TPU v5 lite": _accelerator("TPU v5 lite", 819e9, 100e9, 3e9, 256),
}


def here(measured: Mapping[str, Any], count: int, sums: Sequence[float]) -> Machine:
    """Return one of so many processes that share this machine.

    Args:
        measured: by `measure.machine` in one of them, while the others did the same: its share of the cores and memory.
        count: processes.
        sums: seconds to sum arrays of `SUMMED` bytes over the processes; empty for one process.
    """
    if count == 1:
        return Machine(**measured, link=math.inf, latency=0.0)
    smallest, largest = sums[0], sums[-1]
    ring = 2 * (count - 1) / count * (SUMMED[-1] - SUMMED[0])
    return Machine(**measured, link=ring / max(largest - smallest, 1e-9), latency=smallest, host=count)
