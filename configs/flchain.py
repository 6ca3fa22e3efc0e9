"""FLCHAIN: time to death of 7,874 people by their free light chains (real).

python train.py --config configs/flchain.py

Lab-book
    time      4 min 58 s on two CPU cores that six other programs shared (108 s of CPU time) for 25 models
    score     7,874 people, out-of-fold: concordance .798 (.788 to .808), Cox regression .796 (.786 to .806), paired
              difference +.002 (.000 to +.004): superior, by an amount that matters to nobody
    commit    725ca6d
"""

from functools import partial

import optax

from medjax.baselines import cox_regression
from medjax.data.split import Folds
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
from medjax.models import Perceptron
from medjax.preprocess import flag_missing
from medjax.tasks import Survival
from medjax.training.schedule import cosine

CHAPTERS = tuple(
    f"chapter={name}"
    for name in (
        "Blood", "Circulatory", "Congenital", "Digestive", "Endocrine", "External Causes", "Genitourinary", "Ill Defined",
        "Infectious", "Injury and Poisoning", "Mental", "Musculoskeletal", "Neoplasms", "Nervous", "Respiratory", "Skin",
    )
)  # fmt: skip


def experiment(seeds: int = 5) -> Experiment:
    """Build the experiment: five folds, `seeds` models of each, one program."""
    return Experiment(
        name="flchain",
        # The chapter of the cause of death is known only of those who died: it is the answer.
        data=Data(name="flchain", inputs=("table",), splits=Folds(count=5), exclude=CHAPTERS),
        task=Survival(until=4800, horizons=(365, 1825, 3650), unit="days"),
        model=Perceptron(hidden=(64, 64), dropout=0.2),
        preprocess=(flag_missing,),
        standardise=("table",),
        optimizer=Optimizer(
            transform=partial(optax.adamw, weight_decay=0.1), learning_rate=3e-3, schedule=partial(cosine, warmup=0.1)
        ),
        training=Training(duration=Duration(steps=300), batch_size=1024),
        replicates=Replicates(seeds=seeds),
        evaluation=Evaluation(primary="concordance_index", reference=cox_regression),
    )
