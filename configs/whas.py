"""WHAS: time to death after a heart attack; the published split is leaked, so identical rows are grouped (real).

python train.py --config configs/whas.py
python train.py --config configs/whas.py --set leaked=true --set evaluation.test=true --workdir runs/whas_leaked

Lab-book
    time      4 min 26 s on two CPU cores that six other programs shared (109 s of CPU time) for 25 models
    score     732 groups of identical inputs, out-of-fold: concordance .817 (.790 to .841), Cox regression .817 (.789 to
              .842), paired difference .000 (-.012 to +.012): no difference shown
    leak      on the published parts (second command): .844 (.810 to .874), Cox .817, difference +.027 (+.011 to +.043).
              It is memory: the gain is gone once identical rows stay together
    commit    8a0a461 (the leak: 725ca6d)
"""

from functools import partial

import optax

from medjax.baselines import cox_regression
from medjax.data.split import Folds, OfficialTest
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
from medjax.models import Perceptron
from medjax.tasks import Survival
from medjax.training.schedule import cosine


def experiment(leaked: bool = False, seeds: int = 5) -> Experiment:
    """Build the experiment: identical rows kept together in five folds, or the published parts, which share rows."""
    return Experiment(
        name="whas_leaked" if leaked else "whas",
        data=Data(
            name="whas" if leaked else "whas_grouped",
            inputs=("table",),
            splits=OfficialTest(validation=0.0) if leaked else Folds(count=5),
        ),
        task=Survival(until=1800, horizons=(180, 365, 730), unit="days"),
        model=Perceptron(hidden=(64, 64), dropout=0.2),
        standardise=("table",),
        optimizer=Optimizer(
            transform=partial(optax.adamw, weight_decay=0.1), learning_rate=3e-3, schedule=partial(cosine, warmup=0.1)
        ),
        training=Training(duration=Duration(steps=300), batch_size="full"),
        replicates=Replicates(seeds=seeds),
        evaluation=Evaluation(primary="concordance_index", reference=cox_regression),
    )
