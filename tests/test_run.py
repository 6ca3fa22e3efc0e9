"""Whole runs: interrupted and continued, on several devices, sealed, judged."""

import dataclasses
import json
import shutil
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from medjax import config, folder, job, run
from medjax.augment import random_affine, random_noise
from medjax.data.partition import development_source
from medjax.errors import InputError
from medjax.evidence.prediction_files import read_csv
from medjax.evidence.predictions import ensemble
from medjax.experiment import Data, Duration, Evaluation, Experiment, Mesh, Optimizer, Replicates, Training
from medjax.models import Perceptron
from medjax.preprocess import rescale
from medjax.report.screen import Silent
from medjax.tasks import Classification
from medjax.training import checkpoint, loop


def final_state(workdir: Path, work: job.Job):
    like = job.blank_state(work.experiment, work.shapes, work.total, len(work.replicates))
    return checkpoint.restore(workdir / folder.CHECKPOINTS, like)


def identical(a, b) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def interrupted_after(monkeypatch, workdir, experiment, steps):
    """Train, and die right after the save at each of the given global steps, without any clean-up of the loop."""

    class Killed(BaseException):
        pass

    total = experiment.training.duration.steps
    real, looped = checkpoint.Writer.save, loop.run

    def looping(*arguments, hooks, **settings):
        """Save at these steps too, instead of at every one that could be saved: a save takes its time."""
        due = {step % total for step in steps}
        return looped(
            *arguments, hooks=dataclasses.replace(hooks, due=lambda step: step in due or hooks.due(step)), **settings
        )

    monkeypatch.setattr(loop, "run", looping)
    for stop in steps:

        def save(self, step, state, stop=stop):
            real(self, step, state)
            if step == stop:
                self.wait()
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint.Writer, "save", save)
            with pytest.raises(Killed):
                run.train(experiment, workdir, screen=Silent())
    run.train(experiment, workdir, screen=Silent())


@pytest.fixture
def image(small):
    """An experiment on images with everything that keeps state: augmentation, dropout, EMA, selection, waves."""
    return dataclasses.replace(
        small,
        name="image",
        data=Data(name="breastmnist", inputs=("image",)),
        task=Classification(positive="malignant", class_weights="balanced", label_smoothing=0.1),
        model=Perceptron(hidden=(8,), normalisation="batch", dropout=0.2),
        preprocess=(partial(rescale, low=0.0, high=255.0),),
        standardise=("image",),
        augment=(partial(random_affine, rotation=10.0, translation=0.1), partial(random_noise, deviation=0.05)),
        training=Training(
            duration=Duration(steps=12), batch_size=16, accumulate=2, evaluate_every=Duration(steps=4), select="auroc",
            ema=0.9, log_every=3, save_grid=2,
        ),
        replicates=Replicates(seeds=3, together=2),
        evaluation=Evaluation(threshold="sensitivity>=.9", resamples=100),
    )  # fmt: skip


TRAINED = {}


@pytest.fixture
def whole(tmp_path_factory):
    """Train an experiment undisturbed, once for all tests that only look at its folder: folder and results."""

    def trained(experiment) -> tuple[Path, dict]:
        key = config.dumps(experiment)
        if key not in TRAINED:
            workdir = tmp_path_factory.mktemp("whole") / "run"
            TRAINED[key] = workdir, run.train(experiment, workdir, screen=Silent())
        return TRAINED[key]

    return trained


@pytest.mark.parametrize(
    ("family", "stops"), [("small", (12,)), pytest.param("image", (6, 18), marks=pytest.mark.slow)]
)
def test_an_interrupted_run_ends_bit_identical(family, stops, request, whole, tmp_path, monkeypatch):
    if family == "image":
        request.getfixturevalue("medjax_data")
    experiment = request.getfixturevalue(family)
    expected, parts = whole(experiment)[0], tmp_path / "parts"
    interrupted_after(monkeypatch, parts, experiment, stops)
    work = job.build(experiment)
    for name in ("predictions/*.csv", "evaluation/*.json"):
        assert list(expected.glob(name))
        for path in expected.glob(name):
            assert path.read_text() == (parts / path.relative_to(expected)).read_text()
    identical(final_state(expected, work)[1], final_state(parts, work)[1])
    lines = [[json.loads(x) for x in (d / "metrics.jsonl").read_text().splitlines()] for d in (expected, parts)]
    assert {row["step"] for row in lines[0]} <= {row["step"] for row in lines[1]}
    steps = [row["step"] for row in lines[1] if "loss" in row]
    assert len(steps) == len(set(steps))


