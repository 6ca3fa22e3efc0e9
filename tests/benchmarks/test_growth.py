"""Curves of growing cost without measuring any: exponents, the page, its picture."""

import matplotlib.image
import numpy as np
import pytest

from benchmarks.growth import page
from benchmarks.growth.curve import exponent
from benchmarks.growth.curves import CURVES


def test_the_exponent_of_a_power_is_found_from_the_largest_sizes():
    sizes = [10, 20, 40, 80]
    rounds = [[5.0, *(scale * size**1.7 for size in sizes[1:])] for scale in (1.0, 3.0, 0.5, 2.0, 1.5, 1.1)]
    found = exponent(sizes, rounds)
    assert found["median"] == pytest.approx(1.7)
    assert (found["low"], found["high"]) == pytest.approx((1.7, 1.7))
    assert exponent(sizes, rounds[:5])["low"] is None  # too few rounds for an interval


def test_every_curve_can_be_fitted_and_has_a_name_of_its_own():
    assert len({curve.name for curve in CURVES}) == len(CURVES)
    for curve in CURVES:
        assert len(curve.sizes) >= 3
        assert list(curve.sizes) == sorted(set(curve.sizes))


def test_the_page_marks_what_grows_too_fast_and_has_a_picture(tmp_path):
    def measured(power: float) -> dict:
        sizes = [10, 20, 40]
        rounds = [[scale * 1e-3 * size**power for size in sizes] for scale in (1.0, 1.1, 0.9, 1.05, 0.95, 1.2)]
        return {"work": "sums", "axis": "cases", "sizes": sizes, "seconds": rounds, "most": 1, "why": "one sum each",
                "median": np.median(rounds, axis=0).tolist(), "exponent": exponent(sizes, rounds), "cores": 2,
                "load": {"others": 0.3}, "commit": "abc", "date": "2026-01-01"}  # fmt: skip

    machine = {"processor": "Made-up", "cores": 2, "memory_gib": 8.0, "system": "Linux"}
    content = {"machine": machine, "curves": {"slow": measured(2.0), "right": measured(0.9)}}
    slow, right = (line for line in page.page(content).splitlines() if line.startswith(("| slow", "| right")))
    assert "2.00 (2.00 to 2.00) **above** | 1 | 30 % !" in slow
    assert "**above**" not in right
    page.picture(content, tmp_path / "growth.png")
    assert matplotlib.image.imread(tmp_path / "growth.png").ndim == 3
