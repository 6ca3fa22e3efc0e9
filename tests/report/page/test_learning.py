"""The learning curve on the page: the law that is drawn is the one that predicts; a curve of other data is refused."""

import json

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evidence.learning_curve import learning_curve
from medjax.report import page
from medjax.report.page import learning

SIZES = np.array([20, 40, 100, 200, 400])


def made(lower_is_better=False):
    generator = np.random.default_rng(0)
    error = 0.02 + 0.03 * (SIZES / 400) ** -0.5 + 0.0005 * generator.normal(size=(4, 5))
    found = learning_curve(
        SIZES, error if lower_is_better else 1 - error, 1e-5 * np.eye(5), cases=300, patients=250,
        lower_is_better=lower_is_better, resamples=100,
    )  # fmt: skip
    primary = "mean_absolute_error" if lower_is_better else "auroc"
    return {"about": {"judged_on": "validation cases"}, "primary": primary, **found}


@pytest.mark.parametrize("lower_is_better", [False, True])
def test_the_drawn_law_ends_at_the_prediction_for_twice_the_patients(lower_is_better):
    curve = made(lower_is_better)
    columns = learning.figure(curve).columns
    assert columns["patients of the law"][-1] == pytest.approx(800)
    assert columns["law"][-1] == pytest.approx(curve["prediction"]["estimate"], abs=1e-6)
    np.testing.assert_allclose(columns["estimate"], [point["estimate"] for point in curve["points"]])
    assert len(columns["value of a seed"]) == 20


def test_the_page_shows_the_curve_of_the_same_data_only(binary, tmp_path):
    data = json.loads((binary / "record.json").read_text())["data"]["name"]
    for name in (data, "other"):
        (tmp_path / name).mkdir()
        curve = made() | {"about": {"data": name}}
        (tmp_path / name / learning.RESULT).write_text(json.dumps(curve))
    files = page.write(binary, learning_curve=tmp_path / data)
    assert "How many more labelled patients" in files[0].read_text()
    assert (binary / "report/figures/learning_curve.csv").exists()
    with pytest.raises(InputError, match=f"this learning curve is of other, but the run was trained on {data}"):
        page.write(binary, learning_curve=tmp_path / "other")
