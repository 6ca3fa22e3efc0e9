"""A random survival forest on the published training patients, as predictions that `medjax compare` takes.

    uv run --with scikit-survival benchmarks/survival_forest.py runs/metabric_test forest_metabric.csv
    medjax compare runs/metabric_test forest_metabric.csv --split test --reference runs/metabric_test

scikit-survival (GPL) is no package of medjax: it is only run here, beside it. The forest has 100 trees, at least 15 cases a
leaf and the square root of the inputs at each split; nothing was chosen on test cases. It learns from all the training
patients that the run learnt from, and predicts the cases of the run's test predictions, at the same times.
"""

import csv
import sys
from importlib import import_module
from pathlib import Path

import numpy as np

from medjax import config, folder, job
from medjax.data.partition import test_source
from medjax.evidence.prediction_files import read_csv


def main(run: Path, out: Path) -> None:
    """Fit the forest on the run's training cases, and write its predictions of the run's test cases."""
    forests, util = import_module("sksurv.ensemble"), import_module("sksurv.util")
    work = job.build(config.decode(folder.read_json(run / folder.CONFIG)))
    judged = read_csv(run / folder.predictions("test"))
    train = [work.source.source[int(row)] for row in work.partition.parts[0].train]
    sealed = test_source(work.dataset, work.partition)
    place = {sealed[row]["id"]: row for row in range(len(sealed))}
    cases = [sealed[place[name]] for name in judged.id]
    keep = [k for k, name in enumerate(work.dataset.columns) if name not in work.experiment.data.exclude]
    told = util.Surv.from_arrays([case["event"] > 0 for case in train], [float(case["time"]) for case in train])
    forest = forests.RandomSurvivalForest(100, min_samples_leaf=15, max_features="sqrt", random_state=0)
    forest.fit(np.stack([case["table"][keep] for case in train]), told)
    inputs = np.stack([case["table"][keep] for case in cases])
    risk, curves = forest.predict(inputs), forest.predict_survival_function(inputs, return_array=True)
    step = np.searchsorted(forest.unique_times_, judged.times, side="right") - 1
    curves = np.where(step >= 0, curves[:, np.maximum(step, 0)], 1.0)
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "group", "time", "event", "risk", *(f"survival_{time:g}" for time in judged.times)])
        for k, (time, event) in enumerate(judged.target):
            writer.writerow(
                [judged.id[k], judged.group[k], repr(float(time)), int(event), repr(float(risk[k])), *curves[k]]
            )
    print(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
