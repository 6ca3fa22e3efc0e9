"""A drafted experiment on times to an event: what it chooses from the data, and what it refuses."""

import numpy as np
import pytest

from medjax import config
from medjax.errors import InputError
from medjax.new import write as written


def table(path, words=("alive", "dead"), rows=150, change=lambda cells: cells):
    generator = np.random.default_rng(3)
    age = generator.normal(60, 10, rows)
    time = generator.exponential(np.exp(-(age - 60) / 20)) * 30
    event = generator.uniform(size=rows) < 0.6
    lines = ["person,age,stage,months,status"]
    for k in range(rows):
        cells = [f"p{k}", f"{age[k]:.1f}", ("I", "II", "III")[k % 3], f"{time[k] + 0.1:.2f}", words[int(event[k])]]
        lines.append(",".join(change(cells)))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_it_chooses_times_codes_and_splits_from_the_data(tmp_path):
    path, notes = written("care", table=table(tmp_path / "care.csv"), target="months", event="status", folder=tmp_path)
    experiment = config.load_experiment(path)
    assert experiment.data.origin.codes == (("status", (("alive", "0"), ("dead", "1"))),)
    assert experiment.data.origin.numeric == ("age",)
    assert experiment.data.origin.categorical == (("stage", ("I", "II", "III")),)
    assert 0 < experiment.task.horizons[0] < experiment.task.until
    assert any("events" in note and "censored" in note for note in notes)
    assert experiment.training.batch_size == "full"


@pytest.mark.parametrize(
    ("words", "change", "options", "told"),
    [
        (("alive", "dead"), lambda cells: cells, {"event": "stat"}, "there is no such column"),
        (("alive", "dead"), lambda cells: cells, {"target": None}, "needs --target"),
        (("red", "blue"), lambda cells: cells, {}, "means censored is not plain"),
        (("0", "0"), lambda cells: cells, {}, "means censored is not plain"),
        (("alive", "dead"), lambda cells: [*cells[:3], f"-{cells[3]}", cells[4]], {}, "negative time"),
        (("alive", "dead"), lambda cells: cells, {"positive": "dead"}, "--positive is for classes"),
    ],
)
def test_what_it_refuses(tmp_path, words, change, options, told):
    given = {"target": "months", "event": "status"} | options
    with pytest.raises(InputError, match=told):
        written("care", table=table(tmp_path / "care.csv", words, change=change), folder=tmp_path, **given)
    assert not (tmp_path / "care.py").exists()
