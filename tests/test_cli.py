"""The commands as a person types them, in this process: their results, and their mistakes in one line."""

import contextlib
import csv
import io
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medjax import cli, external, run
from medjax.data.dataset import open_split, prepare
from medjax.errors import InputError

ROOT = Path(__file__).parents[1]
TABLE = """
from functools import partial
import optax
from medjax.data.split import Folds
from medjax.experiment import *
from medjax.models import Perceptron
from medjax.tasks import Classification

experiment = Experiment(
    name="table",
    data=Data(name="breast_cancer_wisconsin", inputs=("table",), splits=Folds(count=2)),
    task=Classification(positive="malignant"),
    model=Perceptron(hidden=(4,)),
    standardise=("table",),
    optimizer=Optimizer(transform=optax.adam, learning_rate=0.01),
    training=Training(duration=Duration(steps=20), batch_size=16),
    evaluation=Evaluation(threshold=0.8, resamples=50),
)
"""
IMAGE = """
from functools import partial
import optax
from medjax.experiment import *
from medjax.models import Perceptron
from medjax.preprocess import rescale
from medjax.tasks import Classification

experiment = Experiment(
    name="image",
    data=Data(name="breastmnist"),
    task=Classification(positive="malignant"),
    model=Perceptron(hidden=()),
    preprocess=(partial(rescale, low=0.0, high=255.0),),
    optimizer=Optimizer(transform=optax.adam, learning_rate=0.01),
    training=Training(duration=Duration(steps=10), batch_size=16),
    evaluation=Evaluation(threshold="youden", resamples=50),
)
"""


