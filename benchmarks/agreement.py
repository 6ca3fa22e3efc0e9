"""The same experiment on 1, 2, 4 and 8 simulated devices and in 1, 2 and 4 processes: by how much the numbers differ.

    uv run python benchmarks/agreement.py [--steps 200]

Breast cancer Wisconsin, a perceptron of two layers with dropout, one seed, batches of 32 divided over all devices;
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

import numpy as np

ROOT = Path(__file__).parent.parent
LINES = (  # processes, devices a process, data, fsdp
    (1, 1, 1, 1), (1, 2, 2, 1), (1, 4, 4, 1), (1, 4, 2, 2), (1, 8, 8, 1), (1, 8, 1, 8), (2, 1, 2, 1), (2, 1, 1, 2),
    (2, 2, 2, 2), (4, 1, 4, 1), (4, 1, 2, 2),
)  # fmt: skip


def child(task: dict) -> None:
    """Take the steps, or predict with the checkpoint; the first process writes the numbers, every one its digest."""
    import jax

    from medjax import config, job, predict
    from medjax.experiment import Duration, Mesh, Replicates, Training
    from medjax.models import Perceptron
    from medjax.training import checkpoint, mesh, processes
    from medjax.training.replicate import take
    from medjax.training.state import final_variables

    if task["processes"] > 1:
        processes.start(task["coordinator"], task["processes"], task["process"])
    mesh.LEAST_SHARDED = 1  # these parameters are few
    experiment = dataclasses.replace(
        config.load_experiment(ROOT / "configs/breast_cancer.py"),
        model=Perceptron(hidden=(64, 64), dropout=0.1, dtype=task["dtype"]),
        training=Training(
            duration=Duration(steps=max(task["steps"], 1)), batch_size=32,
            mesh=Mesh(replicate=1, data=task["data"], fsdp=task["fsdp"]),
        ),
        replicates=Replicates(seeds=1, only=(0,)),
    )  # fmt: skip
    work = job.build(experiment)
    programs, feed = work.programs, job.feed(work)
    (wave,) = programs.waves
    state = programs.initialise(
        np.array([work.replicates[k].seed for k in wave], np.uint32), take(work.fitted, wave, programs.mesh)
    )
    for batch in feed.steps(job.training_plan(work, wave), 0, task["steps"]):
        state, _ = programs.train(state, feed.resident, batch)
        jax.block_until_ready(state)
    found: dict[str, Any] = {"parameters": mesh.to_host(state)}
    if folder := task["checkpoint"]:
        if task["save"]:
            writer = checkpoint.Writer(Path(folder))
            writer.save(1, found["parameters"])
            writer.wait()
        _, state, _ = checkpoint.restore(Path(folder), job.blank_state(work.experiment, work.shapes, work.total, 1))
        # 43 cases a call: the last batch is uneven, and is filled up with cases of weight 0.
        cases = [np.arange(len(work.source))]
        values = predict.predict_all(programs, final_variables(state), state.fitted, feed, cases, 43)
        found = {"probabilities": np.stack(values)}
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in jax.tree.leaves(found))).hexdigest()
    out = Path(task["out"])
    out.with_suffix(f".{task['process']}").write_text(digest)
    if processes.first():
        kept = found.get("parameters")
        flat = found["probabilities"] if kept is None else np.concatenate(
            [np.ravel(x) for x in jax.tree.leaves(kept.variables["params"])]
        )  # fmt: skip
        np.save(out, flat)


def run(line: tuple[int, int, int, int], folder: Path, number: int, **task: object) -> tuple[np.ndarray, bool]:
    """Run one line in programs of its own; returns its numbers and whether its processes agree bit by bit."""
    count, devices, data, fsdp = line
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), "PYTHONPATH": str(ROOT),
        "JAX_ENABLE_X64": "1" if task["dtype"] == "float64" else "0",
    }  # fmt: skip
    out = folder / f"{number}.npy"
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
    return np.load(out), len(digests) == 1


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Numbers on several devices and processes against those on one.")
    parser.add_argument("--steps", type=int, default=200, help="in float64 (%(default)s)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(json.loads(arguments.child))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = str(folder / "checkpoint")
        tasks = {
            f"float64, {arguments.steps} steps": {"dtype": "float64", "steps": arguments.steps, "checkpoint": None},
            "float32, 3 steps": {"dtype": "float32", "steps": 3, "checkpoint": None},
            "probabilities": {"dtype": "float32", "steps": 0, "checkpoint": kept},
        }
        run(LINES[0], folder, 0, dtype="float32", steps=50, checkpoint=kept, save=True)
        print(
            f"{'processes x devices':<20} {'data x fsdp':<12} " + " ".join(f"{name:<20}" for name in tasks) + " equal"
        )
        one: dict[str, np.ndarray] = {}
        for line in LINES:
            cells, equal = [], True
            for number, (title, task) in enumerate(tasks.items(), start=1):
                values, agree = run(line, folder, number, save=False, **task)
                one.setdefault(title, values)
                cells.append(f"{np.abs(values - one[title]).max():<20.1e}")
                equal &= agree
            count, devices, data, fsdp = line
            print(f"{f'{count} x {devices}':<20} {f'{data} x {fsdp}':<12} {' '.join(cells)} {equal}", flush=True)


if __name__ == "__main__":
    main()
