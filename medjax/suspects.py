"""The deep leak audit of a finished run: of its own parts, and what its suspects are worth in its own results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medjax import config, folder
from medjax.data import drop
from medjax.data.dataset import fingerprint, prepare
from medjax.data.partition import partition
from medjax.data.storage import write_atomically
from medjax.data.twins import judged
from medjax.errors import InputError
from medjax.evidence.prediction_files import read_csv
from medjax.report.audit import Audited, audited
from medjax.report.examination import without
from medjax.report.worth import worth_lines

_JUDGED = {"validation": "validation", "test": "test", "out_of_fold": None}  # split -> where a twin of it lies


def audit_run(
    run: Path, *, after: Sequence[str] = (), data_dir: Path | None = None, config_file: Path | None = None
) -> Audited:
    """Audit the data of a run as it was parted, judge its stored predictions with and without the suspects, and keep both.

    A suspect is a judged case with a near-duplicate among the cases that trained the models which judged it; cases that
    training left out (`data.drop`) make nobody suspect. Writes `report/audit.json` and `report/suspects.png` into the run
    folder, where `medjax report` finds them.

    Args:
        run: the run folder.
        after: columns that are known only after the time of prediction.
        data_dir: folder of original data files; None: MEDJAX_DATA.
        config_file: the configuration file, where it defines its own classes or functions.

    Raises:
        InputError: no finished run, or its data are not the ones it was trained on.
    """
    if config_file is not None:
        config.load_experiment(config_file)
    record = folder.read_json(run / folder.RECORD)
    if not record.get("finished"):
        raise InputError(f"{run}: this run is not finished; the command that started it continues it")
    experiment = config.decode(folder.read_json(run / folder.CONFIG))
    dataset = prepare(experiment.data.name, data_dir, experiment.data.origin)
    if fingerprint(dataset) != record["data"]["fingerprint"]:
        raise InputError(f"{run}: the data set is not the one that this run was trained on; nothing can be audited")
    plan = partition(dataset, experiment.data.splits)
    left_out = () if experiment.data.drop is None else drop.read(Path(experiment.data.drop))
    found = audited(dataset, plan, after=after)
    task, settings = experiment.task, experiment.evaluation
    arguments = {
        "positive": task.positive_index if len(task.classes) == 2 else None,
        "threshold": record["plan"]["threshold"],
        "primary": settings.primary,
        "resamples": settings.resamples,
        "seed": experiment.seed,
    }
    worth = {}
    for split, part in _JUDGED.items():
        if (run / folder.predictions(split)).exists():
            ids = judged(found.twins, part, left_out)
            worth[split] = _summary(without(read_csv(run / folder.predictions(split)), ids, **arguments))
    result: dict[str, Any] = found.result | {"dropped": len(left_out), "worth": worth}
    folder.write_json(run / folder.AUDIT, result)
    if found.sheet is not None:
        write_atomically(run / folder.SUSPECTS, found.sheet)
    return found._replace(text="\n".join([found.text, *worth_lines(worth)]), result=result)


def _summary(found: dict[str, Any]) -> dict[str, Any]:
    """The metrics of both evaluations side by side; the rest of them stands in `evaluation/`."""
    rest = found["without"]
    return {
        "cases": found["all"]["counts"]["cases"],
        "left_out": found["left_out"],
        "primary": found["all"]["primary"],
        "threshold": found["all"].get("threshold"),
        "reason": found["reason"],
        "metrics": {
            name: {"all": entry, "without": None if rest is None else rest["metrics"][name]}
            for name, entry in found["all"]["metrics"].items()
        },
    }
