"""An experiment that segments, for the tests: its model looks at one pixel at a time and compiles in a moment."""

from functools import partial

import flax.linen as nn

from medjax.data.origins.phantom import Phantom
from medjax.data.split import Folds
from medjax.experiment import Data, Duration, Evaluation, Experiment, Mesh, Optimizer, Replicates, Training
from medjax.preprocess import rescale
from medjax.tasks import Segmentation


class Pixel(nn.Module):
    outputs: int = 0

    @nn.compact
    def __call__(self, x, *, train: bool):
        return nn.Dense(self.outputs)(x)


experiment = Experiment(
    name="tiny",
    data=Data(
        name="tiny_segmentation",
        origin=Phantom(patients=12, size=(32, 32), scans_per_patient=(1, 1), contrast=12, prevalence=0.7),
        inputs=("image",),
        splits=Folds(count=2, hold_back=0.3),
    ),
    task=Segmentation(classes=("background", "lesion"), patch=(16, 24), components="choose"),
    model=Pixel(),
    preprocess=(partial(rescale, low=0.0, high=255.0),),
    standardise=("image",),
    optimizer=Optimizer(learning_rate=0.1),
    training=Training(
        duration=Duration(steps=6),
        batch_size=2,
        evaluate_every=Duration(steps=3),
        select="dice",
        mesh=Mesh(replicate=1, data=1),
    ),
    replicates=Replicates(seeds=2),
    evaluation=Evaluation(primary="dice", resamples=100),
)
