import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from medjax.data import giveaways, twins
from medjax.data import partition as partition_room
from medjax.data.dataset import Dataset, Index
from medjax.data.source import MemorySource
from medjax.errors import InputError
from medjax.evidence.predictions import Predictions
from medjax.report import contact_sheet as sheet_room
from medjax.report import data
from medjax.report.audit import against, audited, in_words
from medjax.report.examination import examination, without
from medjax.report.pair_sheet import pair_sheet

COUNTS = {"train": 60, "validation": 20, "test": 20}
SECRET = "patient-Mustermann"
MADE = {}


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(0)
    found = np.stack([gaussian_filter(random.standard_normal((28, 28)), 1.2) for _ in range(100)]) * 300 + 128
    found[90] = found[5][::-1] * 0.8 + 20  # a test case that mirrors a training case
    found[7] = found[6]
    return np.clip(found, 0, 255).astype(np.uint8)[..., None]


@pytest.fixture
def dataset(monkeypatch, pictures):
    """Images of two classes with a mark in the corner of one, a date, and test labels that nobody may read."""
    part = np.repeat(list(COUNTS), list(COUNTS.values()))
    ids = np.array([f"{name}/{row:03d}" for row, name in enumerate(part)])
    label = np.random.default_rng(1).integers(0, 2, 100)
    label[7] = 1 - label[6]
    images = pictures.copy()
    images[label == 1, :2, :6] = 255
    images[90] = pictures[90]
    images[7] = images[6]
    told = {"day": np.array([f"2024-01-{1 + row % 28:02d}" for row in range(100)])}
    content = np.array([image.tobytes().hex() for image in images])
    group = np.array([f"{SECRET}-{row}" for row in range(100)])
    index = Index(part, ids, group, content, (("train/006", "train/007"),), "", told)

    class Sealed(dict):
        def __getitem__(self, key):
            assert key in ("id", "image"), f"{key} of a test case was read"
            return super().__getitem__(key)

    class Cases(MemorySource):
        def __getitem__(self, position):
            case = super().__getitem__(position)
            return Sealed(case) if case["id"].startswith("test") else case

    def open_split(dataset, split):
        rows = np.flatnonzero(part == split)
        return Cases(
            [
                {"id": str(ids[row]), "group": str(group[row]), "image": images[row], "label": int(label[row])}
                for row in rows
            ]
        )

    for module in (twins, partition_room, sheet_room):
        monkeypatch.setattr(module, "open_split", open_split)
    return Dataset("demo", "1", ("ill", "well"), (), ("image",), ("label",), True, COUNTS, index, Path(), "", "", "")


@pytest.fixture
def deep(dataset):
    """The audit of the planted set, once for all tests that look at it."""
    if not MADE:
        MADE["it"] = audited(dataset)
    return MADE["it"]


def test_the_deep_audit_says_what_was_planted(dataset, deep):
    text, page, result, found = deep
    assert "inputs of the 20 test cases were read; their labels were not looked at" in text
    assert "train and test: 1 pairs; 1 of 60 in train, 1 of 20 in test" in text
    assert "train/005 = test/090" in text
    assert "labels differ: train/006 = train/007" in text
    assert "border of the picture alone" in text
    assert "'day': 60 of 60 training cases are later than the first test case" not in text
    assert "training cases are later than the first test case" in text
    assert SECRET not in text
    assert max(map(len, text.splitlines())) <= 108
    assert page is not None
    image = Image.open(io.BytesIO(page))
    assert image.size[0] > 3 * 2 * 96
    assert text.startswith(data.audited(dataset))
    assert text.endswith(in_words(result))
    assert len(found.pairs) == len(result["near_duplicates"]["pairs"])


