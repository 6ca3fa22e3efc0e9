import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medjax.data.storage import cache_dir, locked, write_atomically


def test_the_cache_lies_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("MEDJAX_CACHE", "/somewhere")
    assert cache_dir() == Path("/somewhere")
    monkeypatch.delenv("MEDJAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    assert cache_dir() == Path("/shared/medjax")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "medjax"


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "file"
    write_atomically(path, b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_the_lock_admits_one_at_a_time(tmp_path):
    inside, most = 0, 0

    def work(_):
        nonlocal inside, most
        with locked(tmp_path / "new" / "lock"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert most == 1
