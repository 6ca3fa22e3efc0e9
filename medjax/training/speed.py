"""How fast a training is: seconds a step, operations a second, the share of what the devices can do, energy."""

import importlib
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Multiplications and additions a second of one device, dense, as its maker states them: in bfloat16, and for float32
# inputs at JAX's default precision (TF32 on NVIDIA from the A100 on; one bfloat16 pass on a TPU). The first name that a
# device's own begins with counts.
PEAKS = {
    "NVIDIA H200": (989e12, 494e12),
    "NVIDIA H100 PCIe": (756e12, 378e12),
    "NVIDIA H100": (989e12, 494e12),
    "NVIDIA A100": (312e12, 156e12),
    "NVIDIA L40S": (362e12, 183e12),
    "NVIDIA L4": (121e12, 60e12),
    "TPU v6 lite": (918e12, 918e12),
    "TPU v5 lite": (197e12, 197e12),
    "TPU v5": (459e12, 459e12),
    "TPU v4": (275e12, 275e12),
}
RAPL = Path("/sys/class/powercap")


class Stopwatch:
    """Takes the time between logged steps; compilation, which lies before the first of them, does not count."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None
        self._found: list[float] = []

    def tick(self, step: int) -> None:
        """Note that this step is done. A step that is not later than the one before begins anew (another wave)."""
        now = time.perf_counter()
        if self._last is not None and step > self._last[0]:
            self._found.append((now - self._last[1]) / (step - self._last[0]))
        self._last = (step, now)

    def pause(self) -> None:
        """Leave out what comes until the next step: a validation, a save."""
        self._last = None

    def seconds(self) -> float | None:
        """Return the median seconds of a step; None where too few were logged."""
        return statistics.median(self._found) if self._found else None


def operations(step: Any, arguments: Sequence[Any]) -> float | None:
    """Return the floating-point operations of one compiled step on all devices, as XLA counts them before it optimises.

    Args:
        step: a function under `jax.jit`.
        arguments: arrays or their shapes.
    """
    found = step.lower(*arguments).cost_analysis()
    return float(found["flops"]) if found and found.get("flops", 0) > 0 else None


def peak(kind: str, dtype: str) -> float | None:
    """Return what one device of this kind can do, in operations a second; None where it is not known."""
    for name, (narrow, wide) in PEAKS.items():
        if kind.startswith(name):
            return {"bfloat16": narrow, "float32": wide}.get(dtype)
    return None


def energy() -> float | None:
    """Return the joules used since some fixed point, by NVIDIA devices or else the processor; None where nobody tells.

    NVIDIA's counter is read by `nvidia-ml-py`, where that is installed; the processor's from Linux's powercap, where it
    may be read.
    """
    try:
        pynvml: Any = importlib.import_module("pynvml")
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(k) for k in range(pynvml.nvmlDeviceGetCount())]
        return sum(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles) / 1e3
    except Exception:  # not installed, no such device, or one that does not count
        pass
    try:
        counters = [int(path.read_text()) for path in sorted(RAPL.glob("intel-rapl:?/energy_uj"))]
    except (OSError, ValueError):
        return None
    return sum(counters) / 1e6 if counters else None


def summary(
    seconds: float | None, cases: int, flops: float | None, devices: Sequence[Any], dtype: str, joules: float | None
) -> dict[str, Any]:
    """Return what `record.json` says of the speed; what is not known is left out.

    Args:
        seconds: of a step.
        cases: of a step, over all replicates of a wave.
        flops: of a step, over all devices.
        devices: on which it ran.
        dtype: of the computation.
        joules: used by the whole training.
    """
    known: dict[str, Any] = {"step_seconds": seconds, "flops_per_step": flops, "energy_joules": joules}
    if seconds:
        known["cases_per_second"] = round(cases / seconds, 1)
        if flops:
            known["flops_per_second"] = flops / seconds
            if one := peak(devices[0].device_kind, dtype):
                known["share_of_peak"] = round(flops / seconds / (one * len(devices)), 4)
    return {name: value for name, value in known.items() if value is not None}
