"""PneumoniaMNIST: pneumonia or normal on 5,856 paediatric chest X-rays of 28 x 28 pixels (Kermany et al. 2018).

    MEDJAX_DATA=... uv run train.py --config configs/pneumonia.py
"""

from functools import partial

import optax

from medjax.augment import random_affine, random_brightness_contrast, random_crop, random_gamma, random_noise
from medjax.baselines import logistic_regression
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
from medjax.models import ResNet
from medjax.preprocess import normalise, rescale
from medjax.tasks import Classification
from medjax.training.schedule import cosine

experiment = Experiment(
    name="pneumonia",
    data=Data(name="pneumoniamnist", inputs=("image",)),
    task=Classification(positive="pneumonia", class_weights="balanced", label_smoothing=0.05),
    model=ResNet(depth=18, dimensions=2, stem="cifar", normalisation="group", width=16),
    preprocess=(partial(rescale, low=0.0, high=255.0),),
    standardise=("image",),
    augment=(partial(random_affine, rotation=10.0, scale=0.1, shear=0.0, translation=2.0, probability=1.0),),
    optimizer=Optimizer(transform=partial(optax.adamw, weight_decay=0.05), learning_rate=2e-3, schedule=partial(cosine, warmup=0.1)),
    training=Training(
        duration=Duration(epochs=10), batch_size=64, evaluate_every=Duration(epochs=1), select="auroc", ema=0.998
    ),
    replicates=Replicates(seeds=1),
    evaluation=Evaluation(primary="auroc", threshold="youden", test=False),
)
