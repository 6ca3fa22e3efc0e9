"""What each verb of the command line does: arguments in, words and files out; the work is done elsewhere."""

import argparse
import sys
from pathlib import Path
from typing import Any

from medjax.errors import InputError


def train_command(arguments: argparse.Namespace) -> None:
    """Train, or show what would be trained."""
    from medjax import job, run
    from medjax.report import opening
    from medjax.training import processes

    processes.start(arguments.coordinator, arguments.processes, arguments.process, arguments.distributed)
    _keep_compilations()
    experiment = _experiment(arguments.config, arguments)
    workdir = arguments.workdir or Path("runs") / experiment.name
    if arguments.dry_run:
        print(opening.dry_run(job.build(experiment, arguments.data_dir), workdir))
        return
    for evaluation in run.train(experiment, workdir, data_dir=arguments.data_dir, profile=arguments.profile).values():
        _show(evaluation)
    if processes.first():
        print(f"run folder: {workdir}")


def evaluate_command(arguments: argparse.Namespace) -> None:
    """Evaluate a run on one of its splits, or on other data; or a table of predictions that any tool made."""
    if arguments.predictions is not None:
        _show(_evaluate_file(arguments))
        return
    if arguments.run is None:
        raise InputError("medjax evaluate needs a run folder, or --predictions FILE.csv")
    for name in ("positive", "primary", "threshold", "prevalence", "horizon", "out"):
        if getattr(arguments, name) is not None:
            raise InputError(f"--{name} goes with --predictions; a run is judged under the plan that it froze")
    from medjax import external, run

    _keep_compilations()
    if arguments.data is None:
        evaluation = run.evaluate(
            arguments.run, arguments.split, data_dir=arguments.data_dir, config_file=arguments.config
        )
    else:
        if arguments.split is not None:
            raise InputError("give either --split (of the run's own data) or --data (other data), not both")
        model = run.load(arguments.run, arguments.config)
        cases = external.cases(model, arguments.data, arguments.target, arguments.data_dir)
        evaluation = run.evaluate_external(
            arguments.run, cases, arguments.data, data_dir=arguments.data_dir, config_file=arguments.config
        )
    _show(evaluation)


def _evaluate_file(arguments: argparse.Namespace) -> dict[str, Any]:
    """Judge a table of predictions, and write what was found where that is asked for."""
    from medjax import folder, judge

    for name in ("run", "split", "data", "target", "config"):
        if getattr(arguments, name) is not None:
            raise InputError(
                f"--predictions FILE.csv needs no run and no --{name}; leave {getattr(arguments, name)} out"
            )
    evaluation = judge.evaluate_file(
        arguments.predictions,
        positive=arguments.positive,
        threshold=0.5 if arguments.threshold is None else arguments.threshold,
        primary=arguments.primary,
        prevalences=arguments.prevalence or (),
        horizons=arguments.horizon or (),
    )
    if arguments.out is not None:
        folder.write_json(arguments.out, evaluation)
    return evaluation


def compare_command(arguments: argparse.Namespace) -> None:
    """Compare runs or tables of predictions on the same cases."""
    from medjax import folder, judge
    from medjax.report.contest_table import contest_table

    result = judge.compare(
        arguments.entries,
        split=arguments.split,
        primary=arguments.primary,
        positive=arguments.positive,
        margin=arguments.margin,
        reference=arguments.reference,
        horizons=arguments.horizon or (),
    )
    if arguments.out is not None:
        folder.write_json(arguments.out, result)
    print(contest_table(result))


def treatment_command(arguments: argparse.Namespace) -> None:
    """Value the rule to treat whoever the models predict to gain."""
    from medjax import folder, treatment
    from medjax.report.treatment_table import treatment_table

    _keep_compilations()
    result = treatment.treatment(
        arguments.run,
        arguments.column,
        arguments.split,
        until=arguments.until,
        data_dir=arguments.data_dir,
        config_file=arguments.config,
    )
    print(treatment_table(result))
    print(f"for medjax report: {arguments.run / folder.treatment(arguments.split)}")


def report_command(arguments: argparse.Namespace) -> None:
    """Write a run's report, model card and checklists into its folder."""
    from medjax.report import page
    from medjax.report.thumbnails import thumbnails

    pictures, run = None, arguments.run
    page.reading.read(run, arguments.split)  # a mistake in these is named before any data are read
    try:
        pictures = thumbnails(run, data_dir=arguments.data_dir, config_file=arguments.config)
    except InputError as error:
        print(f"no pictures of single cases: {error}", file=sys.stderr)
    for path in page.write(
        run, study=arguments.study, split=arguments.split, thumbnails=pictures, learning_curve=arguments.learning_curve
    )[:4]:
        print(path)


