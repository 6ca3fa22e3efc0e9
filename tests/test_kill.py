"""Real kills: `kill -9` at random moments of a real process, some inside a checkpoint save, then the same command."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medjax import folder
from medjax.training import checkpoint

HERE = Path(__file__).parent.parent
SETTINGS = [
    "training.save_seconds=0",
    "training.save_grid=2",
    "training.duration.epochs=null",
    "training.duration.steps=150",
]


def command(workdir: Path) -> list[str]:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    return [
        sys.executable,
        str(HERE / "train.py"),
        "--config",
        str(HERE / "configs/breast_cancer.py"),
        "--workdir",
        str(workdir),
        *settings,
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}


def content(workdir: Path) -> dict[str, bytes]:
    """What must not differ by a bit: the digest of the last state, the predictions, the evaluation."""
    from orbax.checkpoint import v1 as ocp

    last = workdir / folder.CHECKPOINTS / str(checkpoint.steps(workdir / folder.CHECKPOINTS)[-1])
    digest = ocp.metadata(str(last)).custom_metadata["digest"]
    files = [*workdir.glob("predictions/*.csv"), *workdir.glob("evaluation/*.json"), workdir / folder.CONFIG]
    return {"digest": digest.encode(), **{path.name: path.read_bytes() for path in files}}


@pytest.mark.slow
def test_ten_of_ten_killed_runs_end_bit_identical(tmp_path):
    whole = tmp_path / "whole"
    subprocess.run(command(whole), check=True, capture_output=True, env=environment())
    expected = content(whole)
    began = time.monotonic()  # once more, with what the first run has compiled
    subprocess.run(command(tmp_path / "again"), check=True, capture_output=True, env=environment())
    seconds = time.monotonic() - began
    assert content(tmp_path / "again") == expected
    rng, rows = random.Random(0), []
    for number in range(10):
        workdir = tmp_path / f"killed_{number}"
        process = subprocess.Popen(
            command(workdir),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )
        saves = workdir / folder.CHECKPOINTS
        if number % 2:  # inside a save: as soon as a temporary folder is seen, after some saves
            after = rng.randrange(1, 60)
            while process.poll() is None:
                found = checkpoint.steps(saves)
                if found and found[-1] >= after and any("tmp" in path.name for path in saves.iterdir()):
                    break
        else:  # anywhere from the start of the process on
            deadline = time.monotonic() + rng.uniform(0.1, 0.9) * seconds
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
        alive = process.poll() is None
        if alive:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        inside = saves.is_dir() and any("tmp" in path.name for path in saves.iterdir())
        rows.append((number, alive, checkpoint.steps(saves), inside))
        subprocess.run(command(workdir), check=True, capture_output=True, env=environment())
        assert content(workdir) == expected, rows[-1]
    for number, alive, steps, inside in rows:
        print(
            f"run {number}: {'killed' if alive else 'had ended'}, checkpoints {steps}, {'inside' if inside else 'outside'} a save"
        )
    assert sum(alive for _, alive, _, _ in rows) >= 8
    assert sum(inside for *_, inside in rows) >= 2
    assert len(expected) == 4
