"""From a trained state to predictions: every case exactly once, whatever the batch, the wave or the device count."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from medjax import preprocess
from medjax.config import nearest
from medjax.data.case import Case
from medjax.data.feed import Feed
from medjax.data.order import evaluation_batches
from medjax.errors import InputError
from medjax.experiment import Experiment
from medjax.training import mesh as meshes
from medjax.training.programs import Programs
from medjax.training.replicate import take

EVALUATION_BATCH = 256


def case_pipeline(experiment: Experiment, columns: Sequence[str]) -> Callable[[Case], Case]:
    """Return what the host does to each case, in training as in prediction: excluded columns out, then preprocess.

    Args:
        experiment: resolved.
        columns: the names of the data set's table columns; empty where there is no table.

    Raises:
        InputError: an excluded column that the table does not have.
    """
    unknown = [name for name in experiment.data.exclude if name not in columns]
    if unknown:
        raise InputError(f"data.exclude: there is no column '{unknown[0]}'; {nearest(unknown[0], columns)}")
    kept = np.array([i for i, name in enumerate(columns) if name not in experiment.data.exclude], int)

    def pipeline(case: Case) -> Case:
        if "table" in case and experiment.data.exclude:
            case = {**case, "table": case["table"][kept]}
        return preprocess.apply(experiment.preprocess, case)

    return pipeline


def predict_wave(
    programs: Programs,
    variables: Any,
    fitted: Any,
    feed: Feed,
    cases: Sequence[Int[np.ndarray, " _"]],
    batch: int,
) -> list[np.ndarray]:
    """Predict, for each replicate of a wave, its own cases.

    Args:
        programs: the compiled functions.
        variables: of the wave, on the devices.
        fitted: of the wave, on the devices.
        feed: where the cases are.
        cases: for each replicate of the wave, positions in the feed; lengths may differ.
        batch: cases in one call.

    Returns:
        For each replicate an array (its cases, values) in float64, in the order of `cases`.
    """
    devices = meshes.rows(programs.mesh)
    batch = -(-min(batch, max(len(own) for own in cases)) // devices) * devices
    tables = [evaluation_batches(own, batch) for own in cases]
    steps = max(len(index) for index, _ in tables)
    index, weight = (
        np.stack([_lengthen(table[part], steps) for table in tables], axis=1) for part in (0, 1)
    )  # (steps, replicates, batch)
    outputs = [
        programs.predict(variables, fitted, feed.resident, part)
        for part in feed.batches(lambda start, stop: (index[start:stop], weight[start:stop]), 0, steps)
    ]
    values = np.stack(meshes.to_host(outputs)).astype(np.float64)  # (steps, replicates, batch, values)
    return [values[:, k][weight[:, k] > 0] for k in range(len(cases))]


def predict_all(
    programs: Programs,
    variables: Any,
    fitted: Any,
    feed: Feed,
    cases: Sequence[Int[np.ndarray, " _"]],
    batch: int = EVALUATION_BATCH,
) -> list[np.ndarray]:
    """Predict, for every replicate of a run, its own cases, wave by wave; `variables` and `fitted` lie on the host."""
    out: list[np.ndarray] = [np.empty(0)] * len(cases)
    for wave in programs.waves:
        placed = take(variables, wave, programs.mesh), take(fitted, wave, programs.mesh)
        results = predict_wave(programs, *placed, feed, [cases[k] for k in wave], batch)
        for number, result in zip(wave, results, strict=True):
            out[number] = result
    return out


def _lengthen(rows: np.ndarray, steps: int) -> np.ndarray:
    return np.concatenate([rows, np.zeros((steps - len(rows), *rows.shape[1:]), rows.dtype)])
