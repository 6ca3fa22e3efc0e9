"""Learning curves on real patients: nested subsets, judged on the same cases, with the test set sealed."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from medjax import config, folder, job, learning
from medjax.data.partition import partition
from medjax.data.source import TfdsSource
from medjax.data.split import Folds, HashedSplit, Nested, first_patients
from medjax.errors import InputError
from medjax.evidence.learning_curve import judge
from medjax.evidence.prediction_files import read_csv
from medjax.experiment import Duration, Replicates, Training
from medjax.report.screen import Silent
from medjax.training import checkpoint

SHARES = (0.01, 0.05, 0.2, 0.5, 1.0)
MADE = {}


@pytest.fixture
def experiment(small):
    return dataclasses.replace(small, replicates=Replicates(seeds=3))


@pytest.fixture
def trained(experiment, tmp_path_factory):
    """One curve for all tests that only look at it: the folder and what came back."""
    if not MADE:
        where = tmp_path_factory.mktemp("curve") / "run"
        MADE["it"] = where, learning.learning_curve(experiment, where, SHARES, screen=Silent())
    return MADE["it"]


@pytest.fixture
def work(trained):
    """The job as the curve's folder describes it."""
    if "work" not in MADE:
        MADE["work"] = job.build(config.decode(json.loads((trained[0] / "config.json").read_text())))
    return MADE["work"]


def test_a_curve_is_what_its_files_say(trained):
    where, found = trained
    assert json.loads((where / "learning_curve.json").read_text()) == found
    assert found["shares"] == [0.05, 0.2, 0.5, 1.0]
    sizes = [point["training_patients"] for point in found["points"]]
    assert sizes == [14, 57, 142, 284]  # of 569 in two folds
    every = [read_csv(where / folder.predictions(f"training_share_{share:g}")) for share in found["shares"]]
    for one in every:
        assert one.values.shape == (3, 569, 2)
        assert one.seed.tolist() == [0, 1, 2]
        assert sorted(set(one.fold.tolist())) == [0, 1]
        assert one.id.tolist() == every[0].id.tolist()
    again = judge(np.array(sizes), every, positive=0, resamples=200)
    for key in again:
        assert again[key] == found[key]
    assert found["points"][-1]["estimate"] > found["points"][0]["estimate"]  # 24 steps suffice to learn something
    record = json.loads((where / "record.json").read_text())
    assert record["finished"]
    assert len(record["replicates"]) == 24
    assert not (where / folder.LEDGER).exists()


def test_a_finished_curve_is_read_again_and_another_one_refused(trained, experiment):
    where, found = trained
    before = {path: path.stat().st_mtime_ns for path in where.rglob("*.json")}
    assert learning.learning_curve(experiment, where, SHARES, screen=Silent()) == found
    assert before == {path: path.stat().st_mtime_ns for path in where.rglob("*.json")}
    with pytest.raises(InputError, match="holds the run of another experiment"):
        learning.learning_curve(experiment, where, (0.2, 1.0), screen=Silent())


def test_what_is_too_small_is_left_out_with_its_reason(trained):
    _, found = trained
    (dropped,) = found["dropped"]
    assert dropped["share"] == 0.01
    assert dropped["training_patients"] == 3
    assert dropped["reason"].startswith("of 3 patients a subset has only ")
    assert dropped["reason"].endswith("at least 2 are needed")


def test_subsets_are_nested_by_patient_and_drawn_anew_by_every_seed(work, experiment):
    models = np.array(work.replicates, dtype=object).reshape(3, 2, 4)  # draw, fold, share
    whole = partition(work.dataset, experiment.data.splits)
    for draw in range(3):
        for fold, part in enumerate(whole.parts):
            rows = [set(model.train.tolist()) for model in models[draw, fold]]
            assert rows[0] < rows[1] < rows[2] < rows[3] == set(part.train.tolist())
            for model in models[draw, fold]:
                np.testing.assert_array_equal(model.held_out, part.held_out)
    assert set(models[0, 0, 0].train.tolist()) != set(models[1, 0, 0].train.tolist())
    assert len({model.seed for model in work.replicates}) == 24
    # Whatever is fitted is fitted on the subset alone.
    number = models[1, 1, 0].number
    table = work.arrays["table"][models[1, 1, 0].train]
    np.testing.assert_allclose(work.fitted["table"]["mean"][number], table.mean(0), rtol=1e-5)


def test_a_subset_smaller_than_a_batch_fills_it_evenly(work):
    small = work.replicates[0]
    count = len(small.train)
    assert count < work.batch == 16
    index, weight = job.training_plan(work, np.array([0]))(0, count)
    assert index.shape == (count, 1, 16)
    assert np.all(weight == 1)
    rows, counts = np.unique(index, return_counts=True)
    assert rows.tolist() == sorted(small.train.tolist())
    assert set(counts.tolist()) == {16}  # each case as often


