"""METABRIC."""

from functools import partial

import optax

from medjax.baselines import cox_regression
from medjax.data.split import OfficialTest
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
from medjax.models import Perceptron
from medjax.tasks import Survival

experiment = Experiment(
    name="metabric",
    data=Data(name="metabric", inputs=("table",), splits=OfficialTest(validation=0.2)),
    task=Survival(until=240, horizons=(60, 120, 180), unit="months"),
    model=Perceptron(hidden=(32, 32), dropout=0.3),
    standardise=("table",),
    optimizer=Optimizer(transform=partial(optax.adamw), learning_rate=3e-3),
    training=Training(
        duration=Duration(steps=300), batch_size="full", evaluate_every=Duration(steps=20), select="concordance_index"
    ),
    replicates=Replicates(seeds=3),
    evaluation=Evaluation(primary="concordance_index", reference=cox_regression, margin=0.02),
)
