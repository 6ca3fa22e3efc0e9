"""The story of a run, top-down: train, then judge; later evaluate again, or open the sealed test set."""

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medjax import facts, folder, job, judging, results
from medjax.data import dataset as datasets
from medjax.data import ledger
from medjax.data.case import Case, fingerprint
from medjax.data.partition import test_source
from medjax.data.source import MemorySource, Source
from medjax.data.split import Nested, split_fingerprint
from medjax.errors import InputError
from medjax.evidence.prediction_files import write_csv
from medjax.evidence.predictions import Predictions
from medjax.experiment import Experiment
from medjax.fit import fit
from medjax.job import Job
from medjax.judging import outputs
from medjax.layout import Prepared
from medjax.predictor import Predictor, load
from medjax.report import opening
from medjax.report.screen import Screen, Silent
from medjax.results import Plan
from medjax.training import processes
from medjax.training.state import final_variables


def train(
    experiment: Experiment,
    workdir: Path | str,
    *,
    data_dir: Path | None = None,
    screen: Screen | None = None,
    profile: bool = False,
) -> dict[str, Any]:
    """Train an experiment in a run folder, or continue the unfinished run that lies there; then judge it.

    Several processes predict together, each on its own devices; the first one alone computes the evidence and writes it.

    Args:
        experiment: what to run.
        workdir: the run folder.
        data_dir: folder of original data files; None: MEDJAX_DATA.
        screen: where to report progress; None: standard error.
        profile: whether to trace some steps into the run folder, and to say which operations took most of the time.

    Returns:
        The evaluations by split, as in `evaluation/<split>.json`; in all but the first of several processes none.

    Raises:
        InputError: something a person can mend; what was saved before stays.
        Interrupted: SIGTERM or Ctrl-C; the state is saved, and the same call continues.
    """
    if isinstance(experiment.data.splits, Nested):
        raise InputError(
            "data.splits Nested trains on parts of the patients; `medjax learning-curve` makes and uses it"
        )
    began, workdir = time.monotonic(), Path(workdir)
    screen = (screen or Screen()) if processes.first() else Silent()
    work = job.build(experiment, data_dir)
    with processes.first_then_others("record"):
        record = facts.begin(work, workdir)
    if record.get("finished"):
        screen.say(f"{workdir} holds this run, finished; give another --workdir to train it again")
        return evaluations(workdir) if processes.first() else {}
    earlier = record.get("seconds", 0.0)
    screen.say(opening.first_screen(work, workdir))

    state = fit(work, workdir, record, screen, began, profile)
    model = Predictor(work.experiment, record, final_variables(state), state.fitted)
    plan = _freeze(work, model, workdir)
    record |= {"plan": plan.content, "plan_hash": plan.hash}
    if processes.first():
        folder.write_json(workdir / folder.RECORD, record)
    for split in _open_splits(work):
        _judge_development(work, model, plan, split, workdir)
    if work.experiment.evaluation.test:
        _judge_test(work, model, plan, workdir, None)
    if not processes.first():
        return {}
    record |= {
        "finished": facts.now(),
        "seconds": round(earlier + time.monotonic() - began, 1),
        "memory": facts.peak_memory(),
    }
    folder.write_json(workdir / folder.RECORD, record)
    return evaluations(workdir)


def evaluate(
    run: Path | str,
    split: str | None = None,
    *,
    data_dir: Path | None = None,
    config_file: Path | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """Evaluate a finished run on one of its own splits.

    Args:
        run: the run folder.
        split: "validation", "out_of_fold" or "test"; "test" opens the sealed test set and writes that down first.
            None: the first that the run has.
        data_dir: folder of original data files; None: MEDJAX_DATA.
        config_file: the configuration file, where it defines its own classes or functions.
        command: what to write into the ledger; None: this process's command line.

    Returns:
        The evaluation, as written to `evaluation/<split>.json`.
    """
    run, model = Path(run), load(run, config_file)
    work = job.build(model.experiment, data_dir)
    if facts.describe_data(work) != {"codes": []} | model.record["data"]:  # runs of before there were codes
        raise InputError(f"{run}: the data set or its splits are not the ones that this run was trained on")
    known = [*_open_splits(work), *(["test"] if len(work.partition.test) else [])]
    split = split or known[0]
    if split not in known:
        raise InputError(f"this run has no split '{split}'; it has {', '.join(known)}")
    plan = Plan(model.record["plan"])
    if split == "test":
        return _judge_test(work, model, plan, run, command)
    return _judge_development(work, model, plan, split, run)


def evaluate_external(
    run: Path | str, cases: Source, name: str, *, data_dir: Path | None = None, config_file: Path | None = None
) -> dict[str, Any]:
    """Evaluate a finished run, under its frozen plan, on cases from elsewhere that carry the target.

    Args:
        run: the run folder.
        cases: the new cases.
        name: of these data, for the files and the table.
        data_dir: folder of original data files of the run's own data; None: MEDJAX_DATA.
        config_file: the configuration file, where it defines its own classes or functions.
    """
    run, model = Path(run), load(run, config_file)
    target = model.experiment.task.target
    listed = [cases[i] for i in range(len(cases))]
    for case in listed:
        if target not in case:
            raise InputError(f"{name}: case '{case.get('id')}' has no '{target}', so there is nothing to compare with")
    plan = Plan(model.record["plan"])
    found = judging.of(model.experiment.task).elsewhere(model, plan, MemorySource(listed))
    about = {**facts.about(model.experiment, model.record), "data": name, "title": f"{model.experiment.name} on {name}"}
    for key in ("missing", "duplicates", "patients", "folds"):
        about.pop(key, None)
    if len(model.record["replicates"]) > 1:
        about["title"] += f", mean of {len(model.record['replicates'])} models"
    try:
        if seen := _seen(model, listed, data_dir):
            about["leak"] = (
                f"{seen} of {len(listed)} cases are identical to cases of the data that this run was trained on"
            )
    except InputError as error:  # whoever validates elsewhere need not have the training data
        about["unchecked"] = (
            f"whether any of these cases was trained on, since the run's own data are not here: {error}"
        )
    if all(case.get("group", case["id"]) == case["id"] for case in listed):
        about["patients"] = "patients unknown (taken as independent)"
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(name).stem)
    return _judge(model.experiment, plan, found, f"external_{safe}", run, about)