def learning_curve_command(arguments: argparse.Namespace) -> None:
    """Train on growing parts of the training patients, and say what more of them would give."""
    from medjax import learning
    from medjax.report.learning_curve_table import learning_curve_table

    _keep_compilations()
    experiment = _experiment(arguments.config, arguments)
    workdir = arguments.workdir or Path("runs") / f"{experiment.name}_curve"
    shares = learning.SHARES if arguments.shares is None else learning.parse_shares(arguments.shares)
    curve = learning.learning_curve(experiment, workdir, shares, gain=arguments.gain, data_dir=arguments.data_dir)
    print(learning_curve_table(curve))
    print(f"run folder: {workdir}")


def sweep_command(arguments: argparse.Namespace) -> None:
    """Train the trials of a grid beside each other and choose one on validation; or list commands, one a program."""
    from medjax import sweep
    from medjax.report.sweep_table import sweep_table
    from medjax.training import processes

    processes.start(arguments.coordinator, arguments.processes, arguments.process, arguments.distributed)
    _keep_compilations()
    grid = sweep.parse_grid(arguments.grid)
    experiment = _experiment(arguments.config, arguments)
    workdir = arguments.workdir or Path("runs") / f"{experiment.name}_sweep"
    if apart := [key for key in grid if not sweep.is_number(key)]:
        lines = sweep.commands(arguments.config, arguments.assignments, grid, workdir)
        for line in lines:
            print(line)
        print(
            f"{', '.join(apart)} changes the program: {len(lines)} commands, above; as a Slurm array put them into a file "
            "and run line SLURM_ARRAY_TASK_ID + 1 of it (launch/slurm_array.sh)",
            file=sys.stderr,
        )
        return
    result = sweep.sweep(experiment, workdir, grid, data_dir=arguments.data_dir)
    if processes.first():
        print(sweep_table(result))
        words = [f"--set {one}" for one in (*arguments.assignments, *result["chosen"])]
        print(f"\ntrain it:  python train.py --config {arguments.config} {' '.join(words)}")
        print(f"run folder: {workdir}")


def memory_command(arguments: argparse.Namespace) -> None:
    """Find how the training step fits into memory; nothing is trained or written."""
    from medjax import memory
    from medjax.report.memory_table import memory_table

    experiment = _experiment(arguments.config, arguments)
    fit = memory.search(
        experiment, arguments.memory, data_dir=arguments.data_dir, tell=lambda line: print(line, file=sys.stderr)
    )
    print(memory_table(fit))
    words = [f"--set {one}" for one in (*arguments.assignments, *fit.assignments)]
    as_it_is = "" if fit.assignments else " (it fits as it is)"
    print(f"\ntrain it{as_it_is}:  {' '.join(['python train.py --config', str(arguments.config), *words])}")


def predict_command(arguments: argparse.Namespace) -> None:
    """Predict files: images, an npz, or a CSV of table rows; or segment scans and images into label maps."""
    from medjax import external, run

    _keep_compilations()
    model = run.load(arguments.run, arguments.config)
    for warning in model.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if model.experiment.task.kind == "segmentation":
        _segment(model, arguments)
        return
    text = external.prediction_csv(model, model.predict(external.read_inputs(model, arguments.inputs)))
    for note in external.unknown_levels(model, arguments.inputs):
        print(f"warning: {note}", file=sys.stderr)
    if arguments.out is None:
        print(text, end="")
        return
    from medjax.data.storage import write_atomically

    write_atomically(arguments.out, text.encode())
    print(f"{text.count(chr(10)) - 1} predictions: {arguments.out}", file=sys.stderr)


def _segment(model: Any, arguments: argparse.Namespace) -> None:
    """Segment files, and write a label map for each."""
    from medjax.segmentation import label_files
    from medjax.segmentation.segmenter import Segmenter, load_largest

    if arguments.out is None:
        raise InputError("a segmentation needs --out: a file for one input (seg.nii.gz), a folder for several")
    segmenter = Segmenter(model, load_largest(model.record["plan"]))
    for path in label_files.segment_files(segmenter, arguments.inputs, arguments.out):
        print(f"label map: {path}", file=sys.stderr)


def plan_command(arguments: argparse.Namespace) -> None:
    """Look at the cases that training may see, and propose every setting of a segmentation with its reason."""
    import jax

    from medjax.data.partition import development_source, partition
    from medjax.experiment import resolve
    from medjax.segmentation import planner

    experiment = _experiment(arguments.config, arguments)
    if experiment.task.kind != "segmentation":
        raise InputError(
            f"{arguments.config}: settings are planned for a Segmentation, not for {type(experiment.task).__name__}"
        )
    dataset, _ = _dataset(str(arguments.config), arguments)
    experiment = resolve(experiment, dataset.classes, dataset.columns, dataset.codes)
    cases = development_source(dataset, partition(dataset, experiment.data.splits))
    found = planner.fingerprint(cases, experiment.task.classes, experiment.task.target)
    platform = jax.default_backend()
    memory = arguments.memory
    if memory is None:
        limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0)
        memory = 0.8 * limit / 2**30 if limit else 4.0
    print(planner.described(found, planner.propose(found, memory, platform)))


