"""Nuclei: which pixels of a microscopy image belong to a cell's nucleus (BBBC038, 160 images of stage 1).

    uv run train.py --config configs/nuclei.py
    uv run medjax evaluate runs/nuclei --split test

`dsb2018_160.tar` lies in image2d/dsb2018_nuclei of the folder that MEDJAX_DATA names.

Lab-book
    command   uv run train.py --config configs/nuclei.py
    time      65 min on two cores with a load of 15, training and judging
    score     validation, 20 images on which the parameters were chosen, patients unknown: Dice .940 (.905 to .959), delta
              method by patient, log scale of 1 - x; 706 of 728 nuclei found (.970, .918 to .989), 1.40 false ones an image
              (.83 to 2.84)
              test, 47 images, opening 1, 1 model: Dice .938 (.922 to .949); 1,277 of 1,293 nuclei found (.988, .978 to
              .993), 1.55 false ones an image (.98 to 2.72)
    caution   the size of a pixel is unknown, so distances and areas are in pixels; several images may show one specimen, and
              then the intervals are too narrow
    plan      `medjax plan` proposes patches of 256 x 320 and six levels, which two cores cannot pay; each image is normalised by
              itself, since bright nuclei on black stand beside dark ones on white
    commit    2a4ca23
"""

from functools import partial

import optax

from medjax.augment import random_affine, random_brightness_contrast, random_flip
from medjax.data.origins import Masks
from medjax.data.split import HashedSplit
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Training
from medjax.models import UNet
from medjax.preprocess import normalise_case
from medjax.tasks import Segmentation
from medjax.training.schedule import cosine

experiment = Experiment(
    name="nuclei",
    data=Data(
        name="nuclei",
        # Whatever a mask marks is a nucleus; one image a case, since nobody says which come from one specimen.
        origin=Masks(path="image2d/dsb2018_nuclei/dsb2018_160.tar", values="instances", channels=3),
        inputs=("image",),
        splits=HashedSplit(train=0.6, validation=0.15, test=0.25),
    ),
    task=Segmentation(classes=("background", "nucleus"), patch=(128, 128), flips=(0, 1)),
    model=UNet(dimensions=2, widths=(24, 48, 96, 192), packing=2),
    preprocess=(normalise_case,),
    augment=(
        partial(random_flip, axes=(0, 1)),
        partial(random_affine, rotation=45.0, scale=0.3, probability=0.7, edge="reflect"),
        partial(random_brightness_contrast, brightness=0.3, contrast=0.3),
    ),
    optimizer=Optimizer(
        transform=partial(optax.adamw, weight_decay=0.01),
        learning_rate=3e-3,
        schedule=partial(cosine, warmup=0.1),
        clip=1.0,
    ),
    training=Training(
        duration=Duration(steps=900),
        batch_size=8,
        evaluate_every=Duration(steps=100),
        select="dice",
        ema=0.98,
        log_every=20,
    ),
    evaluation=Evaluation(primary="dice"),
)
