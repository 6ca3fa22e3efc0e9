import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from medjax import run
from medjax.errors import InputError
from medjax.evidence.prediction_files import read_csv
from medjax.folder import evaluation, predictions, read_json
from medjax.training import checkpoint, processes

CHILD = Path(__file__).with_name("one_process.py")
ONE_PIXEL = Path(__file__).parent.parent / "judging" / "one_pixel.py"
BOUND = 120  # seconds after a death in which the last process must have ended; a heartbeat counts as missed after 30


def digest(workdir: Path) -> str:
    """The SHA-256 of the newest checkpoint's content, as it was saved."""
    step = checkpoint.steps(workdir / "checkpoints")[-1]
    return checkpoint.ocp.metadata(str(workdir / "checkpoints" / str(step))).custom_metadata["digest"]


def train(
    workdir: Path, count: int, shape: tuple[int, int, int], devices: int = 1, victim: int = -1, dies=None, **more
):
    """Start the processes of a run and return (exit code, standard error) of each when all have ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    told = {
        "coordinator": coordinator,
        "processes": count,
        "workdir": str(workdir),
        "mesh": shape,
        "sealed": False,
    } | more
    if count == 1:
        told["coordinator"] = None
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
    started = []
    for k in range(count):
        own = {**told, "process": k if count > 1 else None, "processes": count if count > 1 else None}
        own["dies"] = dies if k == victim else None
        command = [sys.executable, str(CHILD), json.dumps(own)]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    ended = []
    try:
        for process in started:
            _, error = process.communicate(timeout=BOUND)
            ended.append((process.returncode, error))
    finally:
        for process in started:
            process.kill()
    return ended


def succeeded(ended) -> bool:
    assert [error for code, error in ended if code] == []
    return True


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Runs on a table and on masks that two processes trained and judged: the folder that holds them."""
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDJAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        assert succeeded(train(folder, 2, (1, 1, 2), sealed=True))
    return folder


@pytest.mark.parametrize("name", ["table", "masks"])
def test_two_processes_train_one_run_and_one_of_them_writes_it(two, name):
    """Parameters over `fsdp`, which lies across the processes; every save checks that the processes agree bit by bit."""
    found = {str(p.relative_to(two / name)) for p in (two / name).rglob("*.[cj]s*")}
    assert {"record.json", "predictions/test.csv", "evaluation/test.json", "metrics.jsonl"} <= found
    assert len(list((two / name).glob("events*"))) == 1
    lines = [json.loads(line)["step"] for line in (two / name / "metrics.jsonl").read_text().splitlines()]
    assert lines == sorted(lines)
    assert len(json.loads((two / name / "test_ledger.json").read_text())) == 1


@pytest.mark.parametrize("name", ["table", "masks"])
def test_what_two_processes_predict_together_one_predicts_too(two, name):
    """Every case once and in the same order; and every metric, whichever process found its interval."""
    together, judged = read_csv(two / name / predictions("test")), read_json(two / name / evaluation("test"))
    again = run.evaluate(two / name, "test", config_file=ONE_PIXEL)
    alone = read_csv(two / name / predictions("test"))
    assert list(judged["metrics"]) == list(again["metrics"])
    for metric, found in again["metrics"].items():
        one, other = (
            [entry[key] for key in ("estimate", "low", "high")] for entry in (judged["metrics"][metric], found)
        )
        np.testing.assert_allclose(
            np.array(one, float), np.array(other, float), rtol=1e-3, err_msg=metric
        )  # None is NaN
    assert together.id.tolist() == alone.id.tolist()
    assert len(together.id) % 2 or name == "table"  # one process segments a case more than the other
    np.testing.assert_allclose(together.values, alone.values, rtol=1e-5)


@pytest.mark.slow
def test_two_processes_give_the_bits_of_two_devices(tmp_path):
    assert succeeded(train(tmp_path / "two", 2, (1, 1, 2)))
    assert succeeded(train(tmp_path / "one", 1, (1, 1, 2), devices=2))
    assert digest(tmp_path / "two") == digest(tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("dies", ["step", "save", "judge"])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_takes_the_run_down_and_it_resumes_with_the_same_bits(tmp_path, count, dies, victim):
    shape = (1, count // 2, 2)
    assert succeeded(train(tmp_path / "whole", count, shape))
    began = time.monotonic()
    ended = train(tmp_path / "killed", count, shape, victim=victim, dies=dies)
    assert time.monotonic() - began < BOUND
    assert ended[victim][0] == -9
    for number, (code, error) in enumerate(ended):
        if number != victim:
            assert code != 0
            assert "another process" in error or "distributed service detected fatal errors" in error
    assert succeeded(train(tmp_path / "killed", count, shape))
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


@pytest.mark.slow
def test_a_checkpoint_goes_from_any_number_of_processes_to_any_other(tmp_path):
    """Each run dies in its second save and the next one, of another shape, goes on."""
    shapes = [(2, 1, (1, 1, 2)), (1, 1, (1, 1, 1)), (4, 1, (1, 2, 2)), (1, 8, (1, 4, 2)), (1, 4, (2, 2, 1))]
    done = 0
    for number, (count, devices, shape) in enumerate(shapes):
        last = number == len(shapes) - 1
        ended = train(tmp_path / "run", count, shape, devices, victim=-1 if last else 0, dies="save")
        steps = checkpoint.steps(tmp_path / "run/checkpoints")
        assert steps[-1] > done
        done = steps[-1]
    assert succeeded(ended)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("10.0.0.1:80", None, None), "not all three are given"),
        (("10.0.0.1:80", 2, 2), "process 2 is none of 2"),
        (("10.0.0.1", 2, 0), "no HOST:PORT"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        processes.start(*settings)


def test_the_environment_may_tell_and_must_tell_numbers(monkeypatch):
    for name, value in zip(processes.ENVIRONMENT, ("10.0.0.1:80", "two", "0"), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="'two' and process '0' must be whole numbers"):
        processes.start()


def test_a_lost_process_is_told_from_a_mistake(monkeypatch):
    reset = "UNKNOWN: Gloo AllGather failed: [pair.cc:538] Read error [127.0.0.1]:10146: Connection reset by peer"
    assert processes.lost(ValueError(reset)) is None  # alone there is nobody to lose
    monkeypatch.setattr(processes, "several", lambda: True)
    for error in (ValueError(reset), jax.errors.JaxRuntimeError("INTERNAL: x")):
        assert "another process of this run ended" in processes.lost(error)
    for error in (ValueError("too many values to unpack"), KeyError("gloo"), InputError("gloo")):
        assert processes.lost(error) is None


def test_alone_nothing_is_asked_and_nobody_waits(monkeypatch):
    for name in processes.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    processes.start()
    assert not processes.several()
    assert processes.first()
    assert processes.any_of(True, False) == (True, False)
    assert processes.divided(str, 3) == ["0", "1", "2"]
    processes.check_equal("00", "states")
    assert processes.leave(2) == 2
    assert processes.lost(RuntimeError("x")) is None
