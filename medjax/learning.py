"""The story of a learning curve: train on more and more patients, judge on the same ones, say what more would bring."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medjax import facts, folder, job, predict, results
from medjax.data import dataset as datasets
from medjax.data import drop
from medjax.data.partition import Partition, development_source, partition
from medjax.data.split import Nested
from medjax.errors import InputError
from medjax.evidence import learning_curve as evidence
from medjax.evidence.intervals import count_patients
from medjax.evidence.prediction_files import write_csv
from medjax.evidence.predictions import Predictions
from medjax.experiment import Experiment, resolve
from medjax.fit import fit
from medjax.job import Job
from medjax.report.screen import Screen
from medjax.training.state import final_variables

SHARES = (0.01, 0.05, 0.10, 0.25, 0.50, 1.0)
LEAST = 2  # patients of every class in a subset: a single one is no class
RESULT = "learning_curve.json"
WITHOUT_THRESHOLD = ("auroc", "auprc", "brier", "log_loss")  # of metrics of two classes


def learning_curve(
    experiment: Experiment,
    workdir: Path | str,
    shares: Sequence[float] = SHARES,
    *,
    gain: float | None = None,
    least: int = LEAST,
    data_dir: Path | None = None,
    screen: Screen | None = None,
) -> dict[str, Any]:
    """Train the experiment on nested subsets of its training patients, and fit a learning curve to what comes of it.

    Every seed draws its own subsets. All models take the same number of optimizer steps, that of the largest subset, as
    replicates of one compiled program. They are judged, by the primary metric, on the validation cases or, where the
    experiment cross-validates, out-of-fold; a test set stays sealed. A call that was interrupted continues.

    Args:
        experiment: with at least 3 seeds (`replicates.seeds`).
        workdir: the run folder.
        shares: of the training patients, ascending.
        gain: the improvement of the primary metric that would matter; None: .01, of unbounded errors a twentieth.
        least: patients of every class that a subset must hold; shares that do not are dropped and listed.
        data_dir: folder of original data files; None: MEDJAX_DATA.
        screen: where to report progress; None: standard error.

    Returns:
        The content of `learning_curve.json`: `medjax.evidence.learning_curve.judge`, with `about` and `dropped`.

    Raises:
        InputError: something a person can mend.
        Interrupted: SIGTERM or Ctrl-C; the state is saved, and the same call continues.
    """
    if experiment.task.kind in ("segmentation", "survival"):
        what = "a segmentation" if experiment.task.kind == "segmentation" else "times to an event"
        raise InputError(f"a learning curve of {what} is not there yet")
    began, screen, workdir = time.monotonic(), screen or Screen(), Path(workdir)
    experiment, dropped = _planned(experiment, tuple(shares), least, data_dir)
    work = job.build(experiment, data_dir)
    record = facts.begin(work, workdir)
    if record.get("finished"):
        screen.say(f"{workdir} holds this learning curve, finished; give another --workdir to train it again")
        return folder.read_json(workdir / RESULT)
    earlier, spec = record.get("seconds", 0.0), _spec(experiment)
    for one in dropped:
        screen.say(f"without the share {one['share']:g}: {one['reason']}")
    screen.say(_first_screen(work, spec, workdir))
    state = fit(work, workdir, record, screen, began)

    cases = [model.held_out for model in work.replicates]
    values = predict.predict_all(work.programs, final_variables(state), state.fitted, job.feed(work), cases)
    found = [_of_share(work, spec, number, values) for number in range(len(spec.shares))]
    for share, predictions in zip(spec.shares, found, strict=True):
        write_csv(workdir / folder.predictions(f"training_share_{share:g}"), predictions)
    curve = evidence.judge(
        np.array(_sizes(work.dataset, work.partition, spec.shares)),
        found,
        primary=experiment.evaluation.primary,
        positive=work.experiment.task.positive_index if len(work.experiment.task.classes) == 2 else None,
        threshold=float(experiment.evaluation.threshold),
        gain=gain,
        resamples=experiment.evaluation.resamples,
        seed=experiment.seed,
    )
    result = {"about": _about(work, spec, record), "shares": list(spec.shares), "dropped": dropped, **curve}
    folder.write_json(workdir / RESULT, result)
    record |= {
        "finished": facts.now(),
        "seconds": round(earlier + time.monotonic() - began, 1),
        "memory": facts.peak_memory(),
    }
    folder.write_json(workdir / folder.RECORD, record)
    return result


def parse_shares(text: str) -> tuple[float, ...]:
    """Read shares as they are typed: ".05,.25,1" or "5%,25%,100%".

    Raises:
        InputError: a share that is no number between 0 and 1.
    """
    shares = []
    for word in text.split(","):
        try:
            share = float(word.strip().removesuffix("%")) / (100 if word.strip().endswith("%") else 1)
        except ValueError:
            raise InputError(f"--shares: '{word}' is no number; write shares as .05,.10,.25,.50,1") from None
        if not 0 < share <= 1:
            raise InputError(f"--shares: {word.strip()} must lie above 0 and up to 1 (100%)")
        shares.append(share)
    return tuple(sorted(set(shares)))


# ---------------------------------------------------------------------------------------------------------------------
# Planning
# ---------------------------------------------------------------------------------------------------------------------


def _planned(
    experiment: Experiment, shares: tuple[float, ...], least: int, data_dir: Path | None
) -> tuple[Experiment, list[dict[str, Any]]]:
    """The experiment with nested subsets in place of its splits, seeds as draws of them, and the shares dropped."""
    settings = experiment.evaluation
    if experiment.replicates.seeds < evidence.FEWEST_SEEDS:
        raise InputError(
            f"replicates.seeds is {experiment.replicates.seeds}, but the spread of models needs at least "
            f"{evidence.FEWEST_SEEDS}: --set replicates.seeds=5"
        )
    if isinstance(experiment.data.splits, Nested):
        raise InputError(
            "data.splits is nested already; give the splits themselves, a learning curve makes its subsets"
        )
    if experiment.replicates.only:
        raise InputError("replicates.only does not go with a learning curve, which needs every model; set it to []")
    if isinstance(settings.threshold, str):
        if experiment.task.kind == "probability" and settings.primary not in WITHOUT_THRESHOLD:
            raise InputError(
                f"evaluation.threshold '{settings.threshold}' would be chosen anew at every size, on the cases that "
                f"judge; for a learning curve of '{settings.primary}' state a number"
            )
        settings = replace(settings, threshold=0.5)
    spec = Nested(shares, experiment.replicates.seeds, experiment.data.splits, experiment.seed)
    dataset = datasets.prepare(experiment.data.name, data_dir, experiment.data.origin)
    plan = partition(dataset, spec)
    if experiment.data.drop is not None:
        plan = drop.without(dataset, plan, drop.read(Path(experiment.data.drop)))
    kept, dropped = _enough(dataset, plan, spec.shares, _strata(experiment, dataset, plan), least)
    return replace(
        experiment,
        data=replace(experiment.data, splits=replace(spec, shares=kept)),
        replicates=replace(experiment.replicates, seeds=1),
        evaluation=replace(settings, test=False, reference=None, calibrate=0.0),
    ), dropped


def _strata(experiment: Experiment, dataset: datasets.Dataset, plan: Partition) -> dict[str, np.ndarray]:
    """Which development cases belong to which class, have and lack which label, or have a value."""
    task = resolve(experiment, dataset.classes).task
    if task.target not in dataset.targets:
        raise InputError(f"task.target names '{task.target}', but {dataset.name} has {', '.join(dataset.targets)}")
    source = development_source(dataset, plan)
    targets = np.array([source[row][task.target] for row in range(len(source))])
    if task.kind == "labels":
        named = {name: targets[:, k] for k, name in enumerate(task.classes)}
        return {
            f"{word} {name}": own == sign for name, own in named.items() for word, sign in (("with", 1), ("without", 0))
        }
    if task.kind == "value":
        return {"of known value": np.isfinite(targets)}
    return {f"of class {name}": targets == k for k, name in enumerate(task.classes)}


def _enough(
    dataset: datasets.Dataset, plan: Partition, shares: Sequence[float], strata: dict[str, np.ndarray], least: int
) -> tuple[tuple[float, ...], list[dict[str, Any]]]:
    """The shares whose every subset holds enough patients of every class that the largest subsets hold enough of."""
    group = np.unique(np.asarray(dataset.index.group)[plan.development], return_inverse=True)[1]
    sizes = _sizes(dataset, plan, shares)

    def fewest(number: int, cases: np.ndarray) -> int:
        rows = [part.train for part in plan.parts[number :: len(shares)]]
        return min(count_patients(group[one], cases[one]) for one in rows)

    wanted = {name: cases for name, cases in strata.items() if fewest(len(shares) - 1, cases) >= least}
    if not wanted:
        raise InputError(f"data.splits: some training set holds fewer than {least} patients of every class")
    kept, dropped = [], []
    for number, share in enumerate(shares):
        scarce = {name: count for name, cases in wanted.items() if (count := fewest(number, cases)) < least}
        if scarce:
            name = min(scarce, key=lambda name: scarce[name])
            reason = f"of {sizes[number]} patients a subset has only {scarce[name]} {name}; at least {least} are needed"
        elif number + 1 < len(shares) and sizes[number] == sizes[number + 1]:
            reason = f"it holds as many patients ({sizes[number]}) as the next one"
        else:
            kept.append(share)
            continue
        dropped.append({"share": share, "training_patients": sizes[number], "reason": reason})
    return tuple(kept), dropped


def _sizes(dataset: datasets.Dataset, plan: Partition, shares: Sequence[float]) -> list[int]:
    """Training patients at each share: in cross-validation the mean over folds."""
    group = np.asarray(dataset.index.group)[plan.development]
    counts = [len(np.unique(group[part.train])) for part in plan.parts]
    return [round(float(np.mean(counts[number :: len(shares)]))) for number in range(len(shares))]


# ---------------------------------------------------------------------------------------------------------------------
# Gathering
# ---------------------------------------------------------------------------------------------------------------------


def _spec(experiment: Experiment) -> Nested:
    spec = experiment.data.splits
    assert isinstance(spec, Nested)
    return spec


def _of_share(work: Job, spec: Nested, number: int, values: Sequence[np.ndarray]) -> Predictions:
    """What the models of one share predict for the cases that judge: a member a draw, in cross-validation out-of-fold."""
    folds = len(work.replicates) // (spec.draws * len(spec.shares))
    crossed = partition(work.dataset, spec.of).folds
    own = slice(number, None, len(spec.shares))
    models = [
        dataclasses.replace(model, seed_number=place // folds, fold=place % folds if crossed else -1)
        for place, model in enumerate(work.replicates[own])
    ]
    gather = results.out_of_fold if crossed else results.together
    return gather(replace(work, replicates=models), values[own], [model.held_out for model in models])


def _first_screen(work: Job, spec: Nested, workdir: Path) -> str:
    sizes = ", ".join(str(size) for size in _sizes(work.dataset, work.partition, spec.shares))
    folds = len(work.replicates) // (spec.draws * len(spec.shares))
    times = f" x {folds} folds" if folds > 1 else ""
    return (
        f"learning curve of {work.experiment.name} -> {workdir}\n"
        f"  patients  {sizes} for training; {spec.draws} seeds, each with its own nested subsets\n"
        f"  models    {len(work.replicates)}: {len(spec.shares)} sizes x {spec.draws} seeds{times}\n"
        f"  training  {work.total} steps of {work.batch} cases each, at every size"
    )


def _about(work: Job, spec: Nested, record: dict[str, Any]) -> dict[str, Any]:
    """Facts for the head of the table."""
    head = facts.about(work.experiment, record)
    folds = len(work.replicates) // (spec.draws * len(spec.shares))
    chosen = work.experiment.training.select if folds == 1 else None
    head.pop("folds", None)
    whole = max(len(model.train) for model in work.replicates)
    return (
        head
        | {
            "seeds": spec.draws,
            "judged_on": f"cases out-of-fold, {folds} folds" if folds > 1 else "validation cases",
            "steps": work.total,
            "batch": work.batch,
            "epochs_of_the_largest": round(work.total * min(work.batch, whole) / whole, 2),
            "cases": len(np.unique(np.concatenate([model.held_out for model in work.replicates]))),
        }
        | ({"chosen_on_the_same_cases": chosen} if chosen else {})
    )
