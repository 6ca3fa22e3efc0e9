"""Abstention on the page: the numbers of the evaluation, in words, and a figure that ends where every case is answered."""

import numpy as np
import pytest

from medjax.evidence import selective
from medjax.report.page import abstention


@pytest.fixture(scope="module")
def content():
    random = np.random.default_rng(0)
    confidence, patient = random.normal(size=300), np.arange(300)
    right = random.random(300) < 1 / (1 + np.exp(-1 - confidence))
    chosen = selective.choose(confidence, right, patient, coverage=0.8)
    target = (np.arange(300) % 2).astype(int)
    return {
        "curve": selective.risk_coverage(confidence, right, patient),
        "frozen": selective.report(chosen, confidence, right, patient, target=target, names=("well", "ill")),
        "wrong": float(1 - right.mean()),
    }


def test_the_table_says_in_words_what_was_answered_and_what_the_worst_case_is(content):
    (table,) = abstention.tables(content)
    assert table["head"] == ["", "all cases", "well", "ill"]
    rows = {row[0]: row[1:] for row in table["rows"]}
    assert rows["answered"][0].endswith(f"{content['frozen']['counts']['kept']}/300")
    assert len(rows) == 5
    assert all("numbers, in the JSON" not in cell for row in table["rows"] for cell in row)
    assert abstention.tables({"curve": content["curve"]}) == []


def test_the_figure_ends_at_the_error_of_all_cases(content):
    drawn = abstention.figure(content)
    assert drawn.columns["coverage"][-1] == pytest.approx(1.0)
    assert drawn.columns["risk"][-1] == pytest.approx(content["wrong"])
    assert "lower is better" in drawn.caption
    assert abstention.figure({}) is None
