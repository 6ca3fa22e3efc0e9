import hashlib
import json
import os
import subprocess
import sys

import pytest

from medjax.data import ledger, storage
from medjax.data.ledger import Opening, ledger_path, read, record_opening, verify
from medjax.errors import InputError


def _open(*paths, model="m1", split="s1"):
    return record_opening(list(paths), command="medjax evaluate", plan="p", split=split, model=model)


def test_openings_and_models_are_counted_per_split(tmp_path):
    path = tmp_path / "test_ledger.json"
    assert _open(path) == Opening(1, 1)
    assert _open(path) == Opening(2, 1)
    assert _open(path, model="m2") == Opening(3, 2)
    assert _open(path, split="s2") == Opening(1, 1)
    entries = read(path)
    assert [entry["number"] for entry in entries] == [1, 2, 3, 4]
    assert {"time", "command", "plan", "split", "model", "previous", "sha256"} <= set(entries[0])


def test_deleting_a_run_does_not_reset_the_count(tmp_path):
    cache = ledger_path("s1")
    assert cache.parent == storage.cache_dir() / "ledgers"
    cache = tmp_path / "cache.json"
    first, second = tmp_path / "run-1" / "test_ledger.json", tmp_path / "run-2" / "test_ledger.json"
    _open(first, cache)
    first.unlink()
    assert _open(second, cache, model="m2") == Opening(2, 2)
    assert len(read(second)) == 1


def test_every_change_of_an_entry_shows(tmp_path):
    path = tmp_path / "ledger.json"
    for model in "abc":
        _open(path, model=model)
    good = json.loads(path.read_text())
    verify(good)
    changes = [good[1:], good[:1] + good[2:], [good[1], good[0], good[2]], [good[0], good[0], *good[1:]]]
    for key in good[1]:
        changes.append([good[0], good[1] | {key: "changed"}, good[2]])
    changes.append([good[0], {key: good[1][key] for key in good[1] if key != "model"}, good[2]])
    changes.append([good[0], good[1] | {"more": 1}, good[2]])
    content = {**{key: value for key, value in good[1].items() if key != "sha256"}, "model": "forged"}
    rehashed = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    changes.append([good[0], content | {"sha256": rehashed}, good[2]])  # caught by the next entry
    for changed in changes:
        with pytest.raises(InputError, match=r"entry \d of the ledger"):
            verify(changed)


@pytest.mark.parametrize("content", ["", "{}", "[1]", "[{}]", '[{"number": 1'])
def test_a_damaged_ledger_is_named_and_nothing_is_written(tmp_path, content):
    damaged, good = tmp_path / "damaged.json", tmp_path / "good.json"
    damaged.write_text(content)
    with pytest.raises(InputError, match=r"damaged.json"):
        _open(good, damaged)
    assert damaged.read_text() == content
    assert not good.exists()


def test_the_entry_is_on_the_disk_before_the_opening_is_granted(tmp_path, monkeypatch):
    synced, real = [], os.fsync

    def spy(handle):
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    monkeypatch.setattr(os, "fsync", spy)
    _open(tmp_path / "ledger.json")
    assert len(synced) == 2
    assert "ledger.json" in synced[0]
    assert synced[1] == str(tmp_path)


def test_a_full_disk_grants_nothing(tmp_path, monkeypatch):
    path = tmp_path / "ledger.json"
    _open(path)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        _open(path)
    assert ledger.count(read(path), "s1") == Opening(1, 1)


def test_openings_at_once_are_all_counted(tmp_path):
    code = (
        "import sys; from pathlib import Path; from medjax.data.ledger import record_opening\n"
        "paths = [Path(name) for name in sys.argv[2:]]\n"
        "for k in range(5): record_opening(paths, command='c', plan='p', split='s1', model=sys.argv[1] + str(k))"
    )
    a, b = str(tmp_path / "a.json"), str(tmp_path / "b.json")
    commands = [[sys.executable, "-c", code, "x", a, b], [sys.executable, "-c", code, "y", b, a]]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert _open(tmp_path / "a.json", tmp_path / "b.json") == Opening(11, 11)
