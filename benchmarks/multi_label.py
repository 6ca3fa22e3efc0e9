"""What do unknown labels cost? On phantom chests with four findings, whose truth is known.

    python benchmarks/multi_label.py [--patients 1500] [--epochs 20] [--seeds 3] [--unknown 0.5] [--seed 1]

Two runs differ in their training labels alone: all of them known, and a share of them unknown (NaN), which the loss leaves
out. Both are judged on the same held-back patients, on which nothing was chosen, and against the truth of the phantom
whatever the labels say; the differences are paired by patient.
"""

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

import medjax
from medjax.data.origins.phantom import Phantom
from medjax.data.split import HashedSplit
from medjax.evidence.evaluation import evaluate
from medjax.evidence.prediction_files import read_csv
from medjax.evidence.predictions import Predictions
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
from medjax.models import ResNet
from medjax.preprocess import rescale
from medjax.report.table import results_table
from medjax.tasks import MultiLabel
from medjax.training.schedule import cosine


def experiment(origin: Phantom, name: str, epochs: float, seeds: int) -> Experiment:
    """One of the two experiments."""
    return Experiment(
        name=f"phantom findings, {name}",
        data=Data(
            name="phantom_findings",
            origin=origin,
            inputs=("image",),
            splits=HashedSplit(train=0.6, validation=0.4, test=0.0),
        ),
        task=MultiLabel(),
        model=ResNet(depth=18, dimensions=2, stem="cifar", width=8),
        preprocess=(partial(rescale, low=0.0, high=255.0),),
        standardise=("image",),
        optimizer=Optimizer(learning_rate=3e-3, schedule=partial(cosine)),
        training=Training(duration=Duration(epochs=epochs), batch_size=50),
        replicates=Replicates(seeds=seeds),
        evaluation=Evaluation(resamples=1000),
    )


def against_the_truth(predictions: Predictions, origin: Phantom) -> Predictions:
    """Replace the labels that a reader gave (or did not) by what the phantom's patients have."""
    truth = {f"patient-{number:05d}": origin.truth(number).findings for number in range(origin.patients)}
    return replace(predictions, target=np.array([truth[group] for group in predictions.group], np.float64))


def main() -> None:
    """Train both, and print the AUROC of each finding and the paired differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=1500)
    parser.add_argument("--epochs", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--unknown", type=float, default=0.5, help="share of the labels that are unknown")
    parser.add_argument("--seed", type=int, default=1, help="other patients")
    parser.add_argument(
        "--workdir", type=Path, default=Path("runs/multi_label"), help="holds both runs; finished ones stay"
    )
    arguments = parser.parse_args()
    started, found = time.perf_counter(), {}
    for name, unknown in (("all known", 0.0), ("partly unknown", arguments.unknown)):
        origin = Phantom(
            size=(32, 32),
            patients=arguments.patients,
            scans_per_patient=(1, 1),
            prevalence=0.3,
            contrast=12.0,  # so that a small model learns within minutes
            label="findings",
            unknown=unknown,
            segmentation="none",
            seed=arguments.seed,
        )
        folder = arguments.workdir / name.replace(" ", "_")
        medjax.train(experiment(origin, name, arguments.epochs, arguments.seeds), folder)
        found[name] = against_the_truth(read_csv(folder / "predictions" / "validation.csv"), origin)
    result = evaluate(found["partly unknown"], reference=found["all known"], reference_name="all known")
    header = {
        "title": f"Phantom findings (SYNTHETIC), {arguments.unknown:.0%} of the labels unknown",
        "validation": "held-back patients",
        "name": "partly unknown",
    }
    print(results_table(result, header))
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
