import dataclasses
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from medjax import config, job, run, sweep
from medjax.errors import InputError
from medjax.report.screen import Silent
from medjax.report.sweep_table import sweep_table
from medjax.training import checkpoint

CONFIG = Path(__file__).parent.parent / "configs/breast_cancer.py"


@pytest.fixture
def judging(small):
    """Two folds, from whose training patients some are held back to choose on."""
    return config.override(small, ["data.splits.hold_back=0.2", "replicates.seeds=1", "training.duration.steps=12"])


def parameters(folder, like):
    _, state, _ = checkpoint.restore(folder / "checkpoints", like)
    return state.variables["params"]


def test_a_trial_is_the_run_with_its_numbers(judging, tmp_path):
    decaying = dataclasses.replace(judging.optimizer, transform=partial(optax.adamw, weight_decay=0.5))
    experiment = dataclasses.replace(judging, optimizer=decaying)
    grid = {"optimizer.learning_rate": ["0.01", "0.1"], "optimizer.transform.weight_decay": ["0.5", "2"]}
    result = sweep.sweep(experiment, tmp_path / "sweep", grid, screen=Silent())
    assert len(result["trials"]) == 4
    plain = job.build(experiment)
    work = sweep._with_trials(plain, [{"learning_rate": np.float32(0), "transform.weight_decay": np.float32(0)}] * 4)
    like = jax.tree.map(lambda x: np.zeros((8, *x.shape), x.dtype), work.programs.state)
    every = parameters(tmp_path / "sweep", like)
    alone = config.override(experiment, ["optimizer.learning_rate=0.1", "optimizer.transform.weight_decay=2"])
    run.train(alone, tmp_path / "alone", screen=Silent())
    one = parameters(tmp_path / "alone", job.blank_state(plain.experiment, plain.shapes, 12, 2))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[6:], b, atol=1e-6), every, one)
    jax.tree.map(lambda a: np.testing.assert_array_less(1e-3, np.abs(a[:2] - a[6:]).max()), every)
    # Finished, it is read; another grid in the same folder is refused.
    assert sweep.sweep(experiment, tmp_path / "sweep", grid, screen=Silent()) == result
    before = (tmp_path / "alone/record.json").read_text()
    numbers = {"optimizer.learning_rate": ["1"]}
    with pytest.raises(InputError, match="holds a run that is no sweep"):
        sweep.sweep(alone, tmp_path / "alone", numbers, screen=Silent())
    assert (tmp_path / "alone/record.json").read_text() == before
    with pytest.raises(InputError, match="holds a sweep; give another"):
        run.train(experiment, tmp_path / "sweep", screen=Silent())
    with pytest.raises(InputError, match="another grid"):
        sweep.sweep(experiment, tmp_path / "sweep", {"optimizer.learning_rate": ["1"]}, screen=Silent())


def test_the_best_on_validation_is_chosen_and_the_number_of_trials_is_said():
    scores = np.array([[0.7, 0.9], [0.9, 0.8], [0.85, 0.85]])
    trials = [{"optimizer.clip": value} for value in ("1", "2", "3")]
    result = sweep.judged("auroc", trials, scores)
    assert [one["settings"]["optimizer.clip"] for one in result["trials"]] == ["2", "3", "1"]
    assert result["chosen"] == ["optimizer.clip=2", "evaluation.trials=3"]
    text = sweep_table({**result, "about": {"name": "x", "replicates": 2, "validation_cases": 40}})
    assert "best of 3 trials" in text
    assert "0.8500  0.8000  0.9000" in text


def test_what_changes_the_program_becomes_a_list_of_commands():
    grid = sweep.parse_grid(["optimizer.learning_rate=1e-4,1e-3", "training.batch_size=16,32", "seed=1,2"])
    lines = sweep.commands(CONFIG, ["replicates.seeds=2"], grid, Path("out"))
    assert len(lines) == 4
    assert lines[3] == (
        f"medjax sweep --config {CONFIG} --set replicates.seeds=2 --set training.batch_size=32 --set seed=2 "
        "--grid optimizer.learning_rate=1e-4,1e-3 --workdir out/003"
    )
    grid = sweep.parse_grid(["model.hidden=[64],[64,32]"])
    assert [line.split("'")[1] for line in sweep.commands(CONFIG, [], grid, Path("out"))] == [
        "model.hidden=[64]",
        "model.hidden=[64,32]",
    ]
    (line,) = sweep.commands(CONFIG, [], {"seed": ["3"]}, Path("a b"))
    assert line == f"python train.py --config {CONFIG} --set seed=3 --workdir 'a b/000'"
    with pytest.raises(InputError, match="did you mean 'batch_size'"):
        sweep.commands(CONFIG, [], {"training.batch_sise": ["3"]}, Path("out"))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "at least one --grid"),
        (["optimizer.clip"], "write it as key"),
        (["optimizer.clip=1,,2"], "write it as key"),
        (["optimizer.clip=1,1"], "stands there twice"),
        (["optimizer.clip=1", "optimizer.clip=2"], "is given twice"),
    ],
)
def test_a_grid_that_is_none_is_refused(texts, message):
    with pytest.raises(InputError, match=message):
        sweep.parse_grid(texts)


def test_held_out_folds_choose_nothing_and_words_are_no_numbers(small, tmp_path):
    with pytest.raises(InputError, match="hold_back"):
        sweep.sweep(small, tmp_path, {"optimizer.learning_rate": ["1"]}, screen=Silent())
    with pytest.raises(InputError, match="not of type float"):
        sweep.sweep(small, tmp_path, {"optimizer.learning_rate": ["x"]}, screen=Silent())
    with pytest.raises(InputError, match="needs a program for each value"):
        sweep.sweep(small, tmp_path, {"training.batch_size": ["8"]}, screen=Silent())
    with pytest.raises(InputError, match="is no number"):
        sweep.sweep(small, tmp_path, {"optimizer.clip": ["null"]}, screen=Silent())
