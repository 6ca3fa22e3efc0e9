import dataclasses
import math

import pytest

from medjax import config
from medjax.data.split import Folds, HashedSplit
from medjax.errors import InputError
from medjax.experiment import Data, Duration, Experiment, resolve
from medjax.models import FTTransformer
from medjax.tasks import Classification, Regression

CLASSES = ("malignant", "benign")


@pytest.mark.parametrize(
    ("duration", "batch", "cases", "steps"),
    [
        (Duration(steps=7), 16, 100, 7),
        (Duration(epochs=1.0), 16, 96, 6),
        (Duration(epochs=1.0), 16, 97, 7),  # a started batch is taken
        (Duration(epochs=2.0), 16, 97, 13),  # 194 cases: batches run on over the end of an epoch
        (Duration(epochs=0.5), 16, 96, 3),
        (Duration(epochs=1e-6), 16, 96, 1),
        (Duration(examples=33), 16, 1000, 3),
        (Duration(examples=1), 16, 1000, 1),
        (Duration(epochs=5.0), 100, 100, 5),
    ],
)
def test_durations_in_steps(duration, batch, cases, steps):
    assert duration.in_steps(batch, cases) == steps


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "not in nothing"),
        ({"steps": 1, "epochs": 1.0}, "not in steps and epochs.*null"),
        ({"steps": 0}, "must be positive and finite, not 0"),
        ({"epochs": -1.0}, "must be positive and finite, not -1"),
        ({"examples": 0}, "must be positive"),
        ({"epochs": math.nan}, "positive and finite, not nan"),
        ({"epochs": math.inf}, "positive and finite, not inf"),
    ],
)
def test_a_duration_is_one_positive_number_of_one_unit(settings, message):
    with pytest.raises(InputError, match=message):
        Duration(**settings)


def test_resolving_fills_in_what_the_data_say_and_nothing_else(small):
    resolved = resolve(small, CLASSES)
    assert resolved.task.classes == CLASSES
    assert resolved.model.outputs == 2
    assert resolve(resolved, CLASSES) == resolved
    assert dataclasses.replace(resolved, task=small.task, model=small.model) == small
    assert resolve(config.override(small, ["task.loss=sigmoid"]), CLASSES).model.outputs == 1
    assert resolve(dataclasses.replace(small, task=Regression()), ()).model.outputs == 1


EVERY = 'training.evaluate_every={"class": "medjax.experiment.Duration", "steps": 2}'


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["model.outputs=3"], "model.outputs is 3, but the task needs 2"),
        (["training.patience=3"], "training.patience needs training.select"),
        (["training.patience=3", "training.select=auroc"], "training.patience needs"),
        (["training.select=auroc"], "training.select 'auroc' needs training.evaluate_every"),
        ([EVERY, "training.select=auroc", "training.patience=0"], "training.patience 0 must be at least 1"),
        (["training.ema=1.0"], "training.ema 1.0 must lie between 0 and 1"),
        (["training.ema=0.0"], "training.ema 0.0"),
        (["training.accumulate=0"], "training.accumulate 0 must be at least 1"),
        (["training.log_every=0"], "training.log_every 0 must be at least 1"),
        (["training.save_grid=0"], "training.save_grid 0 must be at least 1"),
        (["training.batch_size=0"], "training.batch_size 0"),
        (["training.batch_size=-16"], "training.batch_size -16"),
        (["training.accumulate=3"], "training.batch_size 16 must be a positive multiple of accumulate 3"),
        (["training.batch_size=full", "training.accumulate=2"], "'full' goes with training.accumulate 1"),
        (["replicates.seeds=0"], "replicates.seeds 0 must be at least 1"),
        (["replicates.together=-1"], "replicates.together -1 must be at least 0"),
        ([EVERY, "training.select=auroc"], "held-out fold chooses nothing.*data.splits.hold_back"),
        (["evaluation.threshold=youden"], "evaluation.threshold 'youden' would be chosen anew in every fold"),
        (["evaluation.threshold=sensitivity>=1.5"], "evaluation.threshold: rule 'sensitivity>=1.5' must name a share"),
        (["evaluation.threshold=best"], "evaluation.threshold: unknown rule 'best'; use 'youden'"),
        (["evaluation.test=true"], "evaluation.test is set, but cross-validation has no test set"),
        (["optimizer.learning_rate=0.0"], "optimizer.learning_rate 0.0 must be positive"),
        (["optimizer.learning_rate=-1e-3"], "optimizer.learning_rate -0.001 must be positive"),
        (["optimizer.learning_rate=NaN"], "optimizer.learning_rate nan must be positive"),
        (["optimizer.learning_rate=Infinity"], "optimizer.learning_rate inf must be positive"),
        (["task.positive=cancer"], "task.positive 'cancer' is not a class"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_their_key(small, changes, message):
    with pytest.raises(InputError, match=message):
        resolve(config.override(small, changes), CLASSES)


def test_what_a_fold_may_not_choose_a_held_back_part_or_a_split_may(small):
    chosen = config.override(small, [EVERY, "training.select=auroc"])
    for splits in (Folds(count=2, hold_back=0.2), HashedSplit(), None):
        with_rule = config.override(chosen, [] if isinstance(splits, Folds) else ["evaluation.threshold=youden"])
        resolve(dataclasses.replace(with_rule, data=dataclasses.replace(small.data, splits=splits)), CLASSES)


def test_a_mix_that_is_no_mixing_is_refused(small):
    from functools import partial

    from medjax.augment import mixup, random_noise

    assert resolve(dataclasses.replace(small, mix=partial(mixup, alpha=0.3)), CLASSES).mix is not None
    with pytest.raises(InputError, match=r"mix is called with \(key, batch, inputs\)"):
        resolve(dataclasses.replace(small, mix=partial(random_noise, deviation=0.1)), CLASSES)


def test_a_model_of_columns_is_told_how_many_numbers_each_column_takes():
    given = Experiment(
        name="columns", data=Data(name="x", inputs=("table",), exclude=("late",)), task=Classification(positive="ill"),
        model=FTTransformer(),
    )  # fmt: skip
    found = resolve(given, ("well", "ill"), ("age", "late", "sex=male", "stage=I", "stage=II"))
    assert found.model.columns == (1, 1, 2)
    assert resolve(given, ("well", "ill")).model.columns == ()
    with pytest.raises(InputError, match="standardise names 'number', which is standardised by `code`"):
        resolve(dataclasses.replace(given, standardise=("number",)), ("well", "ill"))
