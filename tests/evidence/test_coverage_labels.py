"""The simulation of coverage for labels, grades and quantiles, small; the long one is `benchmarks/coverage_labels.py`."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "coverage_labels.py"
    specification = importlib.util.spec_from_file_location("coverage_labels_benchmark", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["coverage_labels_benchmark"] = module
    specification.loader.exec_module(module)
    return module


def test_no_interval_is_far_off(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark.coverage, "LARGE", 20_000)
    tried = 0
    for number, scenario in enumerate(benchmark.scenarios()):
        if scenario.beyond or scenario.size > 160:
            continue
        for name, row in benchmark.coverage.simulate(scenario, 40, number, 50).items():
            # With 40 repetitions .95 has a standard error of .034: .82 is almost four of them below.
            assert row["coverage"] >= 0.82, (scenario.name, name, row)
            assert row["undefined"] == 0
            tried += 1
    assert tried >= 19


@pytest.mark.slow
def test_coverage_is_93_to_97_percent(benchmark):
    for number, scenario in enumerate(benchmark.scenarios()):
        if scenario.beyond:
            continue
        for name, row in benchmark.coverage.simulate(scenario, 2000, 1000 + number, 200).items():
            slack = 2 * np.sqrt(0.95 * 0.05 / 2000)
            assert 0.93 - slack <= row["coverage"] <= 0.97 + slack, (scenario.name, name, row)
