"""The `medjax` command: thin, one function a verb. Mistakes end in one message and exit code 2, without a traceback."""

import argparse
import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medjax.errors import InputError

MISTAKE, INTERRUPTED = 2, 143
PATHS = (  # errors of a path that somebody gave
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EEXIST, errno.ENAMETOOLONG,
)  # fmt: skip


def guarded(verb: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> int:
    """Run a verb and return the exit code: 0, 2 for a mistake, 143 for a run that a signal ended after saving."""
    from medjax.training.loop import Interrupted

    try:
        verb(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE
    except Interrupted as stop:
        print(f"{stop}; the same command continues the run", file=sys.stderr)
        return INTERRUPTED
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output (head, less) has left
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            print(
                f"error: the disk is full ({error.filename or 'while writing'}); make room and repeat", file=sys.stderr
            )
            return MISTAKE
        if error.errno in PATHS:
            print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
            return MISTAKE
        raise
    return 0


def train_command(arguments: argparse.Namespace) -> None:
    """Train, or show what would be trained."""
    from medjax import job, run
    from medjax.report import opening

    _keep_compilations()
    experiment = _experiment(arguments.config, arguments)
    workdir = arguments.workdir or Path("runs") / experiment.name
    if arguments.dry_run:
        print(opening.dry_run(job.build(experiment, arguments.data_dir), workdir))
        return
    for evaluation in run.train(experiment, workdir, data_dir=arguments.data_dir).values():
        _show(evaluation)
    print(f"run folder: {workdir}")


def evaluate_command(arguments: argparse.Namespace) -> None:
    """Evaluate a run on one of its splits, or on other data; or a table of predictions that any tool made."""
    if arguments.predictions is not None:
        _show(_evaluate_file(arguments))
        return
    if arguments.run is None:
        raise InputError("medjax evaluate needs a run folder, or --predictions FILE.csv")
    for name in ("positive", "primary", "threshold", "prevalence", "out"):
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
    )
    if arguments.out is not None:
        folder.write_json(arguments.out, result)
    print(contest_table(result))


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


def predict_command(arguments: argparse.Namespace) -> None:
    """Predict files: images, an npz, or a CSV of table rows."""
    from medjax import external, run

    _keep_compilations()
    model = run.load(arguments.run, arguments.config)
    for warning in model.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    text = external.prediction_csv(model, model.predict(external.read_inputs(model, arguments.inputs)))
    if arguments.out is None:
        print(text, end="")
        return
    from medjax.data.storage import write_atomically

    write_atomically(arguments.out, text.encode())
    print(f"{text.count(chr(10)) - 1} predictions: {arguments.out}", file=sys.stderr)


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
    dataset, parts = _dataset(arguments)
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

    dataset, parts = _dataset(arguments)
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
        group=arguments.group,
        positive=arguments.positive,
        on_error=arguments.on_error or "stop",
        folder=arguments.folder,
        force=arguments.force,
    )
    for note in notes:
        print(note)
    print(f"{path} is written; read it, then: python train.py --config {path}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the `medjax` command."""
    top = argparse.ArgumentParser(prog="medjax", description="Judge and use trained runs, and look at data sets.")
    verbs = top.add_subparsers(
        dest="verb", required=True, metavar="new | data | evaluate | compare | predict | report | learning-curve"
    )

    def verb(name: str, function: Callable, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        sub.add_argument("--data-dir", type=Path, help="folder of original data files (the environment's MEDJAX_DATA)")
        return sub

    sub = verb("new", new_command, "look at your own images or table, and write an experiment that trains on them")
    sub.add_argument("name", metavar="NAME", help="of the experiment; the file is configs/NAME.py")
    kind = sub.add_mutually_exclusive_group(required=True)
    kind.add_argument("--images", type=Path, help="folder with a folder of images a class, or a CSV that lists images")
    kind.add_argument("--table", type=Path, help="CSV with a header, one case a row; needs --target")
    sub.add_argument("--target", help="column of what is to be learnt; a,b,c: findings in a list of images")
    sub.add_argument("--group", help="column of the patient; with a folder of images a regular expression on the path")
    sub.add_argument("--positive", help="the positive class, where there are two")
    sub.add_argument("--folder", type=Path, default=Path("configs"), help="where to write it (%(default)s)")
    sub.add_argument("--force", action="store_true", help="write over a file of that name")
    sub.add_argument("--on-error", choices=["stop", "skip"], help="what an unusable case does (stop)")

    sub = verb(
        "evaluate",
        evaluate_command,
        "judge a finished run: on its validation cases, its sealed test set, or other data",
    )
    sub.add_argument("run", type=Path, nargs="?", help="run folder")
    sub.add_argument("--split", help="validation, out_of_fold or test; test opens the sealed set and writes that down")
    sub.add_argument("--data", help="other data for external validation: a data set's name, an npz or a CSV file")
    sub.add_argument("--target", help="target column of that CSV (default: the run's target)")
    sub.add_argument(
        "--config", type=Path, help="the experiment file, where it defines classes or functions of its own"
    )

    sub.add_argument(
        "--predictions", type=Path, metavar="FILE.csv",
        help="judge a table that any tool made: id, target, probability_<class> of every class; group is the patient",
    )  # fmt: skip
    sub.add_argument("--positive", help="with --predictions: the positive class, where there are two")
    sub.add_argument("--threshold", type=float, help="with --predictions: probability called positive (0.5)")
    sub.add_argument("--primary", help="with --predictions: the primary metric (auroc)")
    sub.add_argument(
        "--prevalence", type=float, action="append", metavar="SHARE",
        help="with --predictions: PPV and NPV also at this prevalence; repeatable",
    )  # fmt: skip
    sub.add_argument("--out", type=Path, help="with --predictions: JSON file to write the evaluation to")

    sub = verb("compare", compare_command, "compare runs, or tables of predictions, on the same cases")
    sub.add_argument("entries", nargs="+", type=Path, metavar="RUN|FILE.csv", help="run folders or prediction files")
    sub.add_argument("--split", help="whose predictions of the runs (the first of out_of_fold, test, validation)")
    sub.add_argument("--primary", help="the one declared primary metric (that of the first run)")
    sub.add_argument("--positive", help="the positive class, where there are two (that of the first run)")
    sub.add_argument("--margin", type=float, help="largest acceptable loss of the primary metric, stated beforehand")
    sub.add_argument("--reference", help="the entry that all others are compared with (every pair)")
    sub.add_argument("--out", type=Path, help="JSON file to write the comparison to")

    sub = verb("report", report_command, "write report.html, a model card and reporting checklists into a run folder")
    sub.add_argument("run", type=Path, help="run folder")
    sub.add_argument("--study", type=Path, help="study.toml: what no run can know (intended use, eligibility, ...)")
    sub.add_argument("--split", help="what to report (the first of test, external, out_of_fold, validation)")
    sub.add_argument(
        "--learning-curve", type=Path, metavar="RUN", help="folder of its learning curve, to be shown as well"
    )
    sub.add_argument(
        "--config", type=Path, help="the experiment file, where it defines classes or functions of its own"
    )

    sub = verb(
        "learning-curve",
        learning_curve_command,
        "train on growing parts of the training patients; are more of them needed?",
    )
    sub.add_argument("--config", type=Path, required=True, help="the experiment file")
    sub.add_argument("--workdir", type=Path, help="run folder (runs/NAME_curve)")
    sub.add_argument("--shares", help="of the training patients, for example .1,.25,.5,1")
    sub.add_argument("--gain", type=float, help="improvement of the primary metric that would matter (.01)")
    add_experiment_options(sub)

    sub = verb("predict", predict_command, "predict image files, an npz, or the rows of a CSV")
    sub.add_argument("run", type=Path, help="run folder")
    sub.add_argument(
        "inputs", nargs="+", type=Path, metavar="INPUT", help="image files, an npz, or a CSV of table rows"
    )
    sub.add_argument("--out", type=Path, help="CSV to write (default: print it)")
    sub.add_argument(
        "--config", type=Path, help="the experiment file, where it defines classes or functions of its own"
    )

    sub = verb("data", data_command, "list, prepare, describe or audit data sets")
    sub.add_argument("action", choices=["list", "prepare", "describe", "audit"])
    sub.add_argument(
        "name", nargs="?", metavar="NAME",
        help="a data set, as `medjax data list` shows them, or the experiment file that reads your own; audit: or a run",
    )  # fmt: skip
    sub.add_argument("--sheet", type=Path, help="PNG that describe or audit writes (NAME.png, NAME_suspects.png)")
    sub.add_argument("--quick", action="store_true", help="audit: only what the index tells, without reading inputs")
    sub.add_argument(
        "--after",
        action="append",
        metavar="COLUMN",
        help="audit: a column known only after prediction time; repeatable",
    )
    sub.add_argument("--drop", type=Path, help="audit: write the suspects that training should leave out (data.drop)")
    add_experiment_options(sub)
    return top


def add_experiment_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that change an experiment file's experiment."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY.SUB=VALUE", dest="assignments",
        help="change a key of the experiment, for example --set training.batch_size=32; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--on-error", choices=["stop", "skip"],
        help="what an unusable case of your own data does: stop with a message, or be left out, listed and counted",
    )  # fmt: skip


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


def _dataset(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Prepare the data set of that name, or of that experiment file; then with the experiment's parts."""
    from medjax.data.dataset import prepare
    from medjax.data.partition import partition

    if not arguments.name.endswith(".py"):
        if arguments.assignments or arguments.on_error:
            raise InputError("--set and --on-error change an experiment file; give its path as NAME")
        return prepare(arguments.name, arguments.data_dir), None
    data = _experiment(Path(arguments.name), arguments).data
    dataset = prepare(data.name, arguments.data_dir, data.origin)
    return dataset, partition(dataset, data.splits)


def main() -> int:
    """Run the `medjax` command."""
    arguments = parser().parse_args()
    return guarded(arguments.function, arguments)


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
