"""Predictions survive the trip through CSV exactly; broken files are refused by name."""

from dataclasses import replace

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evidence.predictions import Predictions, ensemble, read_csv, select, write_csv

FIELDS = ("id", "group", "target", "values", "replicate", "seed", "fold")


def make(members: int = 3, size: int = 7, folds: bool = False) -> Predictions:
    generator = np.random.default_rng(0)
    positive = generator.random((members, size))
    fold = np.arange(size) % 2 if folds else np.full(size, -1)
    replicate = fold[None] * members + np.arange(members)[:, None] if folds else np.arange(members)
    return Predictions(
        id=np.array([f'case "{k}", left' for k in range(size)]),
        group=np.array([f"patient {k // 2}" for k in range(size)]),
        target=np.array([0, 1, -1, 1, 0, 0, 1][:size]),
        values=np.stack([1 - positive, positive], axis=-1),
        replicate=replicate,
        seed=np.arange(members) + 10,
        fold=fold,
        kind="probability",
        classes=("no disease", "disease"),
    )


@pytest.mark.parametrize("folds", [False, True])
def test_csv_round_trip_is_exact(tmp_path, folds):
    predictions = make(folds=folds)
    write_csv(tmp_path / "out" / "test.csv", predictions)
    again = read_csv(tmp_path / "out" / "test.csv")
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(predictions, name))
    assert (again.kind, again.classes) == (predictions.kind, predictions.classes)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["test.csv"]


def test_values_round_trip_with_unknown_targets(tmp_path):
    values = np.random.default_rng(1).normal(size=(2, 7, 1)) * 1e-7
    target = np.array([0.1, np.nan, 1e30, -2, 0.3, 0.4, 0.5])
    predictions = replace(make(2), values=values, target=target, kind="value", classes=())
    write_csv(tmp_path / "value.csv", predictions)
    again = read_csv(tmp_path / "value.csv")
    np.testing.assert_array_equal(again.values, values)
    np.testing.assert_array_equal(again.target, target)


def test_ensemble_is_the_mean_over_members_and_select_keeps_order():
    predictions = make(folds=True)
    np.testing.assert_allclose(ensemble(predictions), predictions.values.mean(0))
    chosen = select(predictions, np.array([4, 1]))
    assert chosen.id.tolist() == [predictions.id[4], predictions.id[1]]
    np.testing.assert_array_equal(chosen.values, predictions.values[:, [4, 1]])
    np.testing.assert_array_equal(chosen.replicate, predictions.replicate[:, [4, 1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("0.", "x.", 1), "row 2"),
        (lambda text: text.replace("fold", "slice", 1), "header"),
        (lambda text: "\n".join(text.split("\n")[:-2]), "same number of rows"),
        (lambda text: text.replace(",11,", ",12,", 1), "disagree"),
        (lambda text: "", "header"),
    ],
)
def test_broken_files_are_refused(tmp_path, change, message):
    path = tmp_path / "broken.csv"
    write_csv(path, make())
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=message):
        read_csv(path)


def test_impossible_predictions_are_refused():
    predictions = make()
    bad = predictions.values.copy()
    bad[1, 2, 0] = np.nan
    with pytest.raises(InputError, match='case "2", left, seed 11'):
        replace(predictions, values=bad)
    with pytest.raises(InputError, match="repeat"):
        replace(predictions, id=np.array(["a"] * 7))
