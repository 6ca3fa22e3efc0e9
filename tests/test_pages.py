"""Large pages: asked for once, only where they are to be had, and only by a process that is nothing but the command."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from medjax import pages

ASKED = "always [madvise] never\n"
# Says what it was started with, takes 256 MiB outside of numpy (which asks for large pages by itself), and how much is large.
SCRIPT = """
import os, sys
from medjax.pages import start_with_large_pages
print("start", os.getpid(), sys.argv[1:], flush=True)
start_with_large_pages()
taken = bytearray(256 << 20)
taken[::4096] = bytes([1]) * (len(taken) // 4096)
large = [line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")]
print("large", int(large[0]) >> 10, os.environ["GLIBC_TUNABLES"])
"""


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(pages, "_glibc", lambda: (2, 36))


def kernel(folder: Path, text: str) -> Path:
    path = folder / "enabled"
    path.write_text(text)
    return path


def test_large_pages_are_asked_for_where_the_kernel_waits_to_be_asked(tmp_path, monkeypatch):
    assert pages.tunables(kernel(tmp_path, ASKED)) == "glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=3")
    assert pages.tunables(kernel(tmp_path, ASKED)) == "glibc.malloc.check=3:glibc.malloc.hugetlb=1"


@pytest.mark.parametrize("text", ["[always] madvise never\n", "always madvise [never]\n"])
def test_other_kernels_are_asked_for_nothing(tmp_path, text):
    assert pages.tunables(kernel(tmp_path, text)) is None
    assert pages.tunables(tmp_path / "no such file") is None


def test_who_has_decided_and_other_libraries_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    assert pages.tunables(kernel(tmp_path, ASKED)) is None
    monkeypatch.delenv("GLIBC_TUNABLES")
    monkeypatch.setattr(pages, "_glibc", lambda: (2, 34))
    assert pages.tunables(kernel(tmp_path, ASKED)) is None


@pytest.mark.parametrize(
    ("started", "seen", "module", "own"),
    [
        (["python", "train.py", "--config", "a.py"], ["train.py", "--config", "a.py"], None, True),
        (["python", "-W", "error", "train.py"], ["train.py"], None, True),
        (
            ["python", "-m", "medjax", "plan", "a.py"],
            ["/somewhere/medjax/__main__.py", "plan", "a.py"],
            "medjax.__main__",
            True,
        ),
        (["python", "-m", "ipykernel_launcher", "-f", "kernel.json"], ["train.py"], None, False),
        (["python", "-"], ["-"], None, False),
        (["python", "-m", "IPython"], ["train.py"], None, False),
        (["python", "-m", "pytest"], ["medjax", "plan", "a.py"], "pytest.__main__", False),
    ],
)
def test_only_a_process_that_is_the_command_is_started_anew(monkeypatch, started, seen, module, own):
    spec = None if module is None else SimpleNamespace(name=module)
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=spec))
    monkeypatch.setattr(sys, "orig_argv", started)
    monkeypatch.setattr(sys, "argv", seen)
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    monkeypatch.setattr(pages.threading, "active_count", lambda: 1)
    assert pages._is_all() is own


@pytest.mark.skipif(pages.tunables() is None, reason="this kernel or C library gives no large pages to who asks")
def test_the_same_process_starts_once_more_with_the_same_arguments_and_large_pages(tmp_path):
    script = tmp_path / "command.py"
    script.write_text(SCRIPT)
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    lines = subprocess.run(
        [sys.executable, str(script), "--key", "a b"], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(lines) == 3
    assert lines[0] == lines[1]
    assert lines[0].endswith("['--key', 'a b']")
    _, large, told = lines[2].split()
    assert int(large) > 200
    assert told == "glibc.malloc.hugetlb=1"
