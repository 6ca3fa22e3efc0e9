"""A run that segments, from training to judged and written label maps; with a model that compiles in a moment."""

import sys
from pathlib import Path

import jax
import nibabel
import numpy as np
import pytest
from PIL import Image

from medjax import cli, config, folder, job, run
from medjax.evidence.prediction_files import read_csv
from medjax.judging import masks
from medjax.report import overlays
from medjax.report.table import results_table
from medjax.segmentation.label_maps import read_maps
from medjax.segmentation.segmenter import Segmenter, load_largest

TINY = Path(__file__).with_name("one_pixel.py")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run, and which cases each fold chose its components on."""
    seen = {}

    def choose(segmenter, fold, members, cases, target):
        seen[fold] = [case["id"] for case in cases]
        return (1,) if fold == 0 else ()

    path = tmp_path_factory.mktemp("segmentation") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDJAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.setattr(masks, "choose_components", choose)
        results = run.train(config.load_experiment(TINY), path)["out_of_fold"]
    return path, results, seen


def test_every_case_is_judged_once_on_its_own_grid_and_its_label_map_is_kept(trained):
    path, results, _ = trained
    table, maps = read_csv(path / folder.predictions("out_of_fold")), read_maps(path / folder.label_maps("out_of_fold"))
    assert sorted(maps) == sorted(table.id.tolist())
    assert len(maps) == results["counts"]["cases"] == 12
    assert {one.shape for one in maps.values()} == {(32, 32)}
    areas = dict(zip(table.id.tolist(), table.pooled[:, table.measures.index("volume")], strict=True))
    field = 300 * 300 / 32 / 32  # mm2 a pixel
    for name, one in maps.items():
        assert areas[name] == pytest.approx((one == 1).sum() * field, rel=0.5)
    dice = table.pooled[:, table.measures.index("dice")]
    assert results["metrics"]["dice"]["estimate"] == pytest.approx(dice.mean())
    assert "Dice" in results_table(results)
    names, pictures = overlays.read(path / overlays.path_of("out_of_fold"))
    assert names == ("lesion",)
    assert len(pictures) == 6


def test_the_models_of_a_fold_are_judged_together_and_each_alone(trained):
    path, results, _ = trained
    table, model = read_csv(path / folder.predictions("out_of_fold")), run.load(path, TINY)
    assert table.seed.tolist() == [0, 1]
    assert {tuple(own) for own in table.replicate.T.tolist()} == {(0, 2), (1, 3)}  # seed-major, by fold
    single = table.values[..., table.measures.index("dice")].mean(1)
    assert single[0] != single[1]
    spread = {"mean": single.mean(), "standard_deviation": single.std(ddof=1), "count": 2}
    assert results["metrics"]["dice"]["seeds"] == pytest.approx(spread)
    assert results["counts"]["seeds"] == 2
    assert "single seeds, Dice: mean" in results_table(results)
    assert "probabilities of all 2 models are averaged" in results_table(results)
    segmenter, work = Segmenter(model, load_largest(model.record["plan"])), job.build(model.experiment)
    place = next(k for k in range(12) if table.fold[k] == 1)
    source = work.source.source
    case = next(one for one in (source[i] for i in range(len(source))) if one["id"] == table.id[place])
    alone = [segmenter.labels(one, 1) for one in segmenter.probabilities(case, [1, 3])]
    found = [masks.measured(model.experiment.task, case, one) for one in alone]
    np.testing.assert_allclose(table.values[:, place], found)
    together = segmenter.labels(np.mean(segmenter.probabilities(case, [1, 3]), axis=0), 1)
    np.testing.assert_allclose(table.pooled[place], masks.measured(model.experiment.task, case, together))


def test_windows_lie_over_all_devices(trained):
    segmenter = Segmenter(run.load(trained[0], TINY), {})
    window = segmenter.window
    assert window.batch == len(jax.local_devices()) > 1
    images = np.random.default_rng(0).random((window.batch, *window.shape, 1)).astype(np.float32)
    found = window.predict(*segmenter.placed[0], {"image": images})
    assert found.sharding.device_set == set(jax.local_devices())
    assert not found.sharding.is_fully_replicated


def test_components_are_chosen_on_cases_that_the_fold_neither_learns_from_nor_is_judged_on(trained):
    path, _, seen = trained
    table = read_csv(path / folder.predictions("out_of_fold"))
    for fold, ids in seen.items():
        assert ids
        assert not set(ids) & set(table.id[table.fold == fold].tolist())
    assert folder.read_json(path / folder.RECORD)["plan"]["largest_component"] == {"0": [1], "1": []}


def test_the_same_run_judged_again_gives_the_same_and_new_images_the_mean_of_all_folds(trained):
    path, results, _ = trained
    assert run.evaluate(path, config_file=TINY)["metrics"] == results["metrics"]
    model = run.load(path, TINY)
    segmenter = Segmenter(model, load_largest(model.record["plan"]))
    image = (
        np.random.default_rng(0).integers(0, 255, (20, 37, 1)).astype(np.uint8)
    )  # larger and smaller than the window
    case = {"id": "new", "image": image}
    each = segmenter.probabilities(case, [0, 1, 2, 3])
    assert each[0].shape == (20, 37, 2)
    np.testing.assert_allclose(each[0].sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(segmenter.segment(case), sum(each)[..., 1] > sum(each)[..., 0])
    assert jax.tree.leaves(model.variables)[0].shape[0] == 4


def elsewhere(path, masks=True, size=(20, 30), value=1, count=10):
    """A folder of images with masks, the third of which is of another size or holds another value."""
    rng = np.random.default_rng(0)
    for folder_name in ("images", "masks") if masks else ("images",):
        (path / folder_name).mkdir(parents=True)
    for number in range(count):
        Image.fromarray(rng.integers(0, 255, (20, 30)).astype(np.uint8)).save(path / f"images/case_{number}.png")
        if masks:
            mask = np.zeros(size if number == 3 else (20, 30), np.uint8)
            mask[4:10, 5:12] = value if number == 3 else 1
            Image.fromarray(mask).save(path / f"masks/case_{number}.png")
    return path


def evaluated(trained, data, monkeypatch):
    path, _, _ = trained
    words = ["medjax", "evaluate", str(path), "--data", str(data), "--config", str(TINY)]
    monkeypatch.setattr(sys, "argv", words)
    return cli.main()


def test_a_folder_of_masks_from_elsewhere_is_judged_by_all_models(trained, tmp_path, monkeypatch, capsys):
    path, _, _ = trained
    assert evaluated(trained, elsewhere(tmp_path / "hospital"), monkeypatch) == 0
    assert "mean of 4 models: EXTERNAL" in " ".join(capsys.readouterr().out.split())
    found = run.evaluations(path)["external_hospital"]
    table = read_csv(path / folder.predictions("external_hospital"))
    assert (found["counts"]["cases"], table.values.shape[0], table.replicate.tolist()) == (10, 4, [0, 1, 2, 3])
    assert table.pooled is not None
    assert table.target.ravel().tolist() == [42.0] * 10  # mm2: the pixel is unknown, so 1 mm
    assert len(read_maps(path / folder.label_maps("external_hospital"))) == 10
    listed = tmp_path / "list.csv"
    lines = (f"hospital/images/case_{k}.png,hospital/masks/case_{k}.png" for k in range(10))
    listed.write_text("\n".join(["image,mask", *lines]))
    assert evaluated(trained, listed, monkeypatch) == 0
    assert run.evaluations(path)["external_list"]["metrics"]["dice"] == found["metrics"]["dice"]


def test_what_cannot_be_judged_ends_with_one_message_that_names_the_file(trained, tmp_path, monkeypatch, capsys):
    (tmp_path / "picture.png").write_bytes(b"x")
    scans = tmp_path / "scans"
    for name in ("images/a.nii.gz", "masks/a.nii.gz"):
        (scans / name).parent.mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6), np.uint8), np.eye(4)), scans / name)
    for data, words in (
        (elsewhere(tmp_path / "bare", masks=False), "there is no folder 'images' with images and a folder 'masks'"),
        (elsewhere(tmp_path / "grid", size=(21, 30)), "mask case_3.png: it measures (21, 30), but its image (20, 30)"),
        (elsewhere(tmp_path / "value", value=7), "mask case_3.png: the value 7 is none of 2 classes. Mend it or leave"),
        (scans, "it holds NIfTI scans, but this run segments images"),
        (tmp_path / "picture.png", "to judge masks give a folder"),
        (tmp_path / "nowhere", "there is no such file or folder"),
    ):
        assert evaluated(trained, data, monkeypatch) == 2
        told = capsys.readouterr()
        assert told.err.startswith("error: ")
        assert told.err.count("\n") == 1
        assert str(data) in told.err
        assert words in told.err
        assert "--on-error" not in told.err  # which this verb does not have
        assert not told.out
