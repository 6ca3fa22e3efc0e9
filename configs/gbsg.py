"""Rotterdam and GBSG: time to recurrence or death of breast cancer, learnt on one study, tested on another (real).

python train.py --config configs/gbsg.py
python train.py --config configs/gbsg.py --set validation=0. --set evaluation.test=true --workdir runs/gbsg_test

Lab-book
    command   the second one: learnt on Rotterdam (1,546), judged on the GBSG trial (686), 25 models in one program
    time      4 min 28 s on two CPU cores that six other programs shared
    score     686 test patients (opening 1, 1 model): concordance .681 (.650 to .711), Cox regression .656 (.624 to .687),
              paired difference +.025 (+.012 to +.038): superior; a random survival forest .678 (.646 to .708), difference
              +.003 (-.011 to +.017): not distinguishable
    treatment `medjax treatment RUN --column hormone_therapy --split test` (opening 2): recommended for 672 of 686; over
              treating everybody -.5 months (-2.2 to +1.1) of mean time to 84 months, over nobody +6.2 (-4.2 to +16.6):
              no gain of choosing is shown
    choices   as for METABRIC, validation .25 of Rotterdam, three splits: .668 for these, Cox .661
    caution   observed/expected at 24 months .85 (.75 to .97): another study, another risk; 27 rows are identical to others
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
