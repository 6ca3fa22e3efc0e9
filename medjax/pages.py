"""Large pages for large arrays: on Linux the commands start themselves with the C library told to ask for them.

Many Linux systems give pages of 2 MiB to programs that ask ("madvise"), and glibc asks only if `GLIBC_TUNABLES` says so when
a process starts. In small pages the intermediate values of one training step of a ResNet-18 (128 images) are 270,000 pages,
which are fetched and given back every step. The arithmetic is the same.
"""

import contextlib
import os
import sys
import threading
from pathlib import Path

TUNABLE = "glibc.malloc.hugetlb"
KERNEL = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def start_with_large_pages() -> None:
    """Start this command anew (the same process, the same arguments) with large pages, if they are to be had and not told.

    Of use before anything large is imported. `GLIBC_TUNABLES=glibc.malloc.hugetlb=0` keeps small pages. Does nothing in a
    notebook, a debugger's or a test's process, or anywhere else where the command is not all that the process does.
    """
    if (value := tunables()) is not None and _is_all():
        with contextlib.suppress(OSError):  # then it goes on as it is
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "GLIBC_TUNABLES": value})


def tunables(kernel: Path = KERNEL) -> str | None:
    """Return what `GLIBC_TUNABLES` should be for large pages; None: nothing would change, or somebody has decided.

    Args:
        kernel: the file in which the kernel says who is given large pages.
    """
    told = os.environ.get("GLIBC_TUNABLES", "")
    if TUNABLE in told or not _asked(kernel) or _glibc() < (2, 35):
        return None
    return ":".join([*filter(None, [told]), f"{TUNABLE}=1"])


def _asked(kernel: Path) -> bool:
    """Whether the kernel gives large pages to who asks: to "always" nothing need be said, to "never" nothing can be."""
    try:
        return "[madvise]" in kernel.read_text()
    except OSError:
        return False


def _glibc() -> tuple[int, int]:
    """The version of the C library; (0, 0): another library than glibc."""
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
        major, minor = version.split(".")[:2]
    except (AttributeError, OSError, ValueError):
        return 0, 0
    return (int(major), int(minor)) if name == "glibc" else (0, 0)


def _is_all() -> bool:
    """Whether this process was started for the command that runs, and for nothing else."""
    command, *arguments = sys.orig_argv[-len(sys.argv) :]
    module = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "").removesuffix(
        ".__main__"
    )  # python -m
    own = arguments == sys.argv[1:] and command in (sys.argv[0], module) and command != "-"  # read from a pipe, once
    return own and bool(sys.executable) and "jax" not in sys.modules and threading.active_count() == 1