def test_the_run_folder_is_the_interface(small, whole):
    workdir, results = whole(small)
    assert set(results) == {"out_of_fold"}
    names = {str(p.relative_to(workdir)).split("tfevents")[0] for p in workdir.rglob("*") if p.is_file()}
    names = {name for name in names if not name.startswith("checkpoints")}
    assert names == {
        "config.json", "record.json", "metrics.jsonl", "events.out.",
        "predictions/out_of_fold.csv", "evaluation/out_of_fold.json",
    }  # fmt: skip
    written = (workdir / "config.json").read_text()
    assert config.dumps(config.decode(json.loads(written))) == written
    record = json.loads((workdir / "record.json").read_text())
    for key in ("command", "versions", "devices", "commit", "seed", "data", "audit", "seconds", "memory", "plan_hash"):
        assert key in record
    metrics = results["out_of_fold"]["metrics"]
    for name in ("accuracy", "auroc", "auprc", "sensitivity", "specificity", "brier", "log_loss", "f1", "matthews"):
        assert {"estimate", "low", "high", "level", "cases", "patients", "method", "seeds"} <= set(metrics[name])
        assert set(metrics[name]["seeds"]) == {"mean", "standard_deviation", "count"}


def test_out_of_fold_predicts_every_patient_once_by_models_that_never_saw_them(small, whole):
    predictions = read_csv(whole(small)[0] / "predictions/out_of_fold.csv")
    assert predictions.values.shape == (2, 569, 2)
    work = job.build(small)
    for model in work.replicates:
        assert not set(model.train) & set(model.held_out)
        rows = np.flatnonzero(predictions.fold == model.fold)
        assert set(predictions.replicate[model.seed_number, rows]) == {model.number}


def test_a_finished_run_is_not_trained_again_and_another_experiment_is_refused(small, whole, tmp_path):
    workdir, first = whole(small)
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*.json")}
    assert run.train(small, workdir, screen=Silent()) == first
    assert before == {p: p.stat().st_mtime_ns for p in workdir.rglob("*.json")}
    other = config.override(small, ["optimizer.learning_rate=0.5"])
    with pytest.raises(InputError, match=r"optimizer.learning_rate: 0.01 there, 0.5 here"):
        run.train(other, workdir, screen=Silent())
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is no run folder"):
        run.train(small, tmp_path / "other", screen=Silent())


def test_a_replicate_alone_trains_as_among_all(small, whole, tmp_path):
    many, alone = job.build(small), job.build(config.override(small, ["replicates.only=[2]"]))
    run.train(alone.experiment, tmp_path / "alone", screen=Silent())
    all_states, one = final_state(whole(small)[0], many)[1], final_state(tmp_path / "alone", alone)[1]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[2], b[0], rtol=2e-4, atol=2e-5), all_states.variables, one.variables
    )
    assert all_states.seed[2] == one.seed[0]


def test_the_streamed_feed_gives_what_the_resident_feed_gives(small, whole, tmp_path):
    resident, streamed = job.build(small), config.override(small, ["data.feed=streamed"])
    assert job.feed(resident).resident  # so small a set is
    run.train(streamed, tmp_path, screen=Silent())
    identical(
        final_state(whole(small)[0], resident)[1].variables, final_state(tmp_path, job.build(streamed))[1].variables
    )
    first, second = ((where / "predictions/out_of_fold.csv").read_text() for where in (whole(small)[0], tmp_path))
    assert first == second


def test_full_batch_gradient_descent_is_scikit_learn_s_gradient(small):
    """One full-batch step of a linear model from zero, against the gradient by hand."""
    experiment = dataclasses.replace(
        small,
        model=Perceptron(hidden=()),
        optimizer=Optimizer(transform=optax.sgd, learning_rate=1.0),
        training=Training(duration=Duration(steps=1), batch_size="full"),
        replicates=Replicates(seeds=1),
    )
    work = job.build(experiment)
    from medjax.training.replicate import take

    (wave,) = work.programs.waves
    fitted = take(work.fitted, wave, work.programs.mesh)
    state = work.programs.initialise(np.array([work.replicates[k].seed for k in wave], np.uint32), fitted)
    before = jax.device_get(state.variables["params"]["output"])
    feed = job.feed(work)
    state, _ = work.programs.train(state, feed.resident, next(feed.steps(job.training_plan(work, wave), 0, 1)))
    after = jax.device_get(state.variables["params"]["output"])
    for k, model in enumerate(work.replicates):
        x = (work.arrays["table"][model.train] - work.fitted["table"]["mean"][k]) / work.fitted["table"]["scale"][k]
        logits = x @ before["kernel"][k] + before["bias"][k]
        probability = np.exp(logits - logits.max(1, keepdims=True))
        probability /= probability.sum(1, keepdims=True)
        error = probability - np.eye(2)[work.targets[model.train]]
        np.testing.assert_allclose(before["kernel"][k] - after["kernel"][k], x.T @ error / len(x), atol=2e-6)


