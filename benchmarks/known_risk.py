"""A survival run on phantoms beside the truth: the hazard of every synthetic patient is known.

    python benchmarks/known_risk.py runs/phantom_survival [validation]

Prints the rank correlation of the predicted with the true log hazard ratio, and the concordance of both with their paired
difference: the true risk is the best that any model could do.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from medjax.errors import InputError
from medjax.evidence import resampling
from medjax.evidence.contest import contest
from medjax.evidence.intervals import patient_codes
from medjax.evidence.prediction_files import read_csv
from medjax.evidence.predictions import ensemble
from medjax.metrics.regression import spearman
from medjax.report.contest_table import contest_table


def main(run: Path, split: str = "validation") -> None:
    """Compare the predictions of one split with the truth in their attributes."""
    found = read_csv(run / "predictions" / f"{split}.csv")
    if found.kind != "survival" or "true_risk" not in found.attributes:
        raise InputError(f"{run}: needs predictions of a survival run on phantoms, with the attribute true_risk")
    found = replace(found, horizons=(found.times[len(found.times) // 2],))
    truth = found.attributes["true_risk"].astype(np.float64)
    predicted = ensemble(found)[:, 0]
    codes = patient_codes(found.group)
    rank = resampling.smooth(lambda weights: spearman(predicted, truth, weights), codes, scale="Fisher z")
    print(
        f"rank correlation of predicted and true risk: {rank.estimate:.3f} ({rank.low:.3f} to {rank.high:.3f}), {rank.method}"
    )
    # The curves of the truth play no part in concordance; its ranks do.
    known = np.concatenate([truth[:, None], ensemble(found)[:, 1:]], axis=1)
    entries = {
        "model": found,
        "truth": replace(found, values=known[None], seed=np.array([-1]), replicate=np.array([-1])),
    }
    print(contest_table(contest(entries, primary="concordance_index", reference="truth")))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
