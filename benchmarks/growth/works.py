"""The works whose growth is measured; each function returns a `Work` with one call for each of its sizes."""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.speed.worker import Work


def bootstrap_resamples(sizes: Sequence[int], cases: int = 2_000) -> Work:
    """Return the bootstrap of AUROC with so many resamples."""
    from benchmarks.speed import bootstrap

    return _work(sizes, lambda size: lambda: bootstrap.resampled(cases, size, 0))


def bootstrap_cases(sizes: Sequence[int], resamples: int = 1_000) -> Work:
    """Return the bootstrap of AUROC of so many cases."""
    from benchmarks.speed import bootstrap

    return _work(sizes, lambda size: lambda: bootstrap.resampled(size, resamples, 0))


def evaluation(sizes: Sequence[int]) -> Work:
    """Return the whole table of two classes, with every interval, for so many cases."""
    from medjax.evidence.evaluation import evaluate
    from medjax.evidence.predictions import Predictions

    def build(size: int) -> Callable[[], object]:
        random = np.random.default_rng(0)
        target = (random.random(size) < 0.4).astype(np.int64)
        positive = 1 / (1 + np.exp(-random.normal(size=size) - 1.5 * target + 0.7))
        name = np.arange(size).astype(str)
        predictions = Predictions(
            name, name, target, np.stack([1 - positive, positive], -1)[None], np.zeros(1, np.int64),
            np.zeros(1, np.int64), np.full(size, -1), "probability", ("no", "yes"),
        )  # fmt: skip
        return lambda: evaluate(predictions, positive=1, threshold=0.5, primary="auroc", resamples=1_000)

    return _work(sizes, build)


def concordance(sizes: Sequence[int]) -> Work:
    """Return Harrell's index with its interval for so many cases, a third censored."""
    from medjax.evidence import concordance as evidence

    def build(size: int) -> Callable[[], object]:
        random = np.random.default_rng(0)
        risk = random.normal(size=size)
        time = random.exponential(np.exp(-risk))
        event = (random.random(size) < 2 / 3).astype(np.int64)
        patient = np.arange(size)
        return lambda: evidence.interval(evidence.harrell(risk, time, event, patient))

    return _work(sizes, build)


def near_duplicates(sizes: Sequence[int]) -> Work:
    """Return the search for near-duplicates among so many thumbnails; every pair is compared."""
    from medjax.data import near

    random = np.random.default_rng(0)
    pictures = random.normal(size=(max(sizes), 16, 16)).astype(np.float32)

    def build(size: int) -> Callable[[], object]:
        return lambda: near.picture_neighbours(pictures[:size])

    return _work(sizes, build)


def table(sizes: Sequence[int]) -> Work:
    """Return what a table of so many rows costs before training: read, checked, prepared, audited, parted."""
    import csv
    import itertools
    import os
    import tempfile
    from pathlib import Path

    from medjax import job
    from medjax.data.origins import Table
    from medjax.data.split import Folds
    from medjax.experiment import Data, Experiment
    from medjax.models import Perceptron
    from medjax.tasks import Classification

    keep = tempfile.TemporaryDirectory()
    root, number = Path(keep.name), itertools.count()
    random = np.random.default_rng(0)
    names = [f"x{column}" for column in range(16)]

    def build(size: int) -> Callable[[], None]:
        path = root / f"{size}.csv"
        with path.open("w", newline="") as file:
            rows = random.normal(size=(size, 16)).round(4)
            labels = random.integers(0, 2, size)
            csv.writer(file).writerows([[*names, "label"], *([*row, one] for row, one in zip(rows.tolist(), labels, strict=True))])  # fmt: skip
        experiment = Experiment(
            name="table",
            data=Data("growth", Table(str(path), "label", numeric=tuple(names)), ("table",), Folds(count=5)),
            task=Classification(positive="1"),
            model=Perceptron(hidden=(8,)),
            standardise=("table",),
        )

        def run() -> None:
            keep.name  # noqa: B018 (the folder lives as long as the call)
            os.environ["MEDJAX_CACHE"] = str(root / f"cache_{next(number)}")
            job.build(experiment)

        return run

    return _work(sizes, build)


def batch(sizes: Sequence[int]) -> Work:
    """Return a training step of a narrow ResNet-18 on so many pictures of 28 x 28."""
    return _work(sizes, lambda size: _resnet(size, 28, 16))


def image_side(sizes: Sequence[int]) -> Work:
    """Return a training step of a narrow ResNet-18 on 32 pictures with so long a side."""
    return _work(sizes, lambda size: _resnet(32, size, 16))


def image_width(sizes: Sequence[int]) -> Work:
    """Return a training step of a ResNet-18 of this width on 32 pictures of 28 x 28."""
    return _work(sizes, lambda size: _resnet(32, 28, size))


def volume_side(sizes: Sequence[int]) -> Work:
    """Return a training step of a 3-D U-Net, two voxels packed into one, on patches with so long a side."""
    from benchmarks.speed import training, unet

    def build(size: int) -> Callable[[], None]:
        space = (size,) * 3
        arrays = {"volume": np.zeros((2, *space, 1), np.float32), "segmentation": np.zeros((2, *space), np.uint8)}
        return training.step(unet.experiment(2, space), arrays, 2)[0]

    return _work(sizes, build)


def dense_width(sizes: Sequence[int]) -> Work:
    """Return a training step of a perceptron with three hidden layers of this width, batches of 256."""
    return _work(sizes, lambda size: _perceptrons(1, size, 256))


def replicates(sizes: Sequence[int]) -> Work:
    """Return a training step of so many perceptrons at once, three hidden layers of 64, batches of 64."""
    return _work(sizes, lambda size: _perceptrons(size, 64, 64))


def augmentation_side(sizes: Sequence[int]) -> Work:
    """Return flips, affine maps, gamma and noise of 8 pictures with so long a side."""
    from benchmarks.speed import augmentation

    return _work(sizes, lambda size: augmentation.ours((size, size), 8).calls["run"])


def _work(sizes: Sequence[int], build: Callable[[int], Callable[[], object]]) -> Work:
    """Build the call of every size, and call each once, so that nothing is measured cold."""

    def silent(call: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            call()

        return run

    calls = {str(size): silent(build(size)) for size in sizes}
    for call in calls.values():
        call()
    return Work(calls)


def _resnet(cases: int, side: int, width: int) -> Callable[[], None]:
    from benchmarks.speed import resnet, training

    experiment, arrays = resnet.experiment("float32", cases, side, width)
    return training.step(experiment, arrays, cases)[0]


def _perceptrons(count: int, width: int, cases: int) -> Callable[[], None]:
    from benchmarks.speed import training

    return training.step(*training.perceptron(width, cases), cases, count)[0]
