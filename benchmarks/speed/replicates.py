"""Replicates: 25 small models (5 folds x 5 seeds), ours in one program, PyTorch's one after the other."""

from collections.abc import Sequence

from benchmarks.speed.row import Goal, Row, Side, cores
from benchmarks.speed.worker import Work

CASES, COLUMNS, BATCH, FOLDS, SEEDS, STEPS = 8_000, 32, 64, 5, 5, 64
LOOPED = 10 * STEPS  # the loop waits at its beginning and its end, as it does in a training of thousands of steps
SIZES = {
    "": (64, 64, 64, 64, 64),
    "_small": (64, 64),
}  # hidden layers of medjax's default perceptron, and of a smaller one


def _table():
    """Return numbers (cases, columns) and labels (cases,) that depend on them."""
    import numpy as np

    random = np.random.default_rng(0)
    x = random.normal(size=(CASES, COLUMNS)).astype(np.float32)
    return x, (x[:, :4].sum(1) + random.normal(size=CASES) > 0).astype(np.int64)


def ours(hidden: Sequence[int]) -> Work:
    """Return a job on a table of one's own, through medjax's loop; the mesh is what medjax chooses."""
    import csv
    import os
    import tempfile
    from pathlib import Path

    import jax
    import numpy as np
    import optax

    from benchmarks.speed import training
    from medjax import job
    from medjax.data.origins import Table
    from medjax.data.split import Folds
    from medjax.experiment import Data, Duration, Experiment, Optimizer, Replicates, Training
    from medjax.models import Perceptron
    from medjax.tasks import Classification

    x, y = _table()
    names = [f"x{number}" for number in range(COLUMNS)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDJAX_CACHE"] = folder  # what is prepared here is nobody's data
        path = Path(folder) / "table.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([[*names, "label"], *([*map(repr, map(float, row)), int(one)] for row, one in zip(x, y, strict=True))])  # fmt: skip
        experiment = Experiment(
            name="replicates",
            data=Data("replicates", Table(str(path), "label", numeric=tuple(names)), ("table",), Folds(count=FOLDS)),
            task=Classification(positive="1"),
            model=Perceptron(hidden=tuple(hidden)),
            standardise=("table",),
            optimizer=Optimizer(transform=optax.adam),
            training=Training(duration=Duration(steps=training.LONG), batch_size=BATCH),
            replicates=Replicates(seeds=SEEDS),
        )
        work = job.build(experiment)
    wave, feed = work.programs.waves[0], job.feed(work)
    state, step = training.start(work, wave), 0

    models = len(np.unique(wave))

    def run() -> float:
        nonlocal state, step
        state, seconds = training.looped(work, feed, wave, state, step, step + LOOPED)
        step += LOOPED
        return seconds / (models * LOOPED)

    run()
    size = sum(leaf.size for leaf in jax.tree.leaves(work.programs.parameters))
    shape = " x ".join(map(str, work.programs.mesh.devices.shape))
    return Work({"run": run}, facts={"note": f"{size:,} parameters a model, mesh {shape}"})


def theirs(hidden: Sequence[int], threads: int) -> Work:
    """Return PyTorch's loop over one seed's models: data on the device, batches by index, fused Adam.

    One after the other, the other seeds take as long again each; the table has the time of a model and step.
    """
    import itertools

    import numpy as np
    import torch  # pyrefly: ignore[missing-import]
    from torch import nn  # pyrefly: ignore[missing-import]

    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    numbers, labels = _table()
    x, y = torch.from_numpy(numbers).to(device), torch.from_numpy(labels).to(device)
    models = []
    for number in range(FOLDS):
        torch.manual_seed(number)
        widths = (COLUMNS, *hidden)
        layers = [part for a, b in itertools.pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
        model = nn.Sequential(*layers, nn.Linear(hidden[-1], 2)).to(device)
        cases = np.flatnonzero(np.arange(CASES) % FOLDS != number % FOLDS)
        mean, deviation = x[cases].mean(0), x[cases].std(0)
        models.append((model, torch.optim.Adam(model.parameters(), 1e-3, fused=True), (x - mean) / deviation, cases))
    random = np.random.default_rng(1)

    def run() -> None:
        for model, optimizer, own, cases in models:
            order = torch.from_numpy(random.permutation(cases)).to(device)
            for step in range(STEPS):
                rows = order[step * BATCH : (step + 1) * BATCH]
                optimizer.zero_grad(set_to_none=True)
                nn.functional.cross_entropy(model(own[rows]), y[rows]).backward()
                optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    run()
    size = sum(one.numel() for one in models[0][0].parameters())
    return Work({"run": run}, len(models) * STEPS, {"note": f"{size:,} parameters a model"})


_WORK = f"{FOLDS * SEEDS} models ({FOLDS} folds x {SEEDS} seeds), {CASES:,} x {COLUMNS} table, batch {BATCH}, Adam"


REASON = (
    "profiled on two devices with 13 models each (Zen 5): of 1.0 ms a step of five layers products take .57 (at the peak of "
    "both cores .47; fifteen times PyTorch's rate would be .64 for everything), Adam .3; of .36 ms of two layers products .25. "
    "The host plans and logs on the same two cores, which adds a fifth"
)


def _rows(name: str, hidden: tuple[int, ...]) -> tuple[Row, Row]:
    module, size = "benchmarks.speed.replicates", {"hidden": hidden}
    ours = Side("medjax", f"{module}:ours", size, devices=cores())
    work = f"{_WORK}, {len(hidden)} hidden layers of {hidden[0]}"
    return (
        Row(
            f"replicates{name}", f"{work}: ours in one program, by the training loop; theirs one after the other", ours,
            tuple(
                Side(f"PyTorch, {threads} thread{'s' * (threads > 1)}", f"{module}:theirs", {**size, "threads": threads},
                     peer=True)
                for threads in sorted({1, cores()})
            ),
            per="model and step", goals={"cpu": Goal(least=15), "gpu": Goal(least=50)}, reason=REASON,
        ),
        Row(
            f"replicates{name}_processes", f"{work}: theirs shared by {cores()} processes", ours,
            (Side(f"PyTorch, {cores()} processes, 1 thread each", f"{module}:theirs", {**size, "threads": 1}, peer=True,
                  processes=cores()),),
            per="model and step", rounds=6,
        ),
    )  # fmt: skip


ROWS = tuple(row for name, hidden in SIZES.items() for row in _rows(name, hidden))
