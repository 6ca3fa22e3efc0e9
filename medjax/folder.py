"""The run folder, an interface that other tools read: the names in it, files written whole, one experiment a folder."""

import json
from pathlib import Path
from typing import Any

from medjax import config
from medjax.data.storage import write_atomically
from medjax.errors import InputError
from medjax.experiment import Experiment

CONFIG = "config.json"
RECORD = "record.json"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
PROFILE = "profile"
LEDGER = "test_ledger.json"
AUDIT, SUSPECTS = "report/audit.json", "report/suspects.png"  # where the run's data were audited


def predictions(split: str) -> str:
    """Return the name of a split's predictions."""
    return f"predictions/{split}.csv"


def label_maps(split: str) -> str:
    """Return the name of a split's predicted label maps, where the task is a segmentation."""
    return f"predictions/{split}_maps.npz"


def evaluation(split: str) -> str:
    """Return the name of a split's evaluation."""
    return f"evaluation/{split}.json"


def claim(folder: Path, experiment: Experiment) -> None:
    """Make the folder this experiment's, or check that it is; a run may go on on other devices (`training.mesh`).

    Raises:
        InputError: it holds another experiment (the keys that differ are listed) or is no run folder.
    """
    path = folder / CONFIG
    new = config.encode(experiment)
    if path.exists():
        old = read_json(path)
        lines = [line for line in config.differences(old, new) if not line.startswith("training.mesh")]
        if lines:
            shown = "\n  ".join(lines[:8]) + (f"\n  and {len(lines) - 8} more" if len(lines) > 8 else "")
            raise InputError(
                f"{folder} holds the run of another experiment, which differs in\n  {shown}\n"
                "give another --workdir, or delete that folder"
            )
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no {CONFIG}: it is no run folder; give another --workdir")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give another --workdir")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, config.dumps(experiment).encode())


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises:
        InputError: it is missing or broken.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {path.parent} is no run folder, or the run has not come so far") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no readable JSON: {error}") from error


def treatment(split: str) -> str:
    """What a treatment rule is worth on a split."""
    return f"treatment/{split}.json"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all; NaN is refused, because JSON has none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())