def data_command(arguments: argparse.Namespace) -> None:
    """List, prepare, describe or audit data sets."""
    from medjax.report import data

    if arguments.action == "list":
        print(data.listing())
        return
    if arguments.name is None:
        raise InputError(f"medjax data {arguments.action} needs the NAME of a data set; `medjax data list` shows them")
    if arguments.action == "audit" and not arguments.quick:
        _audit(arguments)
        return
    if arguments.drop is not None:
        raise InputError(
            "--drop lists the suspects of a deep audit: medjax data audit NAME --drop FILE, without --quick"
        )
    if arguments.action == "describe" and arguments.name.lower().endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz")):
        from medjax.report.schema import schema

        print(schema(Path(arguments.name), arguments.target, arguments.group))
        return
    if arguments.target is not None or arguments.group is not None:
        raise InputError("--target and --group describe a CSV: medjax data describe FILE.csv --target COLUMN")
    dataset, parts = _dataset(arguments.name, arguments)
    if arguments.action == "describe":
        text, sheet = data.described(dataset, parts)
        print(text)
        _write_sheet(sheet, arguments.sheet or Path(f"{dataset.name}.png"))
    else:
        print((data.prepared if arguments.action == "prepare" else data.audited)(dataset, parts))


def _audit(arguments: argparse.Namespace) -> None:
    """Audit a data set, or that of a run together with what its suspects are worth in the run's results."""
    from medjax.data import drop

    run, after = Path(arguments.name), arguments.after or ()
    if run.is_dir():
        from medjax import suspects

        if arguments.assignments or arguments.on_error or arguments.drop:
            raise InputError(
                f"{run} is a run, whose data are audited as they are; --set, --on-error and --drop go with NAME"
            )
        print(suspects.audit_run(run, after=after, data_dir=arguments.data_dir).text)
        print(f"for medjax report: {run / 'report'}")
        return
    from medjax.report import audit

    dataset, parts = _dataset(arguments.name, arguments)
    if arguments.against is not None:
        if arguments.drop or arguments.after:
            raise InputError("--against compares two data sets; --drop and --after belong to the audit of one")
        text, sheet = audit.against(dataset, _dataset(arguments.against, arguments)[0])
        print(text)
        _write_sheet(sheet, arguments.sheet or Path(f"{dataset.name}_suspects.png"))
        return
    found = audit.audited(dataset, parts, after=after)
    print(found.text)
    _write_sheet(found.sheet, arguments.sheet or Path(f"{dataset.name}_suspects.png"))
    if arguments.drop is not None:
        from medjax.data.storage import write_atomically

        write_atomically(arguments.drop, drop.written(dataset, found.twins, parts).encode())
        print(f"cases for data.drop: {arguments.drop}")


def _write_sheet(sheet: bytes | None, path: Path) -> None:
    if sheet is not None:
        from medjax.data.storage import write_atomically

        write_atomically(path, sheet)
        print(f"contact sheet: {path}")


def new_command(arguments: argparse.Namespace) -> None:
    """Look at one's own data and write an experiment for it."""
    from medjax import new

    path, notes = new.write(
        arguments.name,
        images=arguments.images,
        table=arguments.table,
        target=arguments.target,
        event=arguments.event,
        group=arguments.group,
        positive=arguments.positive,
        on_error=arguments.on_error or "stop",
        folder=arguments.folder,
        force=arguments.force,
    )
    for note in notes:
        print(note)
    print(f"{path} is written; read it, then: python train.py --config {path}")


def _experiment(path: Path, arguments: argparse.Namespace) -> Any:
    """Load an experiment file, with what the command line changes in it."""
    from medjax import config
    from medjax.experiment import Experiment

    experiment = config.load_experiment(path, arguments.assignments)
    if not isinstance(experiment, Experiment):
        raise InputError(f"{path}: 'experiment' is a {type(experiment).__name__}, not an Experiment")
    if arguments.on_error is None:
        return experiment
    if experiment.data.origin is None:
        raise InputError(f"--on-error is for your own data; '{experiment.data.name}' is a known data set")
    return config.override(experiment, [f"data.origin.on_error={arguments.on_error}"])


def _dataset(name: str, arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Prepare the data set of that name, or of that experiment file; then with the experiment's parts."""
    from medjax.data.dataset import prepare
    from medjax.data.partition import partition

    if not name.endswith(".py"):
        if arguments.assignments or arguments.on_error:
            raise InputError("--set and --on-error change an experiment file; give its path as NAME")
        return prepare(name, arguments.data_dir), None
    data = _experiment(Path(name), arguments).data
    dataset = prepare(data.name, arguments.data_dir, data.origin)
    return dataset, partition(dataset, data.splits)


def _keep_compilations() -> None:
    """Keep compiled programs in the cache, so that the same command starts faster the next time; JAX's own settings win."""
    import jax

    from medjax.data.storage import cache_dir

    if getattr(jax.config, "jax_compilation_cache_dir", None) is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _show(evaluation: dict[str, Any]) -> None:
    from medjax.report.subgroup_table import subgroup_lines
    from medjax.report.table import results_table

    print(results_table(evaluation))
    if lines := subgroup_lines(evaluation.get("subgroups") or {}):
        print("\n".join(lines) + "\n")
