"""GBSG2: recurrence-free survival of 686 women with node-positive breast cancer (real).

python train.py --config configs/gbsg2.py

Lab-book
    time      2 min 5 s on two CPU cores that six other programs shared (71 s of CPU time) for 25 models
    score     686 women, out-of-fold: concordance .676 (.644 to .707), Cox regression .664 (.632 to .695), paired difference
              +.012 (-.005 to +.029): no difference shown
    commit    8a0a461
"""

from functools import partial

import optax

from medjax.baselines import cox_regression
from medjax.data.split import Folds
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
from medjax.models import Perceptron
from medjax.tasks import Survival
from medjax.training.schedule import cosine


def experiment(seeds: int = 5) -> Experiment:
    """Build the experiment: five folds, `seeds` models of each, one program."""
    return Experiment(
        name="gbsg2",
        data=Data(name="gbsg2", inputs=("table",), splits=Folds(count=5)),
        task=Survival(until=2000, horizons=(365, 730, 1460), unit="days"),
        model=Perceptron(hidden=(64, 64), dropout=0.5),
        standardise=("table",),
        optimizer=Optimizer(
            transform=partial(optax.adamw, weight_decay=0.1), learning_rate=3e-3, schedule=partial(cosine, warmup=0.1)
        ),
        training=Training(duration=Duration(steps=300), batch_size="full"),
        replicates=Replicates(seeds=seeds),
        evaluation=Evaluation(primary="concordance_index", reference=cox_regression),
    )
