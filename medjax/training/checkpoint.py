"""Checkpoints: the last two states, written in the background, each with a digest of its content."""

import hashlib
import json
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from orbax.checkpoint import v1 as ocp

from medjax.data.placement import place
from medjax.data.storage import write_atomically
from medjax.errors import InputError
from medjax.training import processes

KEEP = 2
FILES = "files.json"  # beside the content: the SHA-256 of each file


def leaves(tree: Any) -> dict[str, np.ndarray]:
    """Return the leaves of a host tree by path."""
    return {jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def digest(tree: Any) -> str:
    """Return the SHA-256 over paths, types, shapes and bytes of a host tree."""
    sha = hashlib.sha256()
    for path, leaf in leaves(tree).items():
        sha.update(f"{path} {leaf.dtype} {leaf.shape}\n".encode())
        sha.update(np.ascontiguousarray(leaf).data)
    return sha.hexdigest()


class Writer:
    """Saves states one after the other in a background thread, and keeps the last two that are complete."""

    def __init__(self, folder: Path):
        self.folder = folder.absolute()  # orbax takes no other
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future | None = None
        if processes.first():
            for unfinished in self.folder.glob("*.orbax-checkpoint-tmp*"):  # left by a save that was killed
                shutil.rmtree(unfinished, ignore_errors=True)

    def save(self, step: int, state: Any) -> None:
        """Start saving a host tree that nobody changes afterwards; waits for the save before, and raises its error.

        Several processes save together, each its share of the content, and wait for it: their writing must not meet the
        sums over processes of the next steps.
        """
        self.wait()
        self._pending = self._thread.submit(_write, self.folder, step, state)
        if jax.process_count() > 1:
            self.wait()

    def wait(self) -> None:
        """Wait until the last save is on disk.

        Raises:
            InputError: it could not be written (full disk, no permission); the checkpoints before it are untouched.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                pending.result()
            except Exception as error:  # orbax and tensorstore raise many kinds
                if processes.lost(error):
                    raise
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                raise InputError(
                    f"{self.folder}: the checkpoint could not be written ({reason}); the checkpoints before it are kept: "
                    "make room and run the same command again to continue"
                ) from error


def steps(folder: Path) -> list[int]:
    """Return the complete checkpoints, oldest first; what an interrupted save left behind is no checkpoint."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit() and path.is_dir())


def restore(folder: Path, like: Any) -> tuple[int, Any, list[str]]:
    """Return (step, state, warnings) of the newest checkpoint whose content is what was saved.

    Args:
        folder: the run's `checkpoints`.
        like: a tree of arrays or shapes with the structure to restore into.

    Raises:
        InputError: there is no checkpoint, none is intact, or the tree belongs to another model.
    """
    folder = folder.absolute()
    found, problems = steps(folder), []
    like = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
    for step in reversed(found):
        try:
            _check_files(folder / str(step))
            metadata: Any = ocp.metadata(str(folder / str(step))).custom_metadata or {}
            expected = {path: [list(x.shape), str(x.dtype)] for path, x in leaves(like).items()}
            _compare(metadata.get("leaves", expected), expected, folder / str(step))
            state = ocp.load(str(folder / str(step)), like)
            if digest(state) != metadata.get("digest"):
                raise ValueError("its content is not what was saved (the digest differs)")
        except InputError:
            raise
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            problems.append(f"checkpoint {folder.name}/{step} cannot be used: {reason[:200]}")
            continue
        return step, state, [f"{problem}; falling back to {folder.name}/{step}" for problem in problems]
    detail = "; ".join(problems) or "there is none"
    raise InputError(f"{folder}: no usable checkpoint ({detail}); delete the run folder and train again")


def _write(folder: Path, step: int, state: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)  # orbax's threads wait minutes for a folder that cannot be made
    needed = sum(leaf.nbytes for leaf in leaves(state).values()) * 5 // 4 + 2**18
    free = shutil.disk_usage(folder).free
    if free < needed:  # asked first, because orbax's threads fill the screen with tracebacks when a write fails
        raise OSError(f"the disk is full: {free / 2**20:.1f} MiB are free, {needed / 2**20:.1f} MiB are needed")
    described: Any = {path: [list(x.shape), str(x.dtype)] for path, x in leaves(state).items()}
    metadata = {"digest": digest(state), "leaves": described}
    processes.check_equal(metadata["digest"], f"the states at step {step}")
    ocp.save(str(folder / str(step)), _shared_out(state), overwrite=True, custom_metadata=metadata)
    if processes.first():
        saved = folder / str(step)
        write_atomically(saved / FILES, json.dumps(_file_digests(saved), indent=1).encode())
        for old in steps(folder)[:-KEEP]:
            shutil.rmtree(folder / str(old))


def _file_digests(checkpoint: Path) -> dict[str, str]:
    paths = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != FILES)
    digests = {}
    for path in paths:
        with path.open("rb") as file:
            digests[path.relative_to(checkpoint).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _check_files(checkpoint: Path) -> None:
    """Find damaged files before orbax does.

    When one of its reads fails, those under way report to an event loop that it has closed, and a traceback reaches the
    screen. A save that was killed just before its list was written has none; the digest of the content covers it.
    """
    if not (checkpoint / FILES).is_file():
        return
    found = _file_digests(checkpoint)
    for name, expected in json.loads((checkpoint / FILES).read_text()).items():
        if found.get(name) != expected:
            raise ValueError(f"its file {name} {'has changed since' if name in found else 'is missing'}")


def _shared_out(state: Any) -> Any:
    """Divide a host tree among the processes, so that each writes its share; alone, leave it as it is.

    A leaf is divided along the first axis whose length the processes divide; the first process writes the others.
    """
    count = jax.process_count()
    if count == 1:
        return state
    own = [next(d for d in jax.devices() if d.process_index == number) for number in range(count)]
    writers = jax.make_mesh((count,), ("writer",), (AxisType.Auto,), devices=own)

    def one(leaf: Any) -> NamedSharding:
        axis = next((axis for axis, side in enumerate(np.shape(leaf)) if side and side % count == 0), None)
        return NamedSharding(writers, PartitionSpec(*([None] * axis + ["writer"] if axis is not None else [])))

    return place(state, jax.tree.map(one, state))


def _compare(saved: dict[str, Any], expected: dict[str, Any], where: Path) -> None:
    for path in [*expected, *saved]:
        if saved.get(path) != expected.get(path):
            raise InputError(
                f"{where}: it belongs to another model: {path} is {saved.get(path, 'absent')} there and "
                f"{expected.get(path, 'absent')} here"
            )
