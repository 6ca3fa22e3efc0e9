"""What a fold never saw is named before training."""

import dataclasses

import numpy as np

from medjax import job
from medjax.data.origins import Table
from medjax.data.split import Folds
from medjax.experiment import Data
from medjax.preprocess import flag_missing
from medjax.report.opening import first_screen
from medjax.report.unseen import unseen


def test_a_category_of_one_case_is_unknown_to_the_fold_that_judges_it(small, tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{rng.normal():.3f},{'ab'[k % 2]},{k % 2}" for k in range(40)]
    rows[3] = "0.5,rare,1"
    rows[8] = ",a,0"
    (tmp_path / "t.csv").write_text("\n".join(["x,kind,y", *rows]) + "\n")
    origin = Table(
        path=str(tmp_path / "t.csv"), target="y", numeric=("x",), categorical=(("kind", ("a", "b", "rare")),)
    )
    data = Data(name="unseen", origin=origin, inputs=("table",), splits=Folds(count=2))
    task = dataclasses.replace(small.task, positive="1")
    work = job.build(dataclasses.replace(small, data=data, task=task, preprocess=(flag_missing,)))
    folds = work.partition.assignment
    found = unseen(work)
    assert found == [
        f"'kind=rare' is taken as unknown in 1 judged case: no training case of fold {folds[3]} has it",
        f"'missing x' is taken as unknown in 1 judged case: no training case of fold {folds[8]} has it",
    ]
    assert all(f"note      {note}" in first_screen(work, tmp_path) for note in found)