def typed(words, program=None) -> tuple[int, str, str]:
    """Run a command in this process; returns exit code, standard output and standard error."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = [program or "medjax", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                if program:
                    runpy.run_path(str(ROOT / program), run_name="__main__")
                    code = 0
                else:
                    code = cli.main()
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


def train(*words):
    return typed(words, "train.py")


def mistake(result) -> str:
    """Return the one line of a mistake: exit code 2, nothing on standard output, no traceback."""
    code, out, err = result
    assert code == 2, err
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in err
    return line


def config(folder: Path, text: str, name: str = "experiment.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def trained(tmp_path_factory, text: str) -> tuple[Path, str, str]:
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:  # the cache that every test of this process shares
        patch.setenv("MEDJAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        code, out, err = train("--config", config(folder, text), "--workdir", folder / "run")
    assert code == 0, err
    return folder / "run", out, err


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return trained(tmp_path_factory, TABLE)


@pytest.fixture(scope="module")
def image(tmp_path_factory, medjax_data):
    return trained(tmp_path_factory, IMAGE)


@pytest.fixture
def cases():
    source = open_split(prepare("breast_cancer_wisconsin"), "all")
    return [source[i] for i in range(0, 569, 4)]


def write_csv(path: Path, cases, drop=()):
    columns = prepare("breast_cancer_wisconsin").columns
    keep = [i for i, name in enumerate(columns) if name not in drop]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *(columns[i] for i in keep), "label"])
        for case in cases:
            writer.writerow([f"new_{case['id']}", *(repr(float(case["table"][i])) for i in keep), case["label"]])
    return path


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


# What works


def test_training_ends_in_the_table_and_the_name_of_the_folder(table):
    folder, out, err = table
    assert "AUROC" in out
    assert "INTERNAL cross-validation" in out
    assert out.endswith(f"run folder: {folder}\n")
    assert "2 folds by patient" in err
    assert "step 20 of" in err


def test_a_dry_run_shows_everything_and_trains_nothing(tmp_path):
    path = config(tmp_path, TABLE)
    code, out, err = train("--config", path, "--workdir", tmp_path / "run", "--dry-run", "--set", "seed=7")
    assert (code, err) == (0, "")
    assert not (tmp_path / "run").exists()
    shown, _ = json.JSONDecoder().raw_decode(out)
    assert shown["seed"] == 7
    assert shown["model"]["outputs"] == 2
    assert "hidden_1" in out
    (total,) = [line.split() for line in out.splitlines() if line.startswith("all ")]
    assert f"{30 * 4 + 4 + 4 * 2 + 2}" in total
    assert "569 cases" in out
    assert "malignant 212 [positive], benign 357" in out
    assert "a device by the compiler's estimate" in out
    assert out.rstrip().endswith("nothing was trained (--dry-run)")


def test_a_finished_run_is_shown_and_not_trained_again(table):
    folder, out, _ = table
    code, again, err = train("--config", folder.parent / "experiment.py", "--workdir", folder)
    assert code == 0
    assert again == out
    assert err == f"{folder} holds this run, finished; give another --workdir to train it again\n"


def test_evaluating_again_gives_the_same_table(table):
    folder, out, _ = table
    code, again, err = typed(["evaluate", folder])
    assert (code, err) == (0, "")
    assert again == out.removesuffix(f"run folder: {folder}\n")


def test_other_data_are_labelled_external_and_judged_under_the_frozen_plan(table, cases, tmp_path):
    folder = table[0]
    code, out, err = typed(["evaluate", folder, "--data", write_csv(tmp_path / "other clinic.csv", cases)])
    assert (code, err) == (0, "")
    assert "EXTERNAL validation" in " ".join(out.split())
    assert "INTERNAL" not in out
    judged = json.loads((folder / "evaluation/external_other_clinic.json").read_text())
    record = json.loads((folder / "record.json").read_text())
    assert judged["about"]["plan"] == record["plan_hash"][:8]
    assert judged["metrics"]["auroc"]["cases"] == len(cases)
    assert (folder / "predictions/external_other_clinic.csv").exists()


def test_other_data_are_judged_though_the_training_data_are_not_at_hand(table, cases, tmp_path, monkeypatch):
    def absent(*arguments):
        raise InputError("scans: there is no such folder.")

    monkeypatch.setattr(run.datasets, "prepare", absent)
    code, out, err = typed(["evaluate", table[0], "--data", write_csv(tmp_path / "far away.csv", cases)])
    assert (code, err) == (0, "")
    assert "NOT CHECKED: whether any of these cases was trained on" in " ".join(out.split())
    assert "scans: there is no such folder." in " ".join(out.split())


def test_a_csv_is_predicted_and_the_class_follows_the_frozen_threshold(table, cases, tmp_path):
    folder = table[0]
    code, out, err = typed(["predict", folder, write_csv(tmp_path / "new.csv", cases)])
    assert (code, err) == (0, "")
    found = rows(out)
    assert [row["id"] for row in found] == [f"new_{case['id']}" for case in cases]
    probability = np.array([float(row["probability_malignant"]) for row in found])
    called = np.array([row["prediction"] == "malignant" for row in found])
    np.testing.assert_array_equal(called, probability >= 0.8)
    assert ((probability >= 0.5) & (probability < 0.8)).any()  # so that the threshold makes a difference here
    labels = np.array([case["label"] == 0 for case in cases])
    assert (called == labels).mean() > 0.7
    code, out_again, err = typed(["predict", folder, tmp_path / "new.csv", "--out", tmp_path / "p.csv"])
    assert (code, out_again, err) == (0, "", f"{len(cases)} predictions: {tmp_path / 'p.csv'}\n")
    assert (tmp_path / "p.csv").read_text() == out


def test_an_npz_and_image_files_give_the_same_predictions(image, tmp_path):
    folder = image[0]
    source = open_split(prepare("breastmnist"), "validation")
    pictures = [source[i]["image"] for i in range(4)]
    np.savez(tmp_path / "x.npz", images=np.stack(pictures))
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, picture in zip(paths, pictures, strict=True):
        Image.fromarray(picture[..., 0]).save(path)
    results = []
    for inputs in ([tmp_path / "x.npz"], paths):
        code, out, err = typed(["predict", folder, *inputs])
        assert (code, err) == (0, "")
        results.append(rows(out))
    assert [row["id"] for row in results[0]] == ["00000", "00001", "00002", "00003"]
    assert [row["id"] for row in results[1]] == ["0.png", "1.png", "2.png", "3.png"]
    threshold = json.loads((folder / "record.json").read_text())["plan"]["threshold"]
    for one, other in zip(*results, strict=True):
        assert {**one, "id": ""} == {**other, "id": ""}
        assert one["prediction"] == (
            "malignant" if float(one["probability_malignant"]) >= threshold else "normal, benign"
        )


@pytest.mark.parametrize("words", [[], ["evaluate"], ["predict"], ["data"]])
def test_help_works(words):
    code, out, err = typed([*words, "--help"])
    assert (code, err) == (0, "")
    assert out.startswith("usage: medjax")
    code, out, _ = train("--help")
    assert code == 0
    for option in ("--config", "--workdir", "--set", "--on-error", "--data-dir", "--dry-run"):
        assert option in out


def test_data_are_listed_and_described_and_audited():
    code, out, _ = typed(["data", "list"])
    assert code == 0
    assert {"breast_cancer_wisconsin", "pneumoniamnist"} <= set(out.split())
    code, out, _ = typed(["data", "describe", "breast_cancer_wisconsin"])
    assert code == 0
    assert "malignant 212, benign 357" in out
    code, out, _ = typed(["data", "audit", "breast_cancer_wisconsin"])
    assert code == 0
    assert "no patient in two splits" in out


def test_the_columns_of_a_file_are_described(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("age,ill\n" + "\n".join(f"{k % 7},{k % 2}" for k in range(40)) + "\n")
    code, out, _ = typed(["data", "describe", path, "--target", "ill"])
    assert code == 0
    assert "ill" in out
    assert "alone" in out
    code, _, err = typed(["data", "describe", "breast_cancer_wisconsin", "--target", "ill"])
    assert code == 2
    assert "--target and --group describe a CSV" in err


def test_an_experiment_file_tells_which_of_its_parts_are_described(tmp_path):
    code, out, _ = typed(["data", "describe", config(tmp_path, TABLE)])
    assert code == 0
    assert "splits: made by the experiment" in out
    assert "fold 0" in out
    hashed = TABLE.replace("Folds(count=2)", "HashedSplit()").replace("import Folds", "import HashedSplit")
    code, out, _ = typed(["data", "describe", config(tmp_path, hashed), "--set", "data.splits.salt=3"])
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if " cases" in line] == ["train", "validation", "test"]
    assert "cases (sealed: not read here)" in out
    code, out, _ = typed(["data", "audit", config(tmp_path, hashed)])
    assert (code, "no patient in two splits" in out) == (0, True)


def test_images_are_described_with_a_contact_sheet(medjax_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = typed(["data", "describe", "breastmnist"])
    assert (code, "contact sheet: breastmnist.png" in out) == (0, True)
    with Image.open(tmp_path / "breastmnist.png") as sheet:
        assert sheet.width > 500
    assert "malignant 147, normal, benign 399" in out  # of the 546 training cases
    typed(["data", "describe", "breastmnist", "--sheet", tmp_path / "other.png"])
    assert (tmp_path / "other.png").read_bytes() == (tmp_path / "breastmnist.png").read_bytes()


OWN = """
import hashlib
from dataclasses import dataclass
import numpy as np
from medjax.data.origin import Facts, Problem