def test_accumulated_gradients_equal_those_of_the_big_batch(small):
    results = []
    for parts in (1, 4):
        experiment = config.override(small, [f"training.accumulate={parts}", "training.duration.steps=3"])
        results.append(steps(job.build(experiment, devices=jax.devices()[:1]), 3))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), *results)


def steps(work: job.Job, count: int):
    """Take some steps of the first wave and return the parameters of the real replicates."""
    from medjax.training.replicate import take

    wave = work.programs.waves[0]
    feed = job.feed(work)
    state = work.programs.initialise(
        np.array([work.replicates[k].seed for k in wave], np.uint32), take(work.fitted, wave, work.programs.mesh)
    )
    for after, chunk in feed.chunks(job.training_plan(work, wave), 0, count):
        state, _ = work.programs.train_several(state, feed.resident, chunk, np.int32(after))
        jax.block_until_ready(state)  # as the loop does: steps in flight on simulated devices can lock each other out
    return jax.tree.map(lambda x: np.array(x)[: len(work.replicates)], jax.device_get(state.variables["params"]))


def test_the_first_float32_steps_agree_on_any_number_of_devices(small):
    one = steps(job.build(small, devices=jax.devices()[:1]), 3)
    for devices, mesh in ((2, Mesh()), (4, Mesh(replicate=2)), (8, Mesh(replicate=1))):
        experiment = dataclasses.replace(small, training=dataclasses.replace(small.training, mesh=mesh))
        many = steps(job.build(experiment, devices=jax.devices()[:devices]), 3)
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6, rtol=0), one, many)


def test_float64_trajectories_agree_on_any_number_of_devices(small, monkeypatch):
    """50 steps with dropout, to 1e-10: in double precision nothing parts chaotically (benchmarks/agreement.py: 200)."""
    monkeypatch.setattr("medjax.training.mesh.LEAST_SHARDED", 1)  # these parameters are few
    with jax.enable_x64(True):
        experiment = dataclasses.replace(
            small, model=Perceptron(hidden=(16, 16), dropout=0.1, dtype="float64"),
            training=Training(duration=Duration(steps=50), batch_size=16), replicates=Replicates(seeds=1),
        )  # fmt: skip
        results = []
        for data, fsdp in ((1, 1), (2, 2), (1, 8)):
            mesh = Mesh(replicate=1, data=data, fsdp=fsdp)
            own = dataclasses.replace(experiment, training=dataclasses.replace(experiment.training, mesh=mesh))
            results.append(steps(job.build(own, devices=jax.devices()[: data * fsdp]), 50))
    assert jax.tree.leaves(results[0])[0].dtype == np.float64
    for other in results[1:]:
        jax.tree.map(partial(np.testing.assert_allclose, atol=1e-10, rtol=0), results[0], other)


def test_one_checkpoint_gives_the_same_probabilities_on_any_number_of_devices(small, whole):
    from medjax import predict
    from medjax.training.state import final_variables

    workdir, _ = whole(small)  # on all eight devices
    results = []
    for devices, batch in ((1, 256), (2, 256), (4, 30), (8, 30)):  # 284 and 285 cases: the last batch is uneven
        work = job.build(small, devices=jax.devices()[:devices])
        _, state, _ = final_state(workdir, work)
        cases = [model.held_out for model in work.replicates]
        values = predict.predict_all(work.programs, final_variables(state), state.fitted, job.feed(work), cases, batch)
        results.append(np.concatenate(values))
    assert len(results[0]) == 2 * 569
    for other in results[1:]:
        np.testing.assert_allclose(results[0], other, atol=1e-6, rtol=0)