def _seen(model: Predictor, cases: Sequence[Case], data_dir: Path | None) -> int:
    """Count the cases whose inputs are those of a case of the run's own data set; by their fingerprints in its index."""
    own = datasets.prepare(model.record["data"]["name"], data_dir, model.experiment.data.origin)
    known = set(own.index.fingerprint.tolist())
    return sum(fingerprint(case, own.inputs) in known for case in cases)


def evaluations(run: Path | str) -> dict[str, Any]:
    """Read the evaluations of a run, by split."""
    return {path.stem: folder.read_json(path) for path in sorted((Path(run) / "evaluation").glob("*.json"))}


# ---------------------------------------------------------------------------------------------------------------------
# Judging
# ---------------------------------------------------------------------------------------------------------------------


def _open_splits(work: Job) -> list[str]:
    if work.partition.folds:
        return ["out_of_fold"]
    return ["validation"] if len(work.partition.parts[0].validation) else []


def _freeze(work: Job, model: Predictor, run: Path) -> Plan:
    """Fix what no later look may change: threshold, recalibration, and what the kind of task adds."""
    settings, choosing, apart = work.experiment.evaluation, None, None
    if isinstance(settings.threshold, str) and not work.partition.folds:
        choosing = outputs.predictions(work, model, "validation")
    if settings.calibrate:
        apart = outputs.predictions(work, model, "calibration")
        if processes.first():
            write_csv(run / folder.predictions("calibration"), apart)
    plan = results.freeze(work.experiment, choosing, model.record["data"]["fingerprint"], model.digest, apart)
    return judging.of(work.experiment.task).freeze(work, model, plan)


def _judge_development(work: Job, model: Predictor, plan: Plan, split: str, run: Path) -> dict[str, Any]:
    found = judging.of(work.experiment.task).development(work, model, plan, split)
    compared = results.references(work, split, found.predictions)
    return _judge(work.experiment, plan, found, split, run, facts.about(work.experiment, model.record), compared)


def _judge_test(work: Job, model: Predictor, plan: Plan, run: Path, command: str | None) -> dict[str, Any]:
    source, opened = open_test(work, model, plan, run, command)
    found = judging.of(work.experiment.task).elsewhere(model, plan, source)
    behind = Prepared(source, work.source.pipeline)
    compared = results.references(work, "test", found.predictions, (behind[i] for i in range(len(behind))))
    about = facts.about(work.experiment, model.record)
    return _judge(work.experiment, plan, found, "test", run, about, compared, opened)


def _judge(
    experiment: Experiment,
    plan: Plan,
    found: judging.Found,
    name: str,
    run: Path,
    about: dict[str, Any],
    compared: dict[str, Predictions] | None = None,
    opened: ledger.Opening | None = None,
) -> dict[str, Any]:
    if processes.first():
        found.keep(run, name)
    return results.judge(
        experiment, plan, found.predictions, name, run, {**about, **found.about}, compared=compared, opening=opened
    )


def open_test(
    work: Job, model: Predictor, plan: Plan, run: Path, command: str | None = None
) -> tuple[Source, ledger.Opening | None]:
    """Open the sealed test set: the opening lies in both ledgers, on disk, before any process can read the first case.

    Openings are counted by the content of the test cases, across runs: beside the prepared data lies the second ledger.
    Several processes open it together, and the first one writes that down; the others get no opening.
    """
    if not len(work.partition.test):
        raise InputError(f"{work.dataset.name} has no test set under data.splits; nothing can be opened")
    rows = work.partition.test
    split = split_fingerprint(np.asarray(work.dataset.index.fingerprint)[rows], np.full(len(rows), "test"))
    opened = None
    if processes.first():
        opened = ledger.record_opening(
            [run / folder.LEDGER, ledger.ledger_path(split)],
            command=command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            plan=plan.hash,
            split=split,
            model=model.digest,
        )
    processes.wait("opening of the test set")
    return test_source(work.dataset, work.partition), opened


__all__ = ["evaluate", "evaluate_external", "evaluations", "load", "open_test", "train"]
