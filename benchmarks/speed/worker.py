"""A process that does one side's work when it is asked to, and holds still in between.

    python -m benchmarks.speed.worker MODULE:FUNCTION SETTINGS

Requests and answers are JSON, one a line. It answers {"facts": ...} once it is ready (built and warmed up), and then every
{"call": NAME, "seconds": S} with {"value": V}: seconds for a unit of work, of calls repeated for S seconds at least, or what
the call itself has measured. It imports no package but those that the work needs, so that it runs under any interpreter.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

PACKAGES = ("jax", "jaxlib", "flax", "torch", "monai", "scikit-learn", "numpy")
MODULES = {"scikit-learn": "sklearn"}  # where a package is imported under another name


@dataclass(frozen=True)
class Work:
    """What a side can do; whoever builds it has done it once, so that nothing is measured cold.

    Attributes:
        calls: by name; each does the work once and waits until it is done. One that returns a number has measured
            itself; of one that returns None the time is taken here.
        units: how many units of work (steps, images) a timed call does.
        facts: what the table should say of this side, for example its number of parameters.
    """

    calls: Mapping[str, Callable[[], float | None]]
    units: int = 1
    facts: Mapping[str, object] = field(default_factory=dict)


def measure(call: Callable[[], float | None], seconds: float, units: int) -> float:
    """Return what the call has measured, or the seconds for a unit of work over at least `seconds`."""
    count, begin = 0, time.perf_counter()
    while True:
        own = call()
        if own is not None:
            return float(own)
        count += 1
        if (took := time.perf_counter() - begin) >= seconds:
            return took / count / units


def versions() -> dict[str, str]:
    """Return the versions of those packages that the work has imported."""
    from importlib.metadata import version

    return {name: version(name) for name in PACKAGES if MODULES.get(name, name) in sys.modules}


def device() -> dict[str, object]:
    """Return what the work runs on: "cpu" or "gpu", the name of a GPU, and how many devices or threads."""
    if "torch" in sys.modules:
        import torch  # pyrefly: ignore[missing-import]

        if torch.cuda.is_available():
            return {"kind": "gpu", "name": torch.cuda.get_device_name(), "count": torch.cuda.device_count()}
        return {"kind": "cpu", "name": "cpu", "threads": torch.get_num_threads()}
    if "jax" in sys.modules:
        import jax

        first = jax.devices()[0]
        return {"kind": first.platform, "name": first.device_kind, "count": jax.device_count()}
    return {"kind": "cpu", "name": "cpu"}


def main() -> None:
    """Build what the command line names, then answer."""
    # Whatever a library prints must not come between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    module, function = sys.argv[1].split(":")
    work: Work = getattr(importlib.import_module(module), function)(**json.loads(sys.argv[2]))
    about = {**work.facts, "versions": versions(), "device": device()}
    print(json.dumps({"facts": about}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        value = measure(work.calls[request["call"]], request["seconds"], work.units)
        print(json.dumps({"value": value}), file=answers, flush=True)


if __name__ == "__main__":
    # Under its own name, so that `Work` is one class and not two.
    from benchmarks.speed import worker

    worker.main()
