"""All 18 sets of MedMNIST: the flag, the size and the protocol are parameters of one experiment file.

    uv run train.py --config configs/medmnist.py --set flag=breastmnist
    uv run train.py --config configs/medmnist.py --set flag=adrenalmnist3d --set size=64 --set protocol=official

protocol=ours (the default): a ResNet-18 of half width (3-D and fewer than 2,000 images: a quarter; 3-D with early strides)
with GroupNorm, augmentation, AdamW with a cosine schedule, moving averages, three seeds. protocol=official: what MedMNIST
v2 (Scientific Data 10:41, 2023) trained: ResNet-18 with BatchNorm, Adam at .001, batches of 128, 100 epochs, x0.1 at 50
and 75, no augmentation, best validation AUROC; the threshold of its accuracy is .50.

Each set needs its original npz in the folder that MEDJAX_DATA names, or downloads it.

Lab-book (3 seeds and protocol=ours but where told; two CPU cores that other work shared; test sets under the threshold .50)
    breastmnist     10 min 4 s; validation AUROC .885 (.710 to .956), 78 images; test .892 (.801 to .942), accuracy .808
                    (.739 to .862), 156 images, opening 2, 2 models (first recipe, 30 epochs: .805 and .817)
    adrenalmnist3d  23 min 37 s; validation AUROC .802 (.642 to .898), 98 glands; test .862 (.811 to .898), accuracy .795
                    (.746 to .837), 298 glands of 149 patients taken as independent (too narrow), opening 1, 1 model
    pneumoniamnist  protocol=official, one seed, commit b63de71: 1 h 50 min; validation AUROC .994 (.987 to .997), 524 images;
                    test AUROC .936 (.909 to .954), accuracy .841 (.811 to .868), 624 images (published .944 and .854)
    other sets      resolved by tests/test_configs.py, not trained: their files are not here
"""

import json
from functools import partial
from importlib.resources import files
from typing import Literal

import optax

from medjax.augment import random_affine, random_brightness_contrast, random_flip
from medjax.config import nearest
from medjax.errors import InputError
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
from medjax.models import ResNet
from medjax.preprocess import normalise, rescale
from medjax.tasks import Classification, MultiLabel, Ordinal
from medjax.training.schedule import cosine, steps

FACTS = json.loads(files("medjax.data.builders").joinpath("medmnist.json").read_text())
# Which class a positive answer means, where there are two. Label 1 of BreastMNIST is "normal, benign".
POSITIVE = {
    "pneumoniamnist": "pneumonia",
    "breastmnist": "malignant",
    "nodulemnist3d": "malignant",
    "adrenalmnist3d": "hyperplasia",
    "vesselmnist3d": "aneurysm",
    "synapsemnist3d": "excitatory synapse",
}
# Left and right, or up and down, mean something in these: they are not mirrored.
ORIENTED = {"pneumoniamnist", "chestmnist", "organamnist", "organcmnist", "organsmnist", "organmnist3d", "octmnist"}


def experiment(flag: str = "breastmnist", size: int = 28, protocol: Literal["ours", "official"] = "ours") -> Experiment:
    """Build the experiment of one set."""
    if flag not in FACTS:
        raise InputError(f"flag '{flag}' is none of MedMNIST's; {nearest(flag, FACTS)}")
    facts = FACTS[flag]
    dimensions, kind = facts["dimensions"], facts["task"]
    official = protocol == "official"
    if kind == "multi-label":
        task = MultiLabel()
    elif kind == "ordinal" and not official:
        task = Ordinal()
    else:
        task = Classification(positive=POSITIVE.get(flag), label_smoothing=0.0 if official else 0.05)
    primary = "quadratic_weighted_kappa" if isinstance(task, Ordinal) else "auroc"
    cases = facts["cases"]["train"]
    # About 50,000 images are shown, in 5 to 100 epochs. With 30 epochs BreastMNIST (546 images) was far from learnt.
    epochs = 100.0 if official else float(min(100, max(5, round(50_000 / cases))))
    axes = () if flag in ORIENTED else tuple(range(dimensions))
    augment = (
        *([partial(random_flip, axes=axes)] if axes else []),
        partial(random_affine, rotation=10.0, scale=0.1, translation=0.07),
        partial(random_brightness_contrast, brightness=0.1, contrast=0.2),
    )
    return Experiment(
        name=f"{flag}_{size}_{protocol}",
        data=Data(name=flag if size == 28 else f"{flag}_{size}", inputs=("image" if dimensions == 2 else "volume",)),
        task=task,
        model=ResNet(
            depth=18,
            dimensions=dimensions,
            # Without the early strides a volume of 28 voxels a side costs a CPU a second; official nets have none.
            stem="cifar" if size <= 64 and (official or dimensions == 2) else "standard",
            normalisation="batch" if official else "group",
            width=64 if official else 32 if dimensions == 2 and cases >= 2000 else 16,
        ),
        preprocess=(
            partial(rescale, low=0.0, high=255.0),
            *([partial(normalise, mean=(0.5,), std=(0.5,))] if official else []),
        ),
        standardise=() if official else ("image" if dimensions == 2 else "volume",),
        augment=() if official else augment,
        optimizer=Optimizer(
            transform=optax.adam if official else partial(optax.adamw, weight_decay=0.05),
            learning_rate=1e-3 if official else 2e-3,
            schedule=partial(steps, at=(0.5, 0.75), factor=0.1) if official else partial(cosine, warmup=0.1),
            clip=None if official else 1.0,
        ),
        training=Training(
            duration=Duration(epochs=epochs),
            batch_size=128 if official else 64,
            evaluate_every=Duration(epochs=1.0 if official else max(1.0, epochs / 20)),
            select=primary,
            ema=None if official else 0.99,
        ),
        replicates=Replicates(seeds=1 if official else 3),
        evaluation=Evaluation(primary=primary),
    )
