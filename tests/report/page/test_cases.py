"""Single cases: the right ones, in the right order, with pictures only where they are pictures."""

import numpy as np

from medjax.evidence.predictions import ensemble
from medjax.report.page import cases
from medjax.report.page.reading import read

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40


def test_the_most_confidently_wrong_come_first(binary):
    run = read(binary)
    wrong, hard = cases.hardest(run)
    score, ill = ensemble(run.judged)[:, 0], run.judged.target == 0
    mistakes = np.flatnonzero((score >= 0.5) != ill)
    own = np.where(ill, score, 1 - score)
    expected = mistakes[np.argsort(own[mistakes])][: cases.LISTED]
    assert wrong["ids"] == run.judged.id[expected].tolist()
    assert [row[0] for row in wrong["rows"]] == wrong["ids"]
    assert wrong["rows"][0][1:3] == (["ill", "well"] if ill[expected[0]] else ["well", "ill"])
    nearest = np.argsort(np.abs(score - 0.5))[: cases.LISTED]
    assert hard["ids"] == run.judged.id[nearest].tolist()
    single = (run.judged.values[:, expected[0], 0] >= 0.5) != ill[expected[0]]
    assert wrong["rows"][0][4] == f"{single.sum()} of 2"


def test_every_kind_of_target_has_its_cases(tmp_path, predictions, write_run):
    for kind, classes, primary in (("probability", ("a", "b", "c"), "auroc"), ("labels", ("a", "b"), "auroc"),
                                   ("value", (), "mean_absolute_error"), ("grade", ("a", "b", "c"), "auroc")):  # fmt: skip
        found = predictions(kind, classes)
        run = read(write_run(tmp_path / kind, {"test": found}, primary=primary))
        listed = cases.hardest(run)
        assert listed[0]["rows"]
        if kind == "value":
            error = np.abs(ensemble(found)[:, 0] - found.target)
            assert listed[0]["ids"] == found.id[np.argsort(-error)[: cases.LISTED]].tolist()
        if kind == "labels":
            top = listed[0]["rows"][0]
            row, column = found.id.tolist().index(top[0]), classes.index(top[1])
            assert (found.target[row, column] == 1) == (top[2] == "present")
            assert (ensemble(found)[row, column] >= 0.5) != (found.target[row, column] == 1)


def test_pictures_must_be_pictures_of_listed_cases():
    tables = [{"ids": ["a", "b", "c", "d"]}, {"ids": ["a"]}]
    asked = []

    def load(ids):
        asked.append(ids)
        return {
            "a": PNG,
            "b": b"<svg onload=alert(1)>",
            "c": b"\xff\xd8\xff" + b"0" * 10,
            "d": PNG + b"0" * 10**6,
            "z": PNG,
        }

    found = cases.pictures(tables, load)
    assert asked == [["a", "b", "c", "d"]]
    assert {name: text.split(";")[0] for name, text in found.items()} == {"a": "data:image/png", "c": "data:image/jpeg"}
    assert cases.pictures(tables, None) == {}