def test_nan_stops_with_its_name_its_step_and_its_replicate(small, tmp_path):
    wild = config.override(small, ["optimizer.learning_rate=1e30", "training.save_seconds=0.0", "training.log_every=2"])
    with pytest.raises(InputError, match=r"(loss|gradient_norm) became (nan|inf) at step \d+ \(seed_\d_fold_\d\)"):
        run.train(wild, tmp_path / "run", screen=Silent())
    assert not (tmp_path / "run/evaluation").exists()


def test_early_stopping_freezes_each_replicate_by_itself(small, tmp_path):
    experiment = config.override(
        small,
        ["data.splits.hold_back=0.2", "training.evaluate_every={\"class\": \"medjax.experiment.Duration\", \"steps\": 2}",
         "training.select=accuracy", "training.patience=2", "training.duration.steps=60", "optimizer.learning_rate=0.05"],
    )  # fmt: skip
    run.train(experiment, tmp_path / "run", screen=Silent())
    _, state, _ = final_state(tmp_path / "run", job.build(experiment))
    assert state.stopped.any()
    for stopped, step, best in zip(state.stopped, state.step, state.best.step, strict=True):
        assert step <= 60
        assert not stopped or step - best >= 4


def test_sigterm_saves_and_leaves_a_run_that_continues(small, whole, tmp_path, monkeypatch):
    import os
    import signal

    class Alarm(Silent):
        """Sends the signal from within, at a step of its own choosing."""

        def progress(self, name, total, done, cases):
            from contextlib import contextmanager

            @contextmanager
            def shown():
                def update(step, values):
                    if done == 0 and step >= 10:
                        os.kill(os.getpid(), signal.SIGTERM)

                yield update

            return shown()

    with pytest.raises(loop.Interrupted, match=r"step (12|16|20)"):
        run.train(small, tmp_path / "parts", screen=Alarm())
    (step,) = checkpoint.steps(tmp_path / "parts/checkpoints")
    assert step in (12, 16, 20)
    assert run.train(small, tmp_path / "parts", screen=Silent()) == whole(small)[1]


# ---------------------------------------------------------------------------------------------------------------------
# The seal
# ---------------------------------------------------------------------------------------------------------------------


def poisoned(source, rows, rng):
    """Replace inputs and labels of some cases by noise."""

    class Poison:
        def __len__(self):
            return len(source)

        def __getitem__(self, index):
            case = source[index]
            if index in rows:
                case = {**case, "label": int(rng.integers(2))}
                for key in ("image", "table"):
                    if key in case:
                        noise = rng.normal(size=np.shape(case[key])) * 100
                        case[key] = noise.astype(case[key].dtype)
            return case

    return Poison()


def test_noise_in_a_held_out_fold_changes_nothing_of_the_models_that_held_it_out(small, whole, tmp_path, monkeypatch):
    where = {"clean": whole(small)[0], "poisoned": tmp_path / "poisoned"}
    work = job.build(small)
    held = set(work.partition.parts[0].held_out.tolist())
    monkeypatch.setattr(
        job, "development_source", lambda d, p: poisoned(development_source(d, p), held, np.random.default_rng(0))
    )
    run.train(small, where["poisoned"], screen=Silent())
    clean, dirty = (final_state(where[name], work)[1] for name in ("clean", "poisoned"))
    for model in work.replicates:
        pair = [jax.tree.map(lambda x, k=model.number: x[k], state) for state in (clean, dirty)]
        if model.fold == 0:
            identical(*pair)
        else:  # the poison works: whoever trains on it differs
            with pytest.raises(AssertionError):
                identical(*pair)


@pytest.mark.usefixtures("medjax_data")
def test_training_never_reads_the_test_set_and_each_opening_is_written_first(image, whole, tmp_path, monkeypatch):
    from medjax.data import ledger
    from medjax.data.source import TfdsSource

    read = []
    real = TfdsSource.__getitem__

    def spy(self, index):
        if self.split == "test":
            written = (tmp_path / "run/test_ledger.json").exists()
            read.append(written)
        return real(self, index)

    # Prepared and indexed as well: that once reads every case, to find duplicates.
    other = shutil.copytree(whole(image)[0], tmp_path / "other")
    monkeypatch.setattr(TfdsSource, "__getitem__", spy)
    # One wave of the two: the program is that of the run before.
    run.train(config.override(image, ["seed=1", "replicates.seeds=2"]), tmp_path / "run", screen=Silent())
    run.evaluate(tmp_path / "run", "validation")
    assert read == []
    first = run.evaluate(tmp_path / "run", "test", command="first look")
    assert len(read) == 156
    assert all(read)
    assert first["about"]["opening"].startswith("opening 1, 1 model")
    again = run.evaluate(tmp_path / "run", "test", command="second look")
    assert again["about"]["opening"].startswith("opening 2, 1 model")
    assert again["metrics"] == first["metrics"]
    entries = json.loads((tmp_path / "run/test_ledger.json").read_text())
    assert [entry["command"] for entry in entries] == ["first look", "second look"]
    ledger.verify(entries)
    assert run.evaluate(other, "test")["about"]["opening"].startswith("opening 3, 2 models")


