"""The simulation of coverage, small: no interval may be far off. The long one is `benchmarks/coverage.py`."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
    specification = importlib.util.spec_from_file_location("coverage_benchmark", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["coverage_benchmark"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_no_interval_is_far_off(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "LARGE", 20_000)
    chosen = (
        "40 + 40, 1 case a patient, calibrated",
        "80 patients x 5",
        "40 + 160",
        "3 classes x 40,",
        "60, 1 case a patient, normal",
        "80 patients x 4",
    )
    tried = 0
    for number, scenario in enumerate(benchmark.scenarios()):
        if not any(part in scenario.name for part in chosen):
            continue
        for name, row in benchmark.simulate(scenario, 40, number, 100).items():
            # With 40 repetitions .95 has a standard error of .034: .82 is almost four of them below.
            assert row["coverage"] >= 0.82, (scenario.name, name, row)
            assert row["undefined"] == 0
            tried += 1
    assert tried > 35


@pytest.mark.slow
def test_coverage_is_93_to_97_percent(benchmark):
    for number, scenario in enumerate(benchmark.scenarios()):
        if scenario.beyond or "heavy" in scenario.name or "AUROC" in scenario.name:
            continue
        for name, row in benchmark.simulate(scenario, 2000, number, 200).items():
            slack = 2 * np.sqrt(0.95 * 0.05 / 2000)
            assert 0.93 - slack <= row["coverage"] <= 0.97 + slack, (scenario.name, name, row)
