"""The page of a run that segments: pictures, spread, agreement, the worst cases; the same bytes every time."""

import json

import numpy as np

from medjax.evidence.predictions import Predictions
from medjax.metrics.segmentation import MEASURES
from medjax.report import overlays, page
from medjax.report.page import masks as drawings


def masks(cases=24, members=2) -> Predictions:
    rng = np.random.default_rng(0)
    truth = np.exp(rng.normal(0, 0.3, (cases, 2)))
    truth[:3, 1] = 0
    dice = np.where(truth > 0, 1 - np.exp(rng.normal(-2, 0.4, (members, cases, 2))), 1.0)
    volume, lesions = truth * np.exp(rng.normal(0, 0.1, (members, cases, 2))), (truth > 0) * np.ones((members, 1, 1))
    rows = dice, dice, dice, 200 * (1 - dice) ** 3, 1 - dice, volume, abs(volume - truth), lesions, lesions, 0 * lesions
    return Predictions(
        id=np.array([f"case {k}" for k in range(cases)]),
        group=np.array([f"patient {k // 2}" for k in range(cases)]),
        target=truth,
        values=np.stack(rows, -1).reshape(members, cases, -1),
        replicate=np.arange(members),
        seed=np.arange(members),
        fold=np.full(cases, -1),
        kind="segmentation",
        classes=("liver", "tumour <b>"),
        measures=MEASURES,
    )


def test_the_page_of_masks(tmp_path, write_run):
    found = masks()
    run = write_run(tmp_path / "run", {"validation": found}, primary="dice")
    path = run / "evaluation/validation.json"
    evaluation = json.loads(path.read_text())
    evaluation["about"]["volume_unit"] = "ml"
    path.write_text(json.dumps(evaluation))
    truth = np.zeros((9, 20, 22), np.uint8)
    truth[4, 6:12, 6:12] = 1
    truth[4, 12:15, 6:12] = 2
    image = np.random.default_rng(0).normal(size=(*truth.shape, 1))
    drawn = [
        overlays.overlay(rank, name, image, truth, np.roll(truth, 1, 1), (3.0, 1.0, 1.0))
        for rank, name in overlays.chosen(found)
    ]
    overlays.write(run / overlays.path_of("validation"), found.classes, drawn)
    files = {str(file.relative_to(run)): file for file in page.write(run)}
    for name in ("overlays", "cases", "bland_altman_1", "bland_altman_2"):
        assert f"report/figures/{name}.svg" in files
    text = files["report.html"].read_text()
    for words in (
        "Each class; cases: in whose truth it is present",
        "tumour &lt;b&gt;: lower limit of agreement",
        "volume error (ml)",
        "3 rightly empty",
        "Lowest Dice",
        "Medians (quartiles)",
        "predictions/validation_overlays.npz",
        "Metrics are means over the classes",
    ):
        assert words in text, words
    assert "tumour <b>" not in text
    assert "patient 1" not in text
    svg = files["report/figures/overlays.svg"].read_text()
    assert "<image" in svg
    assert drawings.overlays(found.classes, drawn, found).svg == svg
