"""The run folder as a report reads it: whole, checked, and nothing beside it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medjax import folder
from medjax.data import ledger
from medjax.errors import InputError
from medjax.evidence.prediction_files import read_csv
from medjax.evidence.predictions import Predictions
from medjax.report import overlays
from medjax.report.overlays import Overlay

_FIRST = ("test", "external", "out_of_fold", "validation")  # the hardest test that a run has stood is reported


@dataclass(frozen=True)
class RunFolder:
    """What a finished run left behind, and the split that is reported.

    Attributes:
        name: of the folder.
        config: the experiment as JSON; that of an older version may lack keys.
        record: `record.json`.
        evaluations: `evaluation/<split>.json` by split.
        predictions: of every evaluated split.
        split: the one that is reported.
        training: the lines of `metrics.jsonl`.
        openings: entries of the run's ledger of test set openings.
        damaged: why the ledger cannot be trusted, or "".
        audit: the deep audit that `medjax data audit RUN` made, or None.
        suspects: its picture of suspect pairs (PNG), or None.
        overlays: names of the classes, and cases of the reported split to look at, where masks were judged; or None.
        treatments: what treatment rules are worth by split, `treatment/<split>.json`, where `medjax treatment` was run.
    """

    name: str
    config: dict[str, Any]
    record: dict[str, Any]
    evaluations: dict[str, dict[str, Any]]
    predictions: dict[str, Predictions]
    split: str
    training: list[dict[str, Any]]
    openings: list[dict[str, Any]]
    damaged: str
    audit: dict[str, Any] | None = None
    suspects: bytes | None = None
    overlays: tuple[tuple[str, ...], list[Overlay]] | None = None
    treatments: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def evaluation(self) -> dict[str, Any]:
        """The evaluation of the reported split."""
        return self.evaluations[self.split]

    @property
    def judged(self) -> Predictions:
        """The predictions of the reported split."""
        return self.predictions[self.split]


def read(run: Path, split: str | None = None) -> RunFolder:
    """Read a finished run.

    Args:
        run: the run folder.
        split: what to report; None: the first of test, external, out_of_fold and validation that was evaluated.

    Raises:
        InputError: it is no run folder, the run is unfinished, the split was not evaluated, or a split's predictions are
            missing or not those that were evaluated.
    """
    if not (run / folder.CONFIG).is_file():
        raise InputError(
            f"{run}: no run folder ({folder.CONFIG} is missing); give the folder that a training run wrote"
        )
    config, record = _object(run / folder.CONFIG), _object(run / folder.RECORD)
    if not record.get("finished"):
        raise InputError(f"{run}: this run is unfinished; give its training command again, it continues")
    evaluations = {path.stem: _object(path) for path in sorted((run / "evaluation").glob("*.json"))}
    if not evaluations:
        raise InputError(f"{run}: nothing was evaluated yet; run 'medjax evaluate {run}' first")
    if split is not None and split not in evaluations:
        raise InputError(f"{run}: no evaluation of the split '{split}'; it has {', '.join(evaluations)}")
    predictions = {name: _predictions(run, name, found) for name, found in evaluations.items()}
    try:
        openings, damaged = ledger.read(run / folder.LEDGER), ""
    except InputError as error:
        openings, damaged = [], str(error).removeprefix(f"{run / folder.LEDGER}").lstrip(": ")
    split = split or min(evaluations, key=_rank)
    pictures = run / overlays.path_of(split)
    return RunFolder(
        name=run.resolve().name,
        config=config,
        record=record,
        evaluations=evaluations,
        predictions=predictions,
        split=split,
        training=_lines(run / folder.METRICS),
        openings=openings,
        damaged=damaged,
        audit=_object(run / folder.AUDIT) if (run / folder.AUDIT).is_file() else None,
        suspects=(run / folder.SUSPECTS).read_bytes() if (run / folder.SUSPECTS).is_file() else None,
        overlays=overlays.read(pictures) if pictures.is_file() else None,
        treatments={path.stem: _object(path) for path in sorted((run / folder.treatment("")).parent.glob("*.json"))},
    )


def _rank(split: str) -> tuple[int, str]:
    kind = "external" if split.startswith("external") else split
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST), split


def _object(path: Path) -> dict[str, Any]:
    found = folder.read_json(path)
    if not isinstance(found, dict):
        raise InputError(f"{path}: a JSON object is expected here; restore the file, or train again")
    return found


def _predictions(run: Path, split: str, evaluation: dict[str, Any]) -> Predictions:
    path = run / folder.predictions(split)
    if not path.is_file():
        raise InputError(f"{path} is missing, so nothing can be drawn; run 'medjax evaluate {run} --split {split}'")
    found, counts = read_csv(path), evaluation.get("counts", {})
    expected = counts.get("cases", len(found.id)) + counts.get("without_target", 0)
    if len(found.id) != expected:
        raise InputError(
            f"{path}: {len(found.id)} cases, where {folder.evaluation(split)} judged {expected}; evaluate the split again"
        )
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines that can be read; the last one of a killed run may be torn."""
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows
