"""The processes of one run: how they find each other, agree on what a clock or a signal decides, and end together.

One process a host (or a device) runs the same command; together they are one JAX program. What a batch holds, what a
key gives and what a score is follows from (experiment, data, seed), so nothing of it has to be sent around. Clocks and
signals differ between processes: what they decide, `any_of` makes one decision.
"""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from flax import serialization
from jax.experimental import multihost_utils

from medjax.errors import InputError

LOST = 3  # exit code of a process whose run ended because another process did
HEARTBEAT = 30  # seconds without a sign of life after which a process counts as dead
JUDGING = 24 * 3600  # seconds that the others wait at the end for the first process, which computes all intervals
TRANSPORT = re.compile("gloo|nccl|coordination service|connection (reset|closed|refused)", re.IGNORECASE)
ENVIRONMENT = ("MEDJAX_COORDINATOR", "MEDJAX_PROCESSES", "MEDJAX_PROCESS")


def start(
    coordinator: str | None = None, count: int | None = None, number: int | None = None, automatic: bool = False
) -> None:
    """Join the other processes of the run, before anything is computed; alone, do nothing.

    Args:
        coordinator: HOST:PORT of the first process. None: MEDJAX_COORDINATOR; without it, under srun or mpirun with
            several tasks, what Slurm or Open MPI say.
        count: how many processes there are; None: MEDJAX_PROCESSES.
        number: which of them this one is, from 0; None: MEDJAX_PROCESS.
        automatic: let JAX find out, as it can on a pod of TPUs.

    Raises:
        InputError: the settings are not complete, or the processes do not find each other within five minutes.
    """
    given = [coordinator, count, number]
    told = [os.environ.get(name) for name in ENVIRONMENT]
    values = [old if own is None else own for own, old in zip(given, told, strict=True)]
    if any(value is not None for value in values):
        if any(value is None for value in values):
            raise InputError(
                "several processes need --coordinator HOST:PORT, --processes N and --process K (0 is the first), or "
                f"{', '.join(ENVIRONMENT)} in the environment; not all three are given"
            )
        settings = _checked(*values)
    elif automatic or _launched():
        settings = {}
    else:
        return
    try:
        jax.distributed.initialize(**settings, heartbeat_timeout_seconds=HEARTBEAT, shutdown_timeout_seconds=JUDGING)
    except (RuntimeError, ValueError) as error:
        where = f" at {settings['coordinator_address']}" if settings else ""
        raise InputError(f"the processes of this run did not find each other{where}: {_first_line(error)}") from error


def several() -> bool:
    """Return whether this process is one of several of a run."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def first() -> bool:
    """Return whether this process is the one that writes logs, records and reports."""
    return jax.process_index() == 0


@contextlib.contextmanager
def first_then_others(name: str) -> Iterator[None]:
    """Let the first process run the block before the others do: what it writes, they find."""
    if not first():
        wait(name)
    yield
    if first():
        wait(name)


def wait(name: str) -> None:
    """Wait for all processes to come to this point."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def any_of(*flags: bool) -> tuple[bool, ...]:
    """Return for each flag whether it is raised in any process; all processes ask at the same point."""
    if jax.process_count() == 1:
        return flags
    return tuple(bool(flag) for flag in multihost_utils.process_allgather(np.array(flags)).any(axis=0))


def divided(function: Callable[[int], Any], count: int) -> list[Any]:
    """Return what a function gives for 0 to `count` - 1: each number's by one process, and then known to all of them.

    Args:
        function: of a number; it computes on this process's own devices, and what it returns is made of dicts, lists,
            text, numbers and arrays.
        count: equal in all processes, which call this at the same point.
    """
    own = [function(number) for number in range(jax.process_index(), count, jax.process_count())]
    if jax.process_count() == 1 or not count:
        return own
    parts = [np.frombuffer(serialization.msgpack_serialize(one), np.uint8) for one in own]
    parts += [np.empty(0, np.uint8)] * (-(-count // jax.process_count()) - len(parts))
    lengths = multihost_utils.process_allgather(np.array([len(part) for part in parts]))  # (processes, rounds)
    found = []
    for part, sizes in zip(parts, lengths.T, strict=True):  # one after the other: never all of them on the devices
        every = multihost_utils.process_allgather(np.pad(part, (0, lengths.max() - len(part))))
        whole = (text[:size].tobytes() for text, size in zip(every, sizes, strict=True) if size)
        found += map(serialization.msgpack_restore, whole)
    return found


def check_equal(digest: str, what: str) -> None:
    """Refuse to go on where the processes hold different content.

    Args:
        digest: hexadecimal SHA-256 of this process's content.
        what: its name, for the message.

    Raises:
        InputError: names the first process that differs.
    """
    if jax.process_count() == 1:
        return
    own = np.frombuffer(bytes.fromhex(digest), np.uint8)
    every = multihost_utils.process_allgather(own)
    differs = np.flatnonzero((every != every[0]).any(axis=1))
    if len(differs):
        raise InputError(
            f"{what} differ between process 0 and process {differs[0]}: they must see the same files and run the same "
            "versions; nothing was saved after the last checkpoint"
        )


def lost(error: Exception) -> str | None:
    """Return what to say of an error that another process's end has caused; None for any other error."""
    # JAX passes some of them on as a ValueError.
    broken = isinstance(error, ValueError) and not isinstance(error, InputError) and TRANSPORT.search(str(error))
    if not (isinstance(error, jax.errors.JaxRuntimeError) or broken) or not several():
        return None
    return (
        f"process {jax.process_index()}: another process of this run ended or cannot be reached ({_first_line(error)}); "
        "what was saved is kept: start all processes again, and the run continues"
    )


def leave(code: int) -> int:
    """Return the exit code; but end a failed process among several at once, since waiting for the others would hang."""
    if code and several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _launched() -> bool:
    """Return whether srun or mpirun started several tasks of this command."""
    return any(int(os.environ.get(name) or 1) > 1 for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"))


def _checked(coordinator: Any, count: Any, number: Any) -> dict[str, Any]:
    try:
        count, number = int(count), int(number)
    except ValueError:
        raise InputError(f"processes '{count}' and process '{number}' must be whole numbers") from None
    if not 0 <= number < count:
        raise InputError(f"process {number} is none of {count}: they are numbered from 0 to {count - 1}")
    host, _, port = str(coordinator).rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"the coordinator '{coordinator}' is no HOST:PORT, such as 10.0.0.1:8476")
    return {"coordinator_address": str(coordinator), "num_processes": count, "process_id": number}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
