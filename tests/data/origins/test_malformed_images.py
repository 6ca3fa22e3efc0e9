"""Malformed images and manifests, few of each kind; all of them: `benchmarks/malformed_images.py`."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def malformed():
    path = Path(__file__).parents[3] / "benchmarks" / "malformed_images.py"
    spec = importlib.util.spec_from_file_location("malformed_images", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["malformed_images"] = module
    spec.loader.exec_module(module)
    return module


def test_every_malformed_file_is_refused_by_name_or_harmless(malformed):
    found = malformed.run(seed=11, share=0.05)
    assert [(sample.kind, text) for _, sample, outcome, text in found if outcome == "FAILURE"] == []
    for part, least in (("images", 80), ("manifests", 60)):
        assert sum(where == part for where, *_ in found) >= least
    outcomes = Counter((sample.kind, outcome) for _, sample, outcome, _ in found)
    assert not any(outcome == "unseen" for kind, outcome in outcomes if kind.startswith("PNG") or kind.endswith("cut"))
    assert sum(count for (_, outcome), count in outcomes.items() if outcome == "refused") > 100
