"""The value of treatment rules on the page: intervals, both warnings, no section without the file, and other versions."""

import json

import numpy as np
import pytest

from medjax.evidence.treatment import Trial, policy
from medjax.report import page
from medjax.report.page import rules
from medjax.report.treatment_table import treatment_table


@pytest.fixture(scope="module")
def valued():
    """A rule on 80 patients, half of whom were treated."""
    rng = np.random.default_rng(0)
    treated = np.arange(80) % 2 == 0
    trial = Trial(
        time=rng.exponential(10, 80), event=rng.random(80) < 0.7, treated=treated, chance=np.full(80, 0.5),
        spared=rng.normal(8, 1, (80, 2)), patient=np.arange(80), until=12.0,
    )  # fmt: skip
    return {"about": {"title": "made_up", "treatment": "drug", "split": "test", "unit": "months"}} | policy(
        trial, resamples=50
    )


def test_the_page_shows_the_values_and_both_warnings_once_the_file_is_there(binary, undrawn, valued, monkeypatch):
    monkeypatch.setattr(rules, "render", lambda *_: "<svg></svg>")
    assert rules.TITLE not in page.write(binary)[0].read_text()
    (binary / "treatment").mkdir()
    (binary / "treatment/test.json").write_text(json.dumps(valued))
    text = page.write(binary)[0].read_text()
    assert f"{rules.TITLE}, test cases" in text
    gain = valued["doubly_robust"]["over_treat_none"]
    cell = f"{gain['estimate']:+.1f} ({gain['low']:+.1f} to {gain['high']:+.1f})"
    for words in (cell, "not a randomised comparison", "scores on this statistic too", "log-rank p", "in months"):
        assert words in text
    assert text.count('<li class="warning">WARNING: ') >= 2
    assert cell in treatment_table(valued)
    columns = (binary / "report/figures/treatment_test.csv").read_text()
    assert columns.count("\n") == 5
    assert "treatment/test.json" in text  # where the numbers come from


def test_a_file_of_another_version_is_named(valued):
    made = rules.section("validation", {key: one for key, one in valued.items() if key != "inverse"})
    assert "treatment/validation.json cannot be shown" in made["words"]


def test_a_rule_that_everybody_follows_has_a_reason_in_place_of_numbers(valued):
    same = {"followed": 80, "reason": "everybody or nobody was treated as the rule says"}
    made = rules.section(
        "test", valued | {"as_recommended": dict.fromkeys(("recommended", "treat_all", "treat_none"), same)}
    )
    assert made["tables"][1]["rows"][0] == ["as recommended", "80", same["reason"], "not reported"]
