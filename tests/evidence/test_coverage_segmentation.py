"""The simulation of coverage for masks; the long one is `benchmarks/coverage_segmentation.py`."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "coverage_segmentation.py"
    specification = importlib.util.spec_from_file_location("coverage_segmentation_benchmark", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["coverage_segmentation_benchmark"] = module
    specification.loader.exec_module(module)
    return module


def test_every_interval_is_made(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark.coverage, "LARGE", 4000)
    scenario = next(one for one in benchmark.scenarios() if one.name == "organ, 30 patients x 3")
    rows = benchmark.coverage.simulate(scenario, 5, 0, 50)
    assert len(rows) == 10
    for name, row in rows.items():
        assert row["undefined"] == 0, name
        assert row["coverage"] >= 0.4, (name, row)  # two of five: a slip in the truth or in the interval shows


@pytest.mark.slow
def test_means_are_covered_in_93_to_98_percent(benchmark):
    for number, scenario in enumerate(benchmark.scenarios()):
        if scenario.beyond:
            continue
        for name, row in benchmark.coverage.simulate(scenario, 2000, 1000 + number, 200).items():
            least = 0.91 if name.endswith("limit of agreement") else 0.93
            assert least - 2 * row["error"] <= row["coverage"] <= 0.98 + 2 * row["error"], (scenario.name, name, row)
