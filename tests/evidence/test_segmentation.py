"""From measures of masks to an evaluation: means by hand, intervals by patient, empty masks, comparison, and files."""

import json
from dataclasses import replace

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evidence.contest import contest
from medjax.evidence.evaluation import evaluate
from medjax.evidence.prediction_files import read_csv, write_csv
from medjax.evidence.predictions import Predictions, select
from medjax.evidence.segmentation_measures import share
from medjax.metrics.segmentation import MEASURES
from medjax.report.contest_table import contest_table
from medjax.report.table import results_table


def masks(quality: float = 1.0, cases: int = 40, members: int = 2, each: int = 1, seed: int = 0) -> Predictions:
    """Two classes, of which the second is absent in a fifth of the cases; 1 - Dice is `quality` times something skewed."""
    fixed, own = np.random.default_rng(7), np.random.default_rng(seed)
    truth = np.exp(fixed.normal(0, 0.3, (cases, 2)))
    truth[::5, 1] = 0
    there = truth > 0
    base = np.exp(fixed.normal(-2.2, 0.4, (cases, 2)))
    table = np.zeros((members, cases, 2, len(MEASURES)))
    for member in table:
        dice = np.where(there, 1 - quality * base * np.exp(own.normal(0, 0.1, (cases, 2))), 1.0)
        volume = truth * np.exp(own.normal(0.02, 0.1, (cases, 2)))
        distance = np.where(there, 10 * (1 - dice), 0.0)
        lesions = there * fixed.integers(1, 4, (cases, 2))
        found = np.minimum(lesions, own.poisson(2, (cases, 2)))
        rows = dice, dice / (2 - dice), dice, distance, distance / 4, volume, abs(volume - truth)
        member[:] = np.stack([*rows, lesions, found, own.poisson(0.5, (cases, 2))], -1)
    return Predictions(
        id=np.array([f"case_{k:02d}" for k in range(cases)]),
        group=np.array([f"patient_{k // each}" for k in range(cases)]),
        target=truth,
        values=table.reshape(members, cases, -1),
        replicate=np.arange(members),
        seed=np.arange(members),
        fold=np.full(cases, -1),
        kind="segmentation",
        classes=("liver", "tumour"),
        measures=MEASURES,
        attributes={"site": np.array(["a", "b"] * (cases // 2))},
    )


def test_an_evaluation_by_hand():
    predictions = masks()
    result = json.loads(json.dumps(evaluate(predictions, primary="dice"), allow_nan=False))
    table = predictions.values.reshape(2, 40, 2, len(MEASURES))
    dice, volume = table[..., 0], table[..., MEASURES.index("volume")]
    found = result["metrics"]["dice"]
    assert found["estimate"] == pytest.approx(dice.mean())
    assert found["low"] < found["estimate"] < found["high"] <= 1
    assert "rare failures" in found["warning"]
    assert found["median"] == pytest.approx(np.median(dice.mean((0, 2))))
    assert found["seeds"]["standard_deviation"] == pytest.approx(dice.mean((1, 2)).std(ddof=1))
    assert result["classes"]["tumour"]["dice"]["estimate"] == pytest.approx(dice[..., 1].mean())
    assert result["counts"]["classes"] == {
        "liver": {"cases": 40, "patients": 40},
        "tumour": {"cases": 32, "patients": 32},
    }
    lesions, hit = table[0, ..., MEASURES.index("lesions")], table[..., MEASURES.index("lesions_found")].mean(0)
    assert result["metrics"]["lesion_sensitivity"]["estimate"] == pytest.approx(
        hit.sum() / table[..., MEASURES.index("lesions")].mean(0).sum()
    )
    assert lesions[0, 1] == 0
    assert result["empty"]["tumour"] == {"absent": 8, "missed": 0, "invented": 0}
    difference = volume.mean(0)[:, 0] - predictions.target[:, 0]
    limits = result["agreement"]["liver"]
    assert limits["bias"]["estimate"] == pytest.approx(difference.mean())
    assert limits["upper_limit_of_agreement"]["estimate"] == pytest.approx(
        difference.mean() + 1.96 * difference.std(ddof=1)
    )
    assert set(result["subgroups"]["attributes"]["site"]["groups"]) == {"a", "b"}
    text = results_table(result | {"about": {"volume_unit": "ml"}})
    for words in (
        "Dice  [primary]",
        "Hausdorff 95 (mm)",
        "volume error (ml)",
        "tumour: 8 rightly empty",
        "upper limit",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 108


def test_the_unit_is_the_patient():
    """Two cases a patient that say the same: the interval is as wide as that of half the cases."""
    one, twice = masks(cases=40, members=1), masks(cases=80, members=1, each=2)
    repeated = np.repeat(np.arange(40), 2)
    from dataclasses import replace

    twice = replace(twice, values=one.values[:, repeated], target=one.target[repeated])
    alone, both = (evaluate(x, primary="dice")["metrics"] for x in (one, twice))
    for name in ("dice", "hausdorff_95", "lesion_sensitivity", "volume_error"):
        for end in ("low", "high"):
            assert both[name][end] == pytest.approx(alone[name][end], rel=1e-6)


def test_what_does_not_vary_has_an_estimate_and_a_reason():
    from dataclasses import replace

    predictions = masks()
    perfect = np.zeros_like(predictions.values).reshape(2, 40, 2, -1)
    perfect[..., :3] = 1
    result = evaluate(replace(predictions, values=perfect.reshape(predictions.values.shape)), primary="dice")
    for name, best in (("dice", 1), ("hausdorff_95", 0), ("false_lesions", 0)):
        found = result["metrics"][name]
        assert (found["estimate"], found["low"]) == (best, None)
        assert "no variation" in found["reason"]
    assert result["metrics"]["lesion_sensitivity"]["reason"] == "there is no lesion"
    assert results_table(result)


def test_runs_are_compared_case_by_case():
    better, worse = masks(1.0), masks(1.3, seed=1)
    result = evaluate(better, primary="dice", reference=worse, reference_name="worse", margin=0.01)
    found = result["comparison"]["predictors"]["dice"]
    assert found["verdict"] == "superior"
    assert found["estimate"] == pytest.approx(better.values[..., 0::10].mean() - worse.values[..., 0::10].mean())
    found = contest({"a": better, "b": worse}, primary="hausdorff_95")
    assert found["predictors"]["pairs"][0]["verdict"].startswith("better")
    assert "Hausdorff 95" in contest_table(found)
    from dataclasses import replace

    with pytest.raises(InputError, match="another target"):
        contest({"a": better, "b": replace(worse, target=worse.target + 1)}, primary="dice")


def test_share_of_clustered_things():
    """Without clusters it is Wilson's interval; whole patients that agree count as one thing each."""
    from medjax.evidence.intervals import wilson

    hit = np.array([1.0] * 30 + [0.0] * 10)
    found = share(hit, np.ones(40), np.arange(40))
    low, high = wilson(30, 40)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)
    clustered = share(5 * hit, np.full(40, 5.0), np.arange(40))
    assert (clustered.low, clustered.high) == pytest.approx((found.low, found.high), abs=0.01)
    assert share(np.zeros(3), np.zeros(3), np.arange(3)).reason


def test_a_table_of_masks_comes_back_and_may_be_shorter(tmp_path):
    predictions = masks()
    write_csv(tmp_path / "a.csv", predictions)
    back = read_csv(tmp_path / "a.csv")
    np.testing.assert_array_equal(back.values, predictions.values)
    np.testing.assert_array_equal(back.target, predictions.target)
    assert (back.kind, back.classes, back.measures) == ("segmentation", predictions.classes, MEASURES)
    lines = ["id,target_a_b,dice_a_b,hausdorff_95_a_b", *(f"{k},1.5,0.{k},{k}" for k in range(10, 30))]
    (tmp_path / "b.csv").write_text("\n".join(lines))
    short = read_csv(tmp_path / "b.csv")
    assert (short.classes, short.measures) == (("a_b",), ("dice", "hausdorff_95"))
    assert set(evaluate(short, primary="dice")["metrics"]) == {"dice", "hausdorff_95"}


@pytest.mark.parametrize(
    ("row", "words"),
    [("1.2,1,3", "dice_x is 1.2"), (".9,-1,3", "true volume"), (".9,1,-3", "volume_x is -3"), (".9,1,nan", "NaN")],
)
def test_wrong_cells_are_refused(tmp_path, row, words):
    (tmp_path / "a.csv").write_text(f"id,dice_x,target_x,volume_x\nk,{row}\n")
    with pytest.raises(InputError, match=words):
        read_csv(tmp_path / "a.csv")


def test_masks_of_all_models_together_are_what_is_judged_and_the_single_ones_stand_beside(tmp_path):
    alone = masks(quality=1.0, members=3)
    together = replace(alone, pooled=masks(quality=0.5, members=1).values[0])
    result = evaluate(together, primary="dice")
    dice = together.pooled.reshape(40, 2, -1)[..., 0]
    assert result["metrics"]["dice"]["estimate"] == pytest.approx(dice.mean())
    assert result["classes"]["liver"]["dice"]["estimate"] == pytest.approx(dice[:, 0].mean())
    assert result["metrics"]["dice"]["seeds"] == evaluate(alone, primary="dice")["metrics"]["dice"]["seeds"]
    assert "averaged" in results_table(result)
    assert "averaged" not in results_table(evaluate(alone, primary="dice"))
    some = select(together, np.array([3, 1]))
    np.testing.assert_array_equal(some.pooled, together.pooled[[3, 1]])

    write_csv(tmp_path / "a.csv", together)
    read = read_csv(tmp_path / "a.csv")
    np.testing.assert_array_equal(read.pooled, together.pooled)
    np.testing.assert_array_equal(read.values, together.values)
    np.testing.assert_array_equal(read.replicate, together.replicate)
    header, *rows = (tmp_path / "a.csv").read_text().splitlines()
    doubled = [row for row in rows for _ in range(1 + (",-1,-1," in row))]
    for wrong, words in ((rows[1:], "the same number of rows"), (doubled, "case_00 needs one row of all models")):
        (tmp_path / "b.csv").write_text("\n".join([header, *wrong]) + "\n")
        with pytest.raises(InputError, match=words):
            read_csv(tmp_path / "b.csv")


def test_several_methods_vary_around_their_single_models_and_predictors_are_judged_together():
    ours = replace(masks(quality=1.0, members=3), pooled=masks(quality=0.5, members=1).values[0])
    result = contest({"ours": ours, "theirs": masks(quality=1.0, members=3, seed=1)}, primary="dice")
    (predictors,), (methods,) = result["predictors"]["pairs"], result["methods"]["pairs"]
    assert predictors["estimate"] > 0.03
    assert abs(methods["estimate"]) < 0.01
