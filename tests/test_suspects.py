"""The audit of a run: suspects of its own parts, and its metrics with and without them; the report shows both."""

import json
from functools import partial

import numpy as np
import optax
import pytest
from sklearn.metrics import roc_auc_score

from medjax import folder, run, suspects
from medjax.data.origins.table import Table
from medjax.data.split import HashedSplit
from medjax.errors import InputError
from medjax.evidence.prediction_files import read_csv
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Training
from medjax.models import Perceptron
from medjax.report import page
from medjax.tasks import Classification
from medjax.training.schedule import cosine


def experiment(path) -> Experiment:
    return Experiment(
        name="copies",
        data=Data(
            name="copies",
            inputs=("table",),
            splits=HashedSplit(),
            origin=Table(str(path), "y", classes=("0", "1"), numeric=("a", "b", "c"), group="patient"),
        ),
        task=Classification(positive="1"),
        model=Perceptron(hidden=(4,)),
        optimizer=Optimizer(transform=partial(optax.adam), learning_rate=0.01, schedule=partial(cosine)),
        training=Training(duration=Duration(steps=4), batch_size=16),
        evaluation=Evaluation(resamples=20, reference=None),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """240 patients and, under other names, 60 of them once more."""
    base = tmp_path_factory.mktemp("copies")
    random = np.random.default_rng(0)
    label = (np.arange(240) % 2).tolist()
    rows = [[f"p{k}", *np.round(random.normal(label[k], 1, 3), 6).tolist(), label[k]] for k in range(240)]
    rows += [[f"copy{k}", *rows[k][1:]] for k in range(60)]
    text = "patient,a,b,c,y\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    (base / "copies.csv").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDJAX_CACHE", str(base / "cache"))
        run.train(experiment(base / "copies.csv"), base / "run")
    return base / "run"


def test_the_metrics_without_suspects_are_those_of_the_other_cases(trained):
    found = suspects.audit_run(trained)
    saved = json.loads((trained / folder.AUDIT).read_text())
    assert saved == json.loads(json.dumps(found.result))
    twins = found.result["near_duplicates"]["pairs"]
    suspect = {name for one in twins for part, name in zip(one["splits"], one["ids"], strict=True)
               if set(one["splits"]) == {"train", "validation"} and part == "validation"}  # fmt: skip
    assert 3 < len(suspect) < 40
    worth = found.result["worth"]["validation"]
    assert worth["left_out"] == len(suspect)
    judged = read_csv(trained / folder.predictions("validation"))
    rest = ~np.isin(judged.id, list(suspect))
    score = judged.values.mean(0)[:, 1]
    shown = worth["metrics"]["auroc"]
    assert shown["all"]["estimate"] == pytest.approx(roc_auc_score(judged.target, score))
    assert shown["without"]["estimate"] == pytest.approx(roc_auc_score(judged.target[rest], score[rest]))
    assert f"{len(suspect)} of {len(judged.id)} validation cases have a near-duplicate in train" in found.text
    text = page.write(trained)[0].read_text()
    assert "validation: with and without suspects" in text
    assert "Near-duplicates" in text


def test_cases_that_training_left_out_make_nobody_suspect():
    from medjax.data.twins import Twin, Twins, judged

    pair = Twin(("train/1", "validation/2"), ("train", "validation"), 1.0, 0.0)
    found = Twins((pair,), "table", 10, 1e-4)
    assert judged(found, "validation") == ["validation/2"]
    assert judged(found, "validation", ["train/1"]) == []
    crossed = Twins((Twin(("a", "b"), ("0", "1"), 1.0, 0.0),), "table", 10, 1e-4)
    assert judged(crossed) == ["a", "b"]
    assert judged(crossed, None, ["a"]) == ["a"]  # a is still judged by models that learnt b


def test_another_state_of_the_data_or_an_unfinished_run_is_refused(trained, tmp_path):
    import shutil

    copy = shutil.copytree(trained, tmp_path / "run")
    record = json.loads((copy / folder.RECORD).read_text())
    for change, message in (
        ({"data": record["data"] | {"fingerprint": "0"}}, "not the one that this run was trained on"),
        ({"finished": None}, "not finished"),
    ):
        (copy / folder.RECORD).write_text(json.dumps(record | change))
        with pytest.raises(InputError, match=message):
            suspects.audit_run(copy)
