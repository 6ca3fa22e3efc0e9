"""The subgroups as text: within the width, with counts, and nothing judged where there is too little."""

import importlib.util
from pathlib import Path

import numpy as np

from medjax.evidence.subgroups import subgroups
from medjax.report.formats import WIDTH
from medjax.report.subgroup_table import subgroup_lines

_path = Path(__file__).parents[1] / "evidence" / "test_subgroups.py"
_specification = importlib.util.spec_from_file_location("subgroup_cases", _path)
cases = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(cases)


def test_a_line_a_group_with_counts_and_the_worst_below():
    generator = np.random.default_rng(0)
    predictions = cases.binary(0, 300, {
        "sex": generator.choice(["female", "male", ""], 300, p=[0.5, 0.4, 0.1]),
        "age": [f"{age:.0f}" for age in generator.normal(60, 12, 300)],
        "site": ["Tiny"] * 6 + ["A hospital with a very long name indeed, of the university"] * 294,
        "scanner": [f"s{k % 60}" for k in range(300)],
        "none": [""] * 300,
    })  # fmt: skip
    result = subgroups(predictions, positive=1, resamples=50)
    lines = subgroup_lines(result)
    assert max(map(len, lines)) <= WIDTH
    text = "\n".join(lines)
    assert lines[0].split() == ["Subgroups", "cases", "pat.", "malignant", "AUROC", "gap", "to", "the", "rest"]
    female = next(line for line in lines if line.startswith("  female"))
    found = result["attributes"]["sex"]["groups"]["female"]
    assert female.split()[1:4] == [
        str(found["cases"]),
        str(found["patients"]),
        str(found["events"]["malignant"]["cases"]),
    ]
    assert f"{found['metrics']['auroc']['estimate']:.3f}".replace("0.", ".") in female
    assert f"{found['gap']['low']:+.3f}".replace("0.", ".") in female
    assert "(unknown)" in text
    assert "tertiles of these patients" in text
    tiny = next(line for line in lines if line.startswith("  Tiny"))
    assert "too few:" in tiny
    assert "rest has too few" in next(line for line in lines if line.startswith("  A hospital"))
    assert "  and 40 smaller groups (40 with too few), 200 cases" in text
    assert "  no case has a value" in text
    assert "worst of 2: " in text
    assert "p =" not in text


def test_values_and_labels_have_their_own_names():
    generator = np.random.default_rng(1)
    z = generator.normal(size=(90, 3))
    value = cases.made(100 * z[:, 0], 100 * (z[:, :1] + z[:, 1:2]), {"sex": ["f", "m"] * 45}, "value")
    lines = subgroup_lines(subgroups(value, primary="mean_absolute_error", resamples=50))
    assert "mean absolute error" in lines[0]
    assert max(map(len, lines)) <= WIDTH
    labels = cases.made(
        (z > 0).astype(float), 1 / (1 + np.exp(-z - generator.normal(size=z.shape))), {"sex": ["f", "m"] * 45}, "labels"
    )
    lines = subgroup_lines(subgroups(labels, resamples=50))
    assert "AUROC, macro" in lines[0]
    assert subgroup_lines({"attributes": {}}) == []
