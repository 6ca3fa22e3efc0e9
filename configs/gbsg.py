"""Rotterdam and GBSG: time to recurrence or death of breast cancer, learnt on one study, tested on another (real).

python train.py --config configs/gbsg.py
python train.py --config configs/gbsg.py --set validation=0. --set evaluation.test=true --workdir runs/gbsg_test
"""

from functools import partial

import optax

from medjax.baselines import cox_regression
from medjax.data.split import OfficialTest
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
from medjax.models import Perceptron
from medjax.tasks import Survival
from medjax.training.schedule import cosine


def experiment(validation: float = 0.2, seeds: int = 25) -> Experiment:
    """Build the experiment; `validation` is the share of the published training patients that choices are made on."""
    return Experiment(
        name="gbsg",
        data=Data(name="gbsg", inputs=("table",), splits=OfficialTest(validation=validation)),
        task=Survival(until=84, horizons=(24, 36, 60), unit="months"),
        model=Perceptron(hidden=(64, 64), dropout=0.5),
        standardise=("table",),
        optimizer=Optimizer(
            transform=partial(optax.adamw, weight_decay=0.1), learning_rate=3e-3, schedule=partial(cosine, warmup=0.1)
        ),
        training=Training(duration=Duration(steps=300), batch_size="full"),
        replicates=Replicates(seeds=seeds),
        evaluation=Evaluation(primary="concordance_index", reference=cox_regression),
    )
