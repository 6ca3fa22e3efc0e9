"""The simulation of coverage for survival runs; the long one is `benchmarks/coverage_survival.py`."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "coverage_survival.py"
    specification = importlib.util.spec_from_file_location("coverage_survival_benchmark", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["coverage_survival_benchmark"] = module
    specification.loader.exec_module(module)
    return module


def test_every_interval_is_made(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark.coverage, "LARGE", 2000)
    first, folds = benchmark.scenarios()[0], next(one for one in benchmark.scenarios() if "folds" in one.name)
    for scenario, count in ((first, 7), (folds, 4)):
        rows = benchmark.coverage.simulate(scenario, 5, 0, 50)
        assert len(rows) == count
        for name, row in rows.items():
            assert row["undefined"] == 0, name
            assert row["coverage"] >= 0.4, (name, row)  # two of five: a slip in the truth or in the interval shows


@pytest.mark.slow
def test_coverage_is_93_to_97_percent(benchmark):
    for number, scenario in enumerate(benchmark.scenarios()):
        if scenario.beyond:
            continue
        for name, row in benchmark.coverage.simulate(scenario, 2000, 1000 + number, 200).items():
            assert 0.93 - 2 * row["error"] <= row["coverage"] <= 0.97 + 2 * row["error"], (scenario.name, name, row)
