"""The `medjax` command: how it is typed, and how it ends: mistakes in one message and exit code 2, without a traceback."""

import argparse
import errno
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from medjax.errors import InputError
from medjax.pages import start_with_large_pages
from medjax.verbs import (
    compare_command,
    data_command,
    evaluate_command,
    learning_curve_command,
    memory_command,
    new_command,
    plan_command,
    predict_command,
    report_command,
    sweep_command,
    treatment_command,
)

MISTAKE, INTERRUPTED = 2, 143
PATHS = (  # errors of a path that somebody gave
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EEXIST, errno.ENAMETOOLONG,
)  # fmt: skip


def guarded(verb: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> int:
    """Run a verb and return the exit code: 0, 2 for a mistake, 143 for a run that a signal ended after saving, 3 for a
    process whose run another process ended."""
    from medjax.training import processes

    try:
        code = _guarded(verb, arguments)
    except Exception as error:
        if not processes.several():
            raise
        message = processes.lost(error)
        print(f"error: {message}" if message else traceback.format_exc(), file=sys.stderr)
        code = processes.LOST if message else 1
    return processes.leave(code)


def _guarded(verb: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> int:
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


def parser() -> argparse.ArgumentParser:
    """Return the parser of the `medjax` command."""
    top = argparse.ArgumentParser(prog="medjax", description="Judge and use trained runs, and look at data sets.")
    verbs = top.add_subparsers(
        dest="verb",
        required=True,
        metavar="new | plan | data | evaluate | compare | predict | report | learning-curve | sweep | memory",
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
    sub.add_argument("--event", help="with --table: column that says how the time --target ended (0 censored, 1 event)")
    sub.add_argument("--group", help="column of the patient; with a folder of images a regular expression on the path")
    sub.add_argument("--positive", help="the positive class, where there are two")
    sub.add_argument("--folder", type=Path, default=Path("configs"), help="where to write it (%(default)s)")
    sub.add_argument("--force", action="store_true", help="write over a file of that name")
    sub.add_argument("--on-error", choices=["stop", "skip"], help="what an unusable case does (stop)")

    sub = verb("plan", plan_command, "propose the settings of a segmentation from its data, each with its reason")
    sub.add_argument("config", type=Path, metavar="CONFIG", help="the experiment file that names data, splits and task")
    sub.add_argument(
        "--memory", type=float, metavar="GIB", help="of a training step (4; on an accelerator most of its own)"
    )
    add_experiment_options(sub)

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
    sub.add_argument(
        "--horizon", type=float, action="append", metavar="TIME",
        help="with --predictions of times to an event: judge the curves at this time; repeatable",
    )  # fmt: skip
    sub.add_argument("--out", type=Path, help="with --predictions: JSON file to write the evaluation to")

    sub = verb("compare", compare_command, "compare runs, or tables of predictions, on the same cases")
    sub.add_argument("entries", nargs="+", type=Path, metavar="RUN|FILE.csv", help="run folders or prediction files")
    sub.add_argument("--split", help="whose predictions of the runs (the first of out_of_fold, test, validation)")
    sub.add_argument("--primary", help="the one declared primary metric (that of the first run)")
    sub.add_argument("--positive", help="the positive class, where there are two (that of the first run)")
    sub.add_argument("--margin", type=float, help="largest acceptable loss of the primary metric, stated beforehand")
    sub.add_argument("--reference", help="the entry that all others are compared with (every pair)")
    sub.add_argument(
        "--horizon", type=float, action="append", metavar="TIME",
        help="of times to an event: judge the curves at this time; repeatable (those of the first run)",
    )  # fmt: skip
    sub.add_argument("--out", type=Path, help="JSON file to write the comparison to")

    sub = verb(
        "treatment", treatment_command, "value a survival run's recommendation: treat whoever it predicts to gain"
    )
    sub.add_argument("run", type=Path, help="run folder of a survival task on a table")
    sub.add_argument("--column", required=True, help="the input that says who was treated, 1 or 0")
    sub.add_argument("--split", default="validation", help="validation (default) or test, which opens the sealed set")
    sub.add_argument("--until", type=float, help="up to which time the mean counts (the task's until)")
    sub.add_argument(
        "--config", type=Path, help="the experiment file, where it defines classes or functions of its own"
    )

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

    sub = verb("sweep", sweep_command, "train the trials of a grid in one program, and choose one on validation cases")
    sub.add_argument("--config", type=Path, required=True, help="the experiment file")
    sub.add_argument("--workdir", type=Path, help="run folder (runs/NAME_sweep)")
    sub.add_argument(
        "--grid", action="append", default=[], metavar="KEY=VALUE,VALUE",
        help="values of a key to be tried, each with those of the others; numbers of the optimizer share one program, of "
        "anything else the commands are listed",
    )  # fmt: skip
    add_experiment_options(sub)
    add_process_options(sub)

    sub = verb("memory", memory_command, "find how the training step fits into memory: in parts, or with remat")
    sub.add_argument("--config", type=Path, required=True, help="the experiment file")
    sub.add_argument("--memory", metavar="16GiB", help="of one device; of a CPU all (what the device has)")
    add_experiment_options(sub)

    sub = verb("predict", predict_command, "predict image files, an npz, or the rows of a CSV; segment scans")
    sub.add_argument("run", type=Path, help="run folder")
    sub.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="image files, an npz, a CSV of table rows, a folder of tables of events, NIfTI scans",
    )
    sub.add_argument(
        "--out",
        type=Path,
        help="CSV to write (default: print it); of a segmentation the label map (seg.nii.gz), or a folder",
    )
    sub.add_argument(
        "--config", type=Path, help="the experiment file, where it defines classes or functions of its own"
    )

    sub = verb("data", data_command, "list, prepare, describe or audit data sets")
    sub.add_argument("action", choices=["list", "prepare", "describe", "audit"])
    sub.add_argument(
        "name", nargs="?", metavar="NAME",
        help="a data set, as `medjax data list` shows them, or the experiment file that reads your own; audit: or a run; "
        "describe: or a CSV, whose columns are shown",
    )  # fmt: skip
    sub.add_argument(
        "--target", metavar="COLUMN", help="describe a CSV: how well does each column alone predict this one?"
    )
    sub.add_argument("--group", metavar="COLUMN", help="describe a CSV: the patient")
    sub.add_argument("--sheet", type=Path, help="PNG that describe or audit writes (NAME.png, NAME_suspects.png)")
    sub.add_argument("--quick", action="store_true", help="audit: only what the index tells, without reading inputs")
    sub.add_argument(
        "--after",
        action="append",
        metavar="COLUMN",
        help="audit: a column known only after prediction time; repeatable",
    )
    sub.add_argument(
        "--against",
        metavar="NAME",
        help="audit: look for cases of the data set in this other one, or experiment file's data",
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


def add_process_options(parser: argparse.ArgumentParser) -> None:
    """Add the options by which the processes of one run find each other."""
    group = parser.add_argument_group("several processes (docs/scale.md)")
    group.add_argument("--coordinator", metavar="HOST:PORT", help="of the first process (MEDJAX_COORDINATOR)")
    group.add_argument("--processes", type=int, metavar="N", help="how many there are (MEDJAX_PROCESSES)")
    group.add_argument("--process", type=int, metavar="K", help="which one this is, from 0 (MEDJAX_PROCESS)")
    group.add_argument("--distributed", action="store_true", help="let JAX find the others, as on a pod of TPUs")


def main() -> int:
    """Run the `medjax` command."""
    arguments = parser().parse_args()
    start_with_large_pages()
    return guarded(arguments.function, arguments)