def test_the_json_holds_no_nan_and_no_patient(dataset, deep):
    found, development = deep.twins, giveaways.read(dataset)
    result = examination(dataset, None, found, development, after=("nowhere",))
    text = json.dumps(result, allow_nan=False)
    assert SECRET not in text
    assert result["near_duplicates"]["counts"]["train+test"] == {"pairs": 1, "cases": [1, 1]}
    assert result["near_duplicates"]["expected_without_copies"] == pytest.approx(99e-4)
    assert result["near_duplicates"]["labels"]["pairs"] == 1  # the pair with a test case is not asked for its labels
    assert result["border"]["border"]["estimate"] > 0.9
    assert result["after"] == []
    assert in_words(result)
    development = giveaways.Development(
        development.answer, development.questions, development.fold,
        {"told": development.answer[:, 0], "maybe": np.where(np.arange(80) % 2, np.nan, 1.0)},
        frozenset({"told"}), None, development.patient,
    )  # fmt: skip
    result = examination(dataset, None, found, development)
    told, maybe = result["columns"]
    assert (told["column"], told["suspect"], told["input"], told["auroc"]["estimate"]) == ("told", True, True, 1.0)
    assert not maybe["suspect"]
    assert maybe["missing_auroc"]["low"] <= maybe["missing_auroc"]["estimate"] <= maybe["missing_auroc"]["high"]
    assert "EXPLAIN IT" in in_words(result)
    assert result["border"] is None


def test_cases_of_one_data_set_are_found_in_another(dataset, pictures, monkeypatch):
    """The other data set holds three of the pictures, mirrored, among sixty of its own."""
    first, rows, random = replace(dataset, inputs=("image",)), (3, 50, 70), np.random.default_rng(5)
    own = np.stack([gaussian_filter(random.standard_normal((28, 28)), 1.2) for _ in range(60)]) * 300 + 128
    images = [*(pictures[row][:, ::-1] for row in rows), *np.clip(own, 0, 255).astype(np.uint8)[..., None]]
    ids = np.array([f"b/{row}" for row in (*rows, *range(100, 160))])
    other = replace(
        dataset, name="other", splits={"all": 63}, version="2",
        index=Index(np.full(63, "all"), ids, ids, ids, (), "", {}),
    )  # fmt: skip
    cases = MemorySource([{"id": name, "image": image} for name, image in zip(ids, images, strict=True)])
    before = twins.open_split

    def either(chosen, split):
        return cases if chosen.name == "other" else before(chosen, split)

    for module in (twins, sheet_room):
        monkeypatch.setattr(module, "open_split", either)
    text, page = against(first, other)
    assert "3 pairs, 0 of them identical; 3 cases of demo, 3 of other" in text
    assert "train/003 = b/3" in text
    assert page is not None
    with pytest.raises(InputError, match="is the same data set"):
        against(first, first)


def test_without_pairs_there_is_no_sheet(dataset):
    found = twins.Twins((), "image", 100, 1e-4)
    assert pair_sheet(dataset, found) is None
    text = in_words(examination(dataset, None, found, None))
    assert "  none" in text


def predictions(cases=80):
    random = np.random.default_rng(0)
    target = (np.arange(cases) % 2).astype(np.int64)
    score = np.clip(0.5 + 0.1 * (target - 0.5) + random.normal(0, 0.2, cases), 0.01, 0.99)
    score[:20] = np.where(target[:20] == 1, 0.999, 0.001)  # known by heart
    ids = np.array([f"test/{row:03d}" for row in range(cases)])
    values = np.stack([1 - score, score], -1)[None]
    return Predictions(
        ids,
        ids,
        target,
        values,
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
        np.full(cases, -1),
        "probability",
        ("a", "b"),
    )


def test_the_metric_without_suspects_is_that_of_the_others():
    shown = predictions()
    found = without(shown, [f"test/{row:03d}" for row in range(20)] + ["train/000"], positive=1, resamples=50)
    assert found["left_out"] == 20
    assert found["all"]["metrics"]["auroc"]["estimate"] == pytest.approx(
        roc_auc_score(shown.target, shown.values[0, :, 1])
    )
    assert found["without"]["metrics"]["auroc"]["estimate"] == pytest.approx(
        roc_auc_score(shown.target[20:], shown.values[0, 20:, 1])
    )
    assert found["without"]["metrics"]["auroc"]["estimate"] < found["all"]["metrics"]["auroc"]["estimate"]
    assert found["without"]["counts"]["cases"] == 60


def test_where_nothing_can_be_judged_without_suspects_the_reason_is_given():
    shown = predictions(40)
    ids = shown.id.tolist()
    for suspects, reason in (
        ([], "no suspect"),
        (["train/000"], "no suspect"),
        (ids, "every judged case"),
        ([one for one, target in zip(ids, shown.target, strict=True) if target], "no case is b"),
    ):
        found = without(shown, suspects, positive=1, resamples=50)
        assert found["without"] is None
        assert reason in found["reason"]