@dataclass(frozen=True)
class Numbers:
    on_error: str = "stop"

    def fingerprint(self):
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def facts(self):
        return Facts({"table": ((2,), "float32")}, {"all": 60}, ("no", "yes"), ("a", "b"), synthetic=True)

    def cases(self, split):
        draw = np.random.Generator(np.random.Philox(key=1))
        for row in range(60):
            values = draw.normal(size=2).astype(np.float32)
            if row in (7, 9):
                yield Problem(f"numbers.csv, line {row}", "it is no number")
                continue
            yield {"id": str(row), "group": str(row), "table": values, "label": int(values[0] > 0)}
"""


def test_an_own_origin_trains_with_its_unusable_cases_left_out_and_counted(tmp_path):
    text = OWN + TABLE.replace('name="breast_cancer_wisconsin"', 'name="numbers", origin=Numbers()')
    path = config(tmp_path, text.replace('positive="malignant"', 'positive="yes"'))
    line = mistake(train("--config", path, "--workdir", tmp_path / "run"))
    assert "numbers.csv, line 7: it is no number" in line
    assert "--on-error skip" in line
    code, out, err = train("--config", path, "--workdir", tmp_path / "run", "--on-error", "skip")
    assert code == 0, err
    assert "2 excluded" in out
    assert "SYNTHETIC" in out
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["data"]["skipped"] == [[f"numbers.csv, line {row}", "it is no number"] for row in (7, 9)]
    code, out, _ = typed(["data", "describe", path, "--on-error", "skip"])
    assert code == 0
    assert "skipped: 2 cases that cannot be used\n  numbers.csv, line 7: it is no number" in out
    code, out, err = typed(["evaluate", tmp_path / "run", "--config", path])
    assert code == 0, err


def test_options_that_need_an_experiment_file_say_so():
    assert "--on-error is for your own data" in mistake(train("--on-error", "skip"))
    assert "give its path as NAME" in mistake(typed(["data", "audit", "breastmnist", "--on-error", "skip"]))


# What does not, in one line each


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "training.batchsize=3"], "has no key 'batchsize'; did you mean 'batch_size'?"),
        (["--set", "model.hiden=[3]"], "has no key 'hiden'; did you mean 'hidden'?"),
        (["--set", "training.batch_size=many"], "experiment.training.batch_size: 'many' is not of type"),
        (["--set", "optimizer.learning_rate=true"], "experiment.optimizer.learning_rate: True is not of type"),
        (["--set", "seed"], "--set seed: write it as key.sub=value"),
        (["--set", "training.duration.steps=0"], "a duration must be positive"),
        (["--set", "training.duration.steps=null", "--set", "training.duration.epochs=NaN"], "not nan"),
        (["--set", "optimizer.learning_rate=NaN"], "optimizer.learning_rate nan must be positive"),
        (["--set", "task.positive=cancer"], "task.positive 'cancer' is not a class"),
        (["--set", "data.name=breast_cancer"], "no data set 'breast_cancer'. Did you mean 'breast_cancer_wisconsin'?"),
        (["--set", "data.inputs=[\"image\"]"], "names 'image', but breast_cancer_wisconsin has table"),
        (["--set", "data.exclude=[\"mean_radus\"]"], "no column 'mean_radus'; did you mean 'mean_radius'?"),
        (["--set", "training.batch_size=4096"], "training.batch_size 4096 is more than"),
        (["--set", "evaluation.primary=auc"], "evaluation.primary 'auc' does not apply here"),
        (["--data-dir", "absent"], "The data folder 'absent' does not exist"),
    ],
)  # fmt: skip
def test_mistakes_in_an_experiment(words, message, tmp_path):
    line = mistake(train("--config", config(tmp_path, TABLE), "--workdir", tmp_path / "run", *words))
    assert message in line
    assert not (tmp_path / "run").exists()


def test_mistakes_in_a_config_file(tmp_path):
    assert "absent.py: no such configuration file" in mistake(train("--config", tmp_path / "absent.py"))
    path = config(tmp_path, "import optax\nexperiment = 1 / 0\n")
    assert f"{path}, line 2: ZeroDivisionError" in mistake(train("--config", path))
    path = config(tmp_path, "other = 1\n")
    assert f"{path}: it defines no 'experiment'" in mistake(train("--config", path))
    path = config(tmp_path, "experiment = 1\n")
    assert "'experiment' is a int, not an Experiment" in mistake(train("--config", path))
    path = config(tmp_path, TABLE.replace("(4,)", "(4,"))
    assert "SyntaxError" in mistake(train("--config", path))


def test_a_workdir_of_another_experiment_is_named_with_what_differs(table):
    folder = table[0]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    code, out, err = train("--config", folder.parent / "experiment.py", "--workdir", folder, "--set", "seed=1")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {folder} holds the run of another experiment")
    assert "seed: 0 there, 1 here" in err
    assert "Traceback" not in err
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("verb", [["evaluate"], ["predict"]])
def test_a_run_that_is_not_there(verb, tmp_path):
    inputs = ["x.png"] if verb == ["predict"] else []
    assert f"{tmp_path / 'none'}: no such run folder" in mistake(typed([*verb, tmp_path / "none", *inputs]))
    assert "record.json is missing" in mistake(typed([*verb, tmp_path, *inputs]))


def test_mistakes_in_an_evaluation(table, tmp_path):
    folder = table[0]
    assert "no split 'test'; it has out_of_fold" in mistake(typed(["evaluate", folder, "--split", "test"]))
    both = mistake(typed(["evaluate", folder, "--split", "out_of_fold", "--data", "x.csv"]))
    assert "either --split" in both
    assert "There is no data set 'wisconsin'" in mistake(typed(["evaluate", folder, "--data", "wisconsin"]))
    own = mistake(typed(["evaluate", folder, "--data", "breast_cancer_wisconsin"]))
    assert "is the data that this run was trained on" in own
    assert "absent.csv: there is no such file" in mistake(typed(["evaluate", folder, "--data", "absent.csv"]))
    np.savez(tmp_path / "x.npz", table=np.ones((2, 30), np.float32))
    assert "case '00000' has no 'label'" in mistake(typed(["evaluate", folder, "--data", tmp_path / "x.npz"]))


def test_mistakes_in_a_csv(table, cases, tmp_path):
    folder = table[0]
    path = write_csv(tmp_path / "x.csv", cases, drop=("mean_area",))
    assert "x.csv: column 'mean_area' is missing" in mistake(typed(["predict", folder, path]))
    assert "x.csv: column 'mean_area' is missing" in mistake(typed(["evaluate", folder, "--data", path]))
    path = write_csv(tmp_path / "x.csv", cases[:3])
    path.write_text(path.read_text().replace(repr(float(cases[1]["table"][0])), "high"))
    assert "x.csv, line 3, column 'mean_radius': 'high' is no number" in mistake(typed(["predict", folder, path]))
    one_class = [case for case in cases if case["label"] == 0]
    line = mistake(typed(["evaluate", folder, "--data", write_csv(tmp_path / "one.csv", one_class)]))
    assert "AUROC is the primary metric, but no case is benign" in line


def test_mistakes_in_images(image, tmp_path):
    folder = image[0]
    good = np.zeros((2, 28, 28), np.float32)
    np.savez(tmp_path / "cut.npz", images=good)
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    np.savez(tmp_path / "nan.npz", images=np.where(np.arange(28) == 3, np.nan, good))
    np.savez(tmp_path / "small.npz", images=good[:, :20])
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28, 3)).astype(np.uint8)).save(tmp_path / "rgb.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, message in {
        "cut.npz": "cut.npz: this is no npz archive of plain arrays, or it is cut short",
        "nan.npz": "nan.npz, case '00000', key 'image': 28 of 784 values are NaN",
        "small.npz": "case '00000', key 'image': shape (20, 28, 1) where (28, 28, 1) is expected",
        "rgb.png": "case 'rgb.png', key 'image': 3 channels where 1 are expected",
        "text.png": "text.png: this is no image that can be read",
        "absent.png": "absent.png: there is no such file",
        ".": "rgb.png: it is in colour",
    }.items():
        assert message in mistake(typed(["predict", folder, tmp_path / name]))


def test_a_table_for_a_model_of_images(image, cases, tmp_path):
    np.savez(tmp_path / "x.npz", table=np.ones((2, 30), np.float32))
    assert "has no 'image', which this run needs" in mistake(typed(["predict", image[0], tmp_path / "x.npz"]))


def test_an_out_file_that_cannot_be_written(table, cases, tmp_path):
    (tmp_path / "file").write_text("")
    path = write_csv(tmp_path / "x.csv", cases[:3])
    line = mistake(typed(["predict", table[0], path, "--out", tmp_path / "file" / "p.csv"]))
    assert str(tmp_path / "file") in line


@pytest.mark.parametrize("words", [[], ["train"], ["data"], ["data", "describe"], ["data", "prepare", "wisconsin"]])
def test_unknown_commands(words):
    code, out, err = typed(words)
    assert (code, out) == (2, "")
    assert "error: " in err
    assert "Traceback" not in err


def test_what_is_no_mistake_of_the_user_keeps_its_traceback(table, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(external, "read_inputs", broken)
    with pytest.raises(ZeroDivisionError):
        typed(["predict", table[0], "x.png"])


def test_signals_and_a_full_disk_have_their_own_words(table, monkeypatch):
    from medjax.training.loop import Interrupted

    for error, code, message in (
        (
            Interrupted("stopped by a signal at step 4"),
            143,
            "stopped by a signal at step 4; the same command continues",
        ),
        (KeyboardInterrupt(), 130, "interrupted; the same command continues from the last checkpoint"),
        (OSError(28, "No space left on device", "x"), 2, "error: the disk is full (x); make room and repeat"),
        (PermissionError(13, "Permission denied", "x"), 2, "error: x: Permission denied"),
    ):

        def stop(*_, error=error, **__):
            raise error

        monkeypatch.setattr(run, "evaluate", stop)
        found, out, err = typed(["evaluate", table[0]])
        assert (found, out) == (code, "")
        assert err.startswith(message)
        assert len(err.splitlines()) == 1


# What is imported


def fresh(code: str, *words, **environment) -> str:
    """Run Python code in a process of its own; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], env=os.environ | environment, cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_medjax_imports_neither_jax_nor_tensorflow():
    heavy = {"jax", "tensorflow", "numpy", "flax", "optax", "tensorflow_datasets", "sklearn", "scipy"}
    assert fresh(f"import sys, medjax; print(*sorted({heavy!r} & set(sys.modules)))") == "\n"
    assert fresh(f"import sys, medjax.cli as c; c.parser(); print(*sorted({heavy!r} & set(sys.modules)))") == "\n"


def test_python_m_medjax_is_the_command():
    code = "import runpy, sys; sys.argv[1:] = ['data', 'list']; runpy.run_module('medjax', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "breast_cancer_wisconsin" in done.stdout


def test_a_whole_training_and_evaluation_import_no_tensorflow(tmp_path):
    """With the experiment that is shipped, made short."""
    code = """
import sys
from pathlib import Path
import medjax
experiment = medjax.load_experiment("configs/breast_cancer.py")
short = ["training.duration.epochs=0.2", "replicates.seeds=1", "data.splits.count=2", "model.hidden=[4]",
         "evaluation.resamples=20"]
medjax.train(medjax.override(experiment, short), sys.argv[1])
medjax.evaluate(sys.argv[1])
print(*sorted(name for name in sys.modules if name.partition(".")[0] in ("tensorflow", "keras", "torch")))
"""
    assert fresh(code, tmp_path / "run", JAX_NUM_CPU_DEVICES="1") == "\n"
    assert (tmp_path / "run/evaluation/out_of_fold.json").exists()
