"""Train an experiment: python train.py --config configs/breast_cancer.py --set training.duration.epochs=50."""

import argparse
from pathlib import Path

from medjax.cli import add_experiment_options, add_process_options, guarded
from medjax.pages import start_with_large_pages
from medjax.verbs import train_command

parser = argparse.ArgumentParser(
    description="Train an experiment, judge it, and print the table of results. The same command on a folder that "
    "holds an unfinished run continues it.",
)
parser.add_argument(
    "--config", type=Path, default=Path("configs/breast_cancer.py"), help="experiment file (%(default)s)"
)
parser.add_argument("--workdir", type=Path, help="run folder (runs/<name of the experiment>)")
add_experiment_options(parser)
add_process_options(parser)
parser.add_argument("--data-dir", type=Path, help="folder of original data files (the environment's MEDJAX_DATA)")
parser.add_argument("--dry-run", action="store_true", help="show experiment, parameters and splits; train nothing")
parser.add_argument(
    "--profile", action="store_true", help="trace some steps into RUN/profile for TensorBoard, and print the top costs"
)

if __name__ == "__main__":
    arguments = parser.parse_args()
    start_with_large_pages()
    raise SystemExit(guarded(train_command, arguments))
