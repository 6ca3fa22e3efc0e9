"""METABRIC: time to death of 1,904 women with breast cancer, published train and test patients (real).

python train.py --config configs/metabric.py
python train.py --config configs/metabric.py --set validation=0. --set evaluation.test=true --workdir runs/metabric_test

Lab-book
    command   the second one: all published training patients, 25 models in one program, the test set opened
    time      3 min 56 s on two CPU cores that six other programs shared (73 s of CPU time)
    score     381 test patients (opening 1, 1 model): concordance .641 (.600 to .679), Cox regression .632 (.590 to .673),
              paired difference +.008 (-.010 to +.026), non-inferior within .02, stated before; a random survival forest
              (benchmarks/survival_forest.py) .641 (.601 to .679), difference .000 (-.020 to +.019), each non-inferior
    choices   network, decay and steps on three splits of the training patients (validation .25): .650 for these, .647 and
              .637 for a narrower network, Cox .642; the test set played no part
    caution   observed/expected at 180 months .85 (.77 to .94): too much risk is predicted there, as by Cox regression
    commit    632620f
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
        name="metabric",
        data=Data(name="metabric", inputs=("table",), splits=OfficialTest(validation=validation)),
        task=Survival(until=300, horizons=(60, 120, 180), unit="months"),
        model=Perceptron(hidden=(64, 64), dropout=0.5),
        standardise=("table",),
        optimizer=Optimizer(
            transform=partial(optax.adamw, weight_decay=0.1), learning_rate=3e-3, schedule=partial(cosine, warmup=0.1)
        ),
        training=Training(duration=Duration(steps=300), batch_size="full"),
        replicates=Replicates(seeds=seeds),
        evaluation=Evaluation(primary="concordance_index", reference=cox_regression, margin=0.02),
    )
