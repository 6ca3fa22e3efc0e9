"""Judging the outputs of models as they are: probabilities, values, risks and curves, one row a case."""

from medjax import job, predict, results
from medjax.data.source import Source
from medjax.evidence.predictions import Predictions
from medjax.job import Job
from medjax.judging.contract import Found, Judging
from medjax.predictor import Predictor
from medjax.results import Plan


def predictions(work: Job, model: Predictor, split: str) -> Predictions:
    """Return what the models say of "validation", "out_of_fold" or "calibration" cases."""
    if split == "calibration":
        cases = [work.partition.parts[0].calibration] * len(work.replicates)
    else:
        cases = [one.held_out if split == "out_of_fold" else one.validation for one in work.replicates]
    values = predict.predict_all(work.programs, model.variables, model.fitted, job.feed(work), cases)
    return (results.out_of_fold if split == "out_of_fold" else results.together)(work, values, cases)


def _development(work: Job, model: Predictor, plan: Plan, split: str) -> Found:
    del plan
    return Found(predictions(work, model, split))


def _elsewhere(model: Predictor, plan: Plan, cases: Source) -> Found:
    del plan
    return Found(model.predict([cases[i] for i in range(len(cases))]))


JUDGING = Judging(freeze=lambda work, model, plan: plan, development=_development, elsewhere=_elsewhere)