@pytest.mark.usefixtures("medjax_data")
def test_noise_in_the_test_set_changes_nothing(image, whole, tmp_path, monkeypatch):
    """Poison before training: parameters, thresholds and everything fitted stay bit-identical."""
    from medjax.data.source import TfdsSource

    where = whole(image)[0], tmp_path / "dirty"
    real = TfdsSource.__getitem__

    def poison(self, index):
        case = real(self, index)
        if self.split == "test":
            noise = np.random.default_rng(index).integers(0, 256, case["image"].shape).astype(np.uint8)
            case = {**case, "image": noise, "label": 1 - case["label"]}
        return case

    monkeypatch.setattr(TfdsSource, "__getitem__", poison)
    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path / "cache"))  # prepared anew, from poisoned cases
    run.train(image, where[1], screen=Silent())
    work = job.build(image)
    identical(*(final_state(workdir, work)[1] for workdir in where))
    plans = [json.loads((workdir / "record.json").read_text())["plan"] for workdir in where]
    assert plans[0]["threshold"] == plans[1]["threshold"]
    assert plans[0]["chosen"]["rule"] == "sensitivity>=.9"
    assert plans[0]["chosen"] == plans[1]["chosen"]
    assert plans[0]["model"] == plans[1]["model"]
    assert plans[0]["data"] != plans[1]["data"]


# ---------------------------------------------------------------------------------------------------------------------
# Load and predict
# ---------------------------------------------------------------------------------------------------------------------


def test_a_loaded_run_predicts_what_the_run_predicted(small, whole):
    workdir, _ = whole(small)
    model = run.load(workdir)
    assert model.warnings == ()
    assert model.digest == model.record["plan"]["model"]
    stored = read_csv(workdir / "predictions/out_of_fold.csv")
    work = job.build(small)
    cases = [work.source.source[i] for i in range(20)]
    predictions = model.predict(cases)
    assert predictions.values.shape == (4, 20, 2)
    assert list(predictions.id) == [case["id"] for case in cases]
    for row, name in enumerate(predictions.id):
        at = int(np.flatnonzero(stored.id == name)[0])
        for member in range(2):
            number = stored.replicate[member, at]
            np.testing.assert_allclose(predictions.values[number, row], stored.values[member, at], atol=1e-6)
    np.testing.assert_allclose(ensemble(predictions).sum(1), 1, atol=1e-6)


def test_a_wrong_case_is_refused_by_its_id(small, whole):
    model = run.load(whole(small)[0])
    with pytest.raises(InputError, match="case 'a'.*table"):
        model.predict([{"id": "a", "table": np.zeros(29, np.float32)}])
    with pytest.raises(InputError, match="no 'table'"):
        model.predict([{"id": "a", "image": np.zeros((2, 2, 1), np.float32)}])
    with pytest.raises(InputError, match="no case"):
        model.predict([])


def test_a_corrupt_last_checkpoint_falls_back_and_says_so(small, whole, tmp_path):
    shutil.copytree(whole(small)[0], tmp_path / "run")
    newest = tmp_path / "run/checkpoints/24"
    path = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    model = run.load(tmp_path / "run")
    assert "falling back to checkpoints/12" in model.warnings[0]
    assert "not the ones" in model.warnings[1]


def test_an_unfinished_run_and_an_absent_one_are_named(small, tmp_path):
    with pytest.raises(InputError, match="no such run folder"):
        run.load(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"record.json is missing"):
        run.load(tmp_path / "empty")


def test_experiments_are_equal_if_their_json_is(small):
    assert isinstance(small, Experiment)
    assert config.dumps(small) == config.dumps(config.decode(config.encode(small)))
