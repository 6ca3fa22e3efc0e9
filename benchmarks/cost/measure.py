"""Measured in processes of their own: what the machine can do, and how long the steps take on 1, 2 or 4 processes.

    python -m benchmarks.cost.measure TASK

is one process of a run; it is started by `run`. Processes have one device each and find each other over the loopback; of
several each has one core to itself, as far as there are cores.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medjax.pages import tunables

ROOT = Path(__file__).parents[2]
DENSE = {"perceptron", "replicates"}  # models of `step.MODELS` that convolve nothing
SECONDS = 2.0  # of measuring a step, after the first two
SUMMED = (2**12, 2**20, 2**24)  # bytes of the arrays whose sums over processes are timed


def run(count: int, models: Sequence[str]) -> dict[str, Any]:
    """Start the processes, and return what the first has measured.

    Args:
        count: processes.
        models: of `step.MODELS`.

    Returns:
        `steps`: seconds of each model's step; `machine`; `sums`: seconds to sum arrays of `SUMMED` bytes.
    """
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        out = Path(folder) / "found.json"
        environment = os.environ | {"JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": str(ROOT)}
        if value := tunables():  # as medjax's commands do for themselves
            environment["GLIBC_TUNABLES"] = value
        task = {
            "processes": count,
            "coordinator": coordinator,
            "models": list(models),
            "out": str(out),
        }
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.cost.measure", json.dumps({**task, "process": number})],
                env=environment, cwd=ROOT, stdout=subprocess.DEVNULL,
            )
            for number in range(count)
        ]  # fmt: skip
        if any([process.wait() for process in started]):
            raise SystemExit(f"a process of {count} failed")
        return json.loads(out.read_text())


def child(task: dict[str, Any]) -> None:
    """Measure as one of several processes; the first writes what it found."""
    from medjax.training import processes

    if task["processes"] > 1:
        # As a cluster gives them: threads of several processes that spin on the same cores would keep each other waiting.
        if hasattr(os, "sched_setaffinity"):  # Linux
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[task["process"] % len(cores)]})
        processes.start(task["coordinator"], task["processes"], task["process"])
    found: dict[str, Any] = {"machine": machine(convolves=set(task["models"]) > DENSE)}
    found["sums"] = sums() if task["processes"] > 1 else []
    found["steps"] = {name: step(name, task["processes"]) for name in task["models"]}
    if processes.first():
        Path(task["out"]).write_text(json.dumps(found))


def step(name: str, count: int) -> float:
    """Return the seconds of a model's training step on so many devices."""
    from benchmarks.cost import step as steps
    from benchmarks.speed import training

    return timed(training.step(*steps.experiment(name, count))[0])


def machine(convolves: bool) -> dict[str, float]:
    """Return operations a second in products and convolutions, bytes a second of copies, seconds of an empty step.

    Without `convolves` nothing is told of convolutions: it stands at the rate of products, and no model asks for it.
    Convolutions are medjax's own, with their gradients and with the compiler's options that it takes.
    """
    import jax
    import jax.numpy as jnp

    side = 768
    square = jnp.ones((side, side))
    product = jax.jit(lambda a, b: a @ b)
    found = {"products": 2 * side**3 / timed(lambda: product(square, square).block_until_ready())}
    found["convolutions"] = _convolutions() if convolves else found["products"]
    # The buffer is given back to be written into, as a compiled step reuses its own.
    moved: Any = jax.jit(lambda x: x + 1.0, donate_argnums=0)
    large, small = jnp.ones(2**24), jnp.ones(2)

    def move() -> None:
        nonlocal large
        large = moved(large).block_until_ready()

    def launch() -> None:
        nonlocal small
        small = moved(small).block_until_ready()

    found["bandwidth"] = 2 * large.nbytes / timed(move)
    found["overhead"] = timed(launch)
    return found


def _convolutions() -> float:
    import jax
    import jax.numpy as jnp

    from medjax.models.convolution import Convolution, compiler_options

    layers = [Convolution(64, (3, 3)) for _ in range(3)]
    pictures = jnp.ones((16, 28, 28, 64))
    kernels = [layer.init(jax.random.key(0), pictures) for layer in layers]

    def loss(kernels: Any, x: jax.Array) -> jax.Array:
        for layer, kernel in zip(layers, kernels, strict=True):
            x = jnp.asarray(layer.apply(kernel, x))
        return x.sum()

    gradient: Any = jax.jit(jax.grad(loss, (0, 1)), compiler_options=compiler_options())
    seconds = timed(lambda: jax.block_until_ready(gradient(kernels, pictures)))
    return 3 * 3 * 2 * 9 * 64 * 64 * 28 * 28 * 16 / seconds


def sums() -> list[float]:
    """Return the seconds to sum an array of each size of `SUMMED` over all processes."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    mesh = Mesh(np.array(jax.devices()), ("data",))
    apart, together = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    summed: Any = jax.jit(lambda x: x.sum(0), out_shardings=together)
    found = []
    for size in SUMMED:
        rows = np.ones((jax.device_count(), size // 4), np.float32)
        placed = jax.make_array_from_callback(rows.shape, apart, lambda index, rows=rows: rows[index])
        found.append(timed(lambda placed=placed: summed(placed).block_until_ready()))
    return found


def timed(call: Callable[[], object]) -> float:
    """Return the median seconds of a call, the first two left out; the first process says when it is enough."""
    from medjax.training import processes

    call(), call()
    found: list[float] = []
    begin = time.perf_counter()
    while True:
        began = time.perf_counter()
        for _ in range(8):
            call()
            now = time.perf_counter()
            found.append(now - began)
            began = now
        # All processes stop at the same call.
        (enough,) = processes.any_of(processes.first() and time.perf_counter() - begin > SECONDS)
        if enough:
            return statistics.median(found)


if __name__ == "__main__":
    child(json.loads(sys.argv[1]))
