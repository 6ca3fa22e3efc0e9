"""SYNTHETIC chests with a time to death whose hazard depends on the size of the lesion: is the known risk recovered?

uv run train.py --config configs/phantom_survival.py
uv run python benchmarks/known_risk.py runs/phantom_survival

Lab-book
    time      1 min 45 s on two CPU cores
    score     SYNTHETIC, 602 patients of the validation set, on whom nothing was chosen: concordance .748 (.726 to .768)
    truth     the true risk has .770 (.750 to .789), paired difference -.023 (-.034 to -.011); rank correlation of the
              predicted with the true risk .908 (.895 to .919): the known risk is recovered, not quite all of it
    caution   with 800 patients: .651 (.604 to .696) of .768, rank correlation .597 (.492 to .685)
    commit    a976f41, with 3,000 patients instead of 800
"""

from functools import partial

import optax

from medjax.augment import random_affine
from medjax.data.origins.phantom import Phantom
from medjax.data.split import HashedSplit
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Training
from medjax.models import ResNet
from medjax.preprocess import rescale
from medjax.tasks import Survival
from medjax.training.schedule import cosine

experiment = Experiment(
    name="phantom_survival",
    data=Data(
        name="phantom_survival",
        # One scan a patient; the largest lesion has exp(4) times the hazard of none, and age plays no part.
        origin=Phantom(
            patients=3000,
            scans_per_patient=(1, 1),
            prevalence=0.7,
            contrast=8,
            survival=True,
            effect=4.0,
            age_effect=0.0,
        ),
        inputs=("image",),
        splits=HashedSplit(train=0.6, validation=0.2, test=0.2),
    ),
    task=Survival(until=8, horizons=(2, 5), unit="years"),
    model=ResNet(depth=18, dimensions=2, stem="standard", normalisation="group", width=8),
    preprocess=(partial(rescale, low=0.0, high=255.0),),
    standardise=("image",),
    augment=(partial(random_affine, rotation=5.0, translation=0.05),),
    optimizer=Optimizer(
        transform=partial(optax.adamw, weight_decay=0.01),
        learning_rate=2e-3,
        schedule=partial(cosine, warmup=0.1),
        clip=1.0,
    ),
    training=Training(duration=Duration(epochs=20), batch_size=96),
    evaluation=Evaluation(primary="concordance_index"),
)
