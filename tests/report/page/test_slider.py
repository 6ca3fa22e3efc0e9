"""The data of the slider recount every case at every threshold."""

import numpy as np

from medjax.evidence.predictions import ensemble
from medjax.report.page import slider
from medjax.report.page.reading import read


def recount(data, threshold):
    levels = np.array(data["levels"])
    above = levels >= threshold
    return [int(np.sum(np.array(data[key])[above])) for key in ("positives", "negatives")]


def test_counts_at_any_threshold_are_those_of_the_predictions(binary):
    run = read(binary)
    data = slider.data(run)
    score, ill = ensemble(run.judged)[:, 0], run.judged.target == 0
    for threshold in [0.0, 0.3, 0.5, 1.0, *score[:10], *np.nextafter(score[:10], 1)]:
        assert recount(data, threshold) == [int((score[ill] >= threshold).sum()), int((score[~ill] >= threshold).sum())]
    hits, alarms = recount(data, data["threshold"])
    assert hits == run.evaluation["metrics"]["sensitivity"]["numerator"]
    assert int((~ill).sum()) - alarms == run.evaluation["metrics"]["specificity"]["numerator"]
    assert data["clustered"]
    assert data["prevalence"] == 0.1
    assert not data["joined"]


def test_many_scores_are_joined_but_never_across_the_frozen_threshold(tmp_path, monkeypatch, predictions, write_run):
    monkeypatch.setattr(slider, "LEVELS", 20)
    found = predictions(cases=500)
    run = read(write_run(tmp_path / "run", {"test": found}, threshold=0.37))
    data = slider.data(run)
    assert data["joined"]
    assert len(data["levels"]) <= 21
    assert not data["clustered"]
    score, ill = ensemble(found)[:, 0], found.target == 0
    for threshold in (0.37, *data["levels"]):
        assert recount(data, threshold) == [int((score[ill] >= threshold).sum()), int((score[~ill] >= threshold).sum())]


def test_only_two_classes_have_a_slider(tmp_path, predictions, write_run):
    for kind, classes, primary in (("probability", ("a", "b", "c"), "auroc"), ("labels", ("a", "b"), "auroc"),
                                   ("value", (), "mean_absolute_error"), ("grade", ("a", "b"), "auroc")):  # fmt: skip
        run = write_run(tmp_path / f"{kind}{len(classes)}", {"test": predictions(kind, classes)}, primary=primary)
        assert slider.data(read(run)) is None
