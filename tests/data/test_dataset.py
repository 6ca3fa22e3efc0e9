import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from medjax.data import dataset as room
from medjax.data.builders import BreastCancerWisconsin
from medjax.data.case import fingerprint as case_fingerprint
from medjax.data.dataset import fingerprint, names, open_split, prepare
from medjax.errors import InputError

PREPARE = """
import sys
from medjax.data.dataset import fingerprint, prepare
value = fingerprint(prepare(sys.argv[1]))
assert not [name for name in sys.modules if name.partition(".")[0] == "tensorflow"], "TensorFlow was imported"
print(value)
"""


def _start(cache, name="breast_cancer_wisconsin"):
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE, name],
        env=os.environ | {"MEDJAX_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_prepare_at_once_silently_without_tensorflow(tmp_path):
    processes = [_start(tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert outputs == [(fingerprint(prepare("breast_cancer_wisconsin")) + "\n", "")] * 2


def test_slow_libraries_wait_until_they_are_needed():
    code = (
        "import sys, medjax.data.dataset, medjax.data.audit, medjax.data.ledger, medjax.data.readers.images\n"
        "assert not {'tensorflow_datasets', 'sklearn', 'scipy', 'PIL', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_preparing_again_reads_no_case(monkeypatch):
    first = prepare("breast_cancer_wisconsin")
    monkeypatch.setattr(room, "_read_index", None)
    monkeypatch.setattr(BreastCancerWisconsin, "__init__", None)  # nor loads the library that has the data
    again = prepare("breast_cancer_wisconsin")
    assert fingerprint(again) == fingerprint(first)
    assert {key: value for key, value in vars(again).items() if key != "index"} == {
        key: value for key, value in vars(first).items() if key != "index"
    }


@pytest.mark.parametrize("name", ["breast_cancer_wisconsin", "pneumoniamnist", "pneumoniamnist_64", "metabric"])
def test_a_known_data_set_lies_where_its_builder_says(tmp_path, name):
    builder = room._builder(name, None)
    assert room._known_directory(tmp_path, builder) == Path(builder(data_dir=tmp_path).data_dir)


@pytest.mark.parametrize("damage", ["no index", "half an index", "no info", "old index", "unfinished"])
def test_a_half_prepared_folder_is_not_taken_for_good(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path))
    good = prepare("breast_cancer_wisconsin")
    index, info = good.directory / "medjax_index.npz", good.directory / "dataset_info.json"
    if damage == "no index":
        index.unlink()
    elif damage == "half an index":
        index.write_bytes(index.read_bytes()[:5000])
    elif damage == "no info":
        info.unlink()
    elif damage == "old index":
        monkeypatch.setattr(room, "_FORMAT", room._FORMAT + 1)
    else:
        unfinished = good.directory.with_name(f"incomplete.ABC_{good.version}")
        shutil.copytree(good.directory, unfinished)
        shutil.rmtree(good.directory)
    again = prepare("breast_cancer_wisconsin")
    assert fingerprint(again) == fingerprint(good)
    with np.load(index, allow_pickle=False) as stored:
        assert json.loads(str(stored["about"]))["format"] == room._FORMAT
    assert [case["id"] for case in open_split(again, "all")] == good.index.id.tolist()
    assert not list(good.directory.parent.glob("incomplete*"))


def test_the_index_agrees_with_the_sources_and_holds_no_label():
    dataset = prepare("breast_cancer_wisconsin")
    cases = [case for split in dataset.splits for case in open_split(dataset, split)]
    index = dataset.index
    assert index.id.tolist() == [case["id"] for case in cases]
    assert index.group.tolist() == [case["group"] for case in cases]
    assert index.fingerprint.tolist() == [case_fingerprint(case, dataset.inputs) for case in cases]
    with np.load(dataset.directory / "medjax_index.npz", allow_pickle=False) as stored:
        assert set(stored.files) == {"about", "split", "id", "group", "fingerprint"}


def test_identical_inputs_with_different_targets_are_conflicts():
    ids = np.array(["a", "b", "c", "d", "e"])
    inputs = np.array(["x", "x", "y", "y", "x"])
    assert room._conflicts(ids, inputs, ["0", "1", "0", "0", "0"]) == (("a", "b", "e"),)


def test_a_changed_target_changes_the_fingerprint_of_the_data():
    dataset = prepare("breast_cancer_wisconsin")
    index = type(dataset.index)(**(vars(dataset.index) | {"targets": "other"}))
    assert fingerprint(type(dataset)(**(vars(dataset) | {"index": index}))) != fingerprint(dataset)


def test_names_and_their_misspellings(tmp_path):
    assert len(names()) == 1 + 12 * 4 + 6 * 2 + 9
    with pytest.raises(InputError, match="Did you mean 'breast_cancer_wisconsin'"):
        prepare("breast_cancer_wisconsn")
    with pytest.raises(InputError, match="Did you mean 'pneumoniamnist'"):
        prepare("PneumoniaMNIST")
    with pytest.raises(InputError, match="does not exist"):
        prepare("breast_cancer_wisconsin", tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no split 'test'; it has all"):
        open_split(prepare("breast_cancer_wisconsin"), "test")


def test_a_case_that_breaks_the_contract_stops_the_preparation(tmp_path, monkeypatch):
    from medjax.data.builders import breast_cancer_wisconsin as builder

    def broken():
        for row in range(3):
            table = np.full(30, np.inf if row == 1 else 0, np.float32)
            yield row, {"id": f"{row}", "group": "patient-secret", "table": table, "label": 0}

    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path))
    monkeypatch.setattr(builder, "_cases", broken)
    for _ in range(2):  # neither at once nor later
        with pytest.raises(InputError, match=r"breast_cancer_wisconsin all, case '1', key 'table'.*infinite") as error:
            prepare("breast_cancer_wisconsin")
        assert "secret" not in str(error.value)


def test_ids_are_unique(tmp_path, monkeypatch):
    from medjax.data.builders import breast_cancer_wisconsin as builder

    row = {"id": "x", "group": "y", "table": np.zeros(30, np.float32), "label": 0}
    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path))
    monkeypatch.setattr(builder, "_cases", lambda: iter([(0, row), (1, row)]))
    with pytest.raises(InputError, match="'x' occurs more than once"):
        prepare("breast_cancer_wisconsin")


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("write() failed: No space left on device; file")]
)
def test_a_full_disk_gets_one_message(tmp_path, monkeypatch, error):
    from medjax.data.builders import BreastCancerWisconsin

    def full(self, **_):
        raise error

    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path))
    monkeypatch.setattr(BreastCancerWisconsin, "download_and_prepare", full)
    with pytest.raises(InputError, match="No space left on device"):
        prepare("breast_cancer_wisconsin")


@pytest.mark.slow
def test_killed_at_any_moment_the_next_preparation_is_right(tmp_path, medjax_data: Path):
    expected = fingerprint(prepare("pneumoniamnist"))
    for tenth in range(4, 40, 4):
        process = _start(tmp_path, "pneumoniamnist")
        time.sleep(tenth / 10)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert _start(tmp_path, "pneumoniamnist").communicate(timeout=120) == (expected + "\n", "")
