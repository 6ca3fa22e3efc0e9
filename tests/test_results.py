"""What a run tells its evaluation about itself: late entry, which the loss knows and the metrics do not."""

import numpy as np
import pytest

from medjax import folder
from medjax.evidence.predictions import Predictions
from medjax.experiment import Data, Duration, Evaluation, Experiment, Training
from medjax.models import Perceptron
from medjax.report import formats
from medjax.report.table import results_table
from medjax.results import Plan, judge
from medjax.tasks import Survival

TIMES, CASES = (2.0, 4.0), 60


def judged(path, entry):
    """An evaluation of predictions that know something, by a run with or without late entry."""
    rng = np.random.default_rng(0)
    risk = rng.normal(size=CASES)
    time = rng.exponential(4 * np.exp(-risk))
    curves = np.exp(-np.exp(risk)[:, None] * np.array(TIMES) / 4)
    predictions = Predictions(
        id=np.arange(CASES).astype(str), group=np.arange(CASES).astype(str), target=np.stack([time, time < 6], -1).astype(float),
        values=np.column_stack([risk, curves])[None], replicate=np.array([0]), seed=np.array([0]), fold=np.full(CASES, -1),
        kind="survival", times=TIMES, horizons=(2.0,),
    )  # fmt: skip
    experiment = Experiment(
        name="made_up",
        data=Data(name="made_up", inputs=("table",)),
        task=Survival(until=4, horizons=(2,), entry=entry),
        model=Perceptron(hidden=(4,)),
        training=Training(duration=Duration(steps=1), batch_size=4),
        evaluation=Evaluation(primary="concordance_index", resamples=20),
    )
    plan = Plan({"threshold": 0.5})
    return judge(experiment, plan, predictions, "validation", path, {"title": "made_up"})


@pytest.mark.parametrize("entry", [True, False])
def test_late_entry_is_a_warning_that_names_every_metric_which_ignores_it(tmp_path, entry):
    found = judged(tmp_path, entry)
    assert folder.read_json(tmp_path / folder.evaluation("validation")).get("late_entry") == found.get("late_entry")
    lines = [line for line in formats.warnings(found) if "late entry is ignored" in line]
    assert len(lines) == entry
    assert ("late entry is ignored" in " ".join(results_table(found).split())) == entry
    if entry:
        assert found["late_entry"]["metrics"] == list(found["metrics"])
        assert lines[0] == formats.warnings(found)[0]
        for name in found["metrics"]:
            assert formats.label(name) in lines[0]
