"""The same experiment on 1, 2, 4 and 8 simulated devices and in 1, 2 and 4 processes: by how much the numbers differ.

    uv run python benchmarks/agreement.py [--model perceptron | convolution] [--steps 200]

A perceptron of two layers with dropout on Breast Cancer Wisconsin, or two convolutions with batch normalisation, whose
statistics are those of the whole batch, on phantoms of 32 x 32 pixels; one seed, batches of 32 divided over all devices;
beside `data` also over `fsdp`, with every leaf divided. Each line is a program of its own, started as a user would:
simulated devices by JAX_NUM_CPU_DEVICES, processes over the loopback with one device each. Compared with one device are
the parameters after 200 steps in float64 (200 steps in float32 part chaotically) and after 3 steps in float32, and the
probabilities of one checkpoint, trained before on one device. `equal` says whether the processes of a line hold
parameters that are equal bit by bit.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import flax.linen as nn
import numpy as np

from medjax.models.convolution import Convolution

ROOT = Path(__file__).parent.parent
LINES = (  # processes, devices a process, data, fsdp
    (1, 1, 1, 1), (1, 2, 2, 1), (1, 4, 4, 1), (1, 4, 2, 2), (1, 8, 8, 1), (1, 8, 1, 8), (2, 1, 2, 1), (2, 1, 1, 2),
    (2, 2, 2, 2), (4, 1, 4, 1), (4, 1, 2, 2),
)  # fmt: skip


class Normalised(nn.Module):
    """Two convolutions with batch normalisation, everything in one precision."""

    outputs: int = 0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Any, *, train: bool) -> Any:
        """Map images to logits."""
        x = x.astype(self.dtype)
        for features in (8, 16):
            x = Convolution(features, 3, 2, self.dtype)(x)
            x = nn.relu(nn.BatchNorm(not train, momentum=0.9, dtype=self.dtype, param_dtype=self.dtype)(x))
        return nn.Dense(self.outputs, dtype=self.dtype, param_dtype=self.dtype)(x.mean(axis=(1, 2)))


def experiment(task: dict) -> Any:
    """Return what a line trains."""
    from medjax import config
    from medjax.data.origins.phantom import Phantom
    from medjax.data.split import Folds
    from medjax.experiment import Data, Duration, Mesh, Replicates, Training
    from medjax.models import Perceptron

    found = dataclasses.replace(
        config.load_experiment(ROOT / "configs/breast_cancer.py"),
        model=Perceptron(hidden=(64, 64), dropout=0.1, dtype=task["dtype"]),
        training=Training(
            duration=Duration(steps=max(task["steps"], 1)), batch_size=32,
            mesh=Mesh(replicate=1, data=task["data"], fsdp=task["fsdp"]),
        ),
        replicates=Replicates(seeds=1, only=(0,)),
    )  # fmt: skip
    if task["model"] == "perceptron":
        return found
    origin = Phantom(patients=150, size=(32, 32), scans_per_patient=(1, 1), contrast=12, label="lesion", prevalence=0.5)
    return dataclasses.replace(
        found,
        data=Data(name="agreement", origin=origin, inputs=("image",), splits=Folds(count=5)),
        task=dataclasses.replace(found.task, positive="lesion"),
        model=Normalised(dtype=task["dtype"]),
        standardise=("image",),
        evaluation=dataclasses.replace(found.evaluation, reference=None),
    )


def child(task: dict) -> None:
    """Take the steps, and predict with the checkpoint; the first process writes the numbers, every one its digest."""
    import jax

    from medjax import job, predict
    from medjax.training import checkpoint, loop, mesh, processes
    from medjax.training.replicate import take
    from medjax.training.state import final_variables

    if task["processes"] > 1:
        processes.start(task["coordinator"], task["processes"], task["process"])
    mesh.LEAST_SHARDED = 1  # these parameters are few
    work = job.build(experiment(task))
    programs, feed = work.programs, job.feed(work)
    (wave,) = programs.waves
    state = programs.initialise(
        np.array([work.replicates[k].seed for k in wave], np.uint32), take(work.fitted, wave, programs.mesh)
    )
    first = 0
    for after, chunk in feed.chunks(job.training_plan(work, wave), 0, task["steps"]):
        if loop.takes_several(programs, feed):
            state, _ = programs.train_several(state, feed.resident, chunk, np.int32(after - first))
        else:
            for _ in range(first, after):
                state, _ = jax.block_until_ready(programs.train(state, feed.resident, chunk))
        first = after
        jax.block_until_ready(state)
    kept = mesh.to_host(state)
    found = {"parameters": np.concatenate([np.ravel(x) for x in jax.tree.leaves(kept.variables)])}
    if folder := task["checkpoint"]:
        if task["save"]:
            writer = checkpoint.Writer(Path(folder))
            writer.save(1, kept)
            writer.wait()
        _, state, _ = checkpoint.restore(Path(folder), job.blank_state(work.experiment, work.shapes, work.total, 1))
        # 43 cases a call: the last batch is uneven, and is filled up with cases of weight 0.
        cases = [np.arange(len(work.source))]
        found["probabilities"] = np.stack(
            predict.predict_all(programs, final_variables(state), state.fitted, feed, cases, 43)
        )
    every = [*jax.tree.leaves(kept), *found.values()]
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in every)).hexdigest()
    out = Path(task["out"])
    out.with_suffix(f".{task['process']}").write_text(digest)
    if processes.first():
        np.savez(out, **found)


def run(line: tuple[int, int, int, int], folder: Path, number: int, **task: object) -> tuple[dict, bool]:
    """Run one line in programs of its own; returns its numbers by name and whether its processes agree bit by bit."""
    count, devices, data, fsdp = line
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), "PYTHONPATH": str(ROOT),
        "JAX_ENABLE_X64": "1" if task["dtype"] == "float64" else "0",
    }  # fmt: skip
    out = folder / f"{number}.npz"
    common = {
        "processes": count,
        "data": data,
        "fsdp": fsdp,
        "coordinator": f"127.0.0.1:{port}",
        "out": str(out),
        **task,
    }
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "--child", json.dumps({**common, "process": k})], env=environment,
            stdout=subprocess.DEVNULL,
        )
        for k in range(count)
    ]  # fmt: skip
    if any([process.wait(600) for process in started]):
        raise SystemExit(f"a process of {line} failed")
    digests = {out.with_suffix(f".{k}").read_text() for k in range(count)}
    with np.load(out) as numbers:
        return dict(numbers), len(digests) == 1


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Numbers on several devices and processes against those on one.")
    parser.add_argument("--model", choices=("perceptron", "convolution"), default="perceptron")
    parser.add_argument("--steps", type=int, default=200, help="in float64 (%(default)s)")
    parser.add_argument(
        "--lines", type=int, nargs="*", default=range(len(LINES)), help="which, from 0; 0 must be there"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(json.loads(arguments.child))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = str(folder / "checkpoint")
        tasks = (
            {"dtype": "float64", "steps": arguments.steps, "checkpoint": None},
            {"dtype": "float32", "steps": 3, "checkpoint": kept},
        )
        titles = (f"float64, {arguments.steps} steps", "float32, 3 steps", "probabilities")
        run(LINES[0], folder, 0, dtype="float32", steps=50, checkpoint=kept, save=True, model=arguments.model)
        print(
            f"{'processes x devices':<20} {'data x fsdp':<12} " + " ".join(f"{name:<20}" for name in titles) + " equal"
        )
        one: dict[tuple[int, str], np.ndarray] = {}
        for line in (LINES[number] for number in arguments.lines):
            cells, equal = [], True
            for number, task in enumerate(tasks, start=1):
                numbers, agree = run(line, folder, number, save=False, model=arguments.model, **task)
                for name, values in numbers.items():
                    first = one.setdefault((number, name), values)
                    cells.append(f"{np.abs(values - first).max():<20.1e}")
                equal &= agree
            count, devices, data, fsdp = line
            print(f"{f'{count} x {devices}':<20} {f'{data} x {fsdp}':<12} {' '.join(cells)} {equal}", flush=True)
        largest = ", ".join(f"{np.abs(values).max():.2g}" for values in one.values())
        print(f"the numbers themselves are up to {largest}")


if __name__ == "__main__":
    main()
