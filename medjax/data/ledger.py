"""The seal's ledger: every opening of a test set, written before the first case is read.

Entries are chained: each holds the hash of the one before, so that a changed or removed entry shows. One copy lies in
the run, one in the cache under the split's fingerprint, so that deleting a run does not reset the count. This prevents
accidents, not fraud: whoever deletes both copies starts afresh.
"""

import datetime
import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medjax.data.storage import cache_dir, locked, write_atomically
from medjax.errors import InputError

Entry = dict[str, Any]

_START = "0" * 64


@dataclass(frozen=True)
class Opening:
    """How often this test set was opened, this time included, and for how many different models."""

    number: int
    models: int


def ledger_path(split: str) -> Path:
    """Give the ledger in the cache of the test set with this split fingerprint."""
    return cache_dir() / "ledgers" / f"{split}.json"


def record_opening(paths: Sequence[Path], *, command: str, plan: str, split: str, model: str) -> Opening:
    """Record an opening in every ledger; when this returns, the entries are on the disk.

    Args:
        paths: the run's ledger and the one in the cache (`ledger_path`); an entry goes into each.
        command: what opens the test set.
        plan: hash of the frozen plan.
        split: fingerprint of the split.
        model: identity of the model, such as the digest of its checkpoint.

    Returns:
        The opening's number among those of this split, and the number of different models, by the longest ledger.

    Raises:
        InputError: a ledger is damaged; nothing is written then.
    """
    time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    facts = {"time": time, "command": command, "plan": plan, "split": split, "model": model}
    with ExitStack() as locks:
        for path in sorted({path.absolute() for path in paths}):  # in one order, so that no two wait for each other
            locks.enter_context(locked(path.with_name(f".{path.name}.lock")))
        ledgers = {path: read(path) for path in paths}
        openings = []
        for path, entries in ledgers.items():
            entries.append(_chained(facts, entries))
            write_atomically(path, json.dumps(entries, indent=1).encode())
            openings.append(count(entries, split))
    return max(openings, key=lambda opening: (opening.number, opening.models))


def count(entries: Sequence[Entry], split: str) -> Opening:
    """Count the openings of a split, and the different models among them."""
    models = [entry["model"] for entry in entries if entry["split"] == split]
    return Opening(len(models), len(set(models)))


def read(path: Path) -> list[Entry]:
    """Read a ledger and verify it; a ledger that does not exist is empty.

    Raises:
        InputError: it is no ledger, or an entry was changed, removed or put in between.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    try:
        entries = json.loads(text)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise TypeError
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is not a ledger of test set openings; restore it from a backup.") from error
    try:
        verify(entries)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return entries


def verify(entries: Sequence[Entry]) -> None:
    """Verify the chain of entries.

    Raises:
        InputError: names the first entry that does not follow from the one before.
    """
    previous = _START
    for number, entry in enumerate(entries, start=1):
        if entry.get("previous") != previous or entry.get("number") != number or entry.get("sha256") != _sha256(entry):
            raise InputError(f"entry {number} of the ledger was changed, or an entry before it was removed.")
        previous = entry["sha256"]


def _chained(facts: Entry, entries: list[Entry]) -> Entry:
    entry = {"number": len(entries) + 1, **facts, "previous": entries[-1]["sha256"] if entries else _START}
    return {**entry, "sha256": _sha256(entry)}


def _sha256(entry: Entry) -> str:
    content = {key: value for key, value in entry.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