def test_an_interrupted_curve_ends_the_same(trained, experiment, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    real = checkpoint.Writer.save

    def save(self, step, state):
        real(self, step, state)
        self.wait()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Writer, "save", save)
        with pytest.raises(Killed):
            learning.learning_curve(experiment, tmp_path / "run", SHARES, screen=Silent())
    assert not (tmp_path / "run/learning_curve.json").exists()
    assert learning.learning_curve(experiment, tmp_path / "run", SHARES, screen=Silent()) == trained[1]


def test_validation_cases_judge_and_the_test_set_stays_sealed(experiment, tmp_path, monkeypatch):
    split = HashedSplit(train=0.5, validation=0.3, test=0.2, salt=1)
    chosen = dataclasses.replace(
        experiment,
        data=dataclasses.replace(experiment.data, splits=split),
        training=Training(
            duration=Duration(epochs=1.5), batch_size=16, evaluate_every=Duration(steps=8), select="auroc", save_grid=4
        ),
        evaluation=dataclasses.replace(experiment.evaluation, threshold="youden", test=True, primary="log_loss"),
    )
    work = job.build(chosen)  # prepared and indexed: that once reads every case
    read, real = [], TfdsSource.__getitem__

    def spy(self, index):
        read.append(index)
        return real(self, index)

    monkeypatch.setattr(TfdsSource, "__getitem__", spy)
    found = learning.learning_curve(chosen, tmp_path / "run", (0.1, 0.3, 0.6, 1.0), screen=Silent())
    assert len(read) >= len(work.partition.development)
    assert not set(read) & set(work.partition.test.tolist())
    (part,) = work.partition.parts
    one = read_csv(tmp_path / "run/predictions/training_share_0.3.csv")
    ids = np.asarray(work.dataset.index.id)[work.partition.development]
    assert one.id.tolist() == ids[part.validation].tolist()
    assert one.seed.tolist() == [0, 1, 2]
    assert found["about"]["chosen_on_the_same_cases"] == "auroc"
    assert found["primary"] == "log_loss"
    # Epochs count passes over the largest training set; every size takes as many steps.
    assert found["about"]["steps"] == -(-int(np.ceil(1.5 * len(part.train))) // 16)
    assert found["points"][0]["training_patients"] == round(0.1 * len(part.train))


def test_first_patients_are_nested_hashed_and_whole():
    groups = np.repeat([f"p{k}" for k in range(50)], 3)
    masks = [first_patients(groups, share, 0) for share in (0.001, 0.1, 0.5, 1.0)]
    assert [len(set(groups[mask])) for mask in masks] == [1, 5, 25, 50]
    assert [mask.sum() for mask in masks] == [3, 15, 75, 150]
    for small, large in itertools.pairwise(masks):
        assert not np.any(small & ~large)
    order = np.random.default_rng(0).permutation(150)
    np.testing.assert_array_equal(first_patients(groups[order], 0.5, 0), masks[2][order])
    assert np.any(first_patients(groups, 0.5, 0, draw=1) != masks[2])
    assert np.any(first_patients(groups, 0.5, 1) != masks[2])


def test_shares_are_read_as_they_are_typed():
    assert learning.parse_shares(".5, 5%,1,.05") == (0.05, 0.5, 1.0)
    for text, message in (("a,1", "'a' is no number"), ("0,1", "0 must lie above 0"), ("1%,120%", "120% must lie")):
        with pytest.raises(InputError, match=message):
            learning.parse_shares(text)


def test_mistakes_are_named_before_training(experiment, small, tmp_path):
    def refused(match, changed, shares=SHARES):
        with pytest.raises(InputError, match=match):
            learning.learning_curve(changed, tmp_path / "run", shares, screen=Silent())
        assert not (tmp_path / "run").exists()

    data, evaluation = experiment.data, experiment.evaluation
    refused("needs at least 3: --set replicates.seeds=5", small)
    nested = dataclasses.replace(data, splits=Nested((0.5, 1.0), of=Folds(2)))
    refused("nested already", dataclasses.replace(experiment, data=nested))
    split = dataclasses.replace(data, splits=HashedSplit(0.6, 0.4, 0.0))
    rule = dataclasses.replace(evaluation, threshold="youden", primary="sensitivity")
    refused("of 'sensitivity' state a number", dataclasses.replace(experiment, data=split, evaluation=rule))
    alone = dataclasses.replace(data, splits=HashedSplit(0.8, 0.0, 0.2))
    refused("needs validation cases or folds", dataclasses.replace(experiment, data=alone))
    refused("must ascend", experiment, (0.5, 0.2))
    official = dataclasses.replace(data, splits=None)
    refused("has no official splits", dataclasses.replace(experiment, data=official))
    one = dataclasses.replace(experiment.replicates, only=(0,))
    refused("replicates.only", dataclasses.replace(experiment, replicates=one))
