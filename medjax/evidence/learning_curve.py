"""Learning curves: a metric against the number of training patients, and what up to twice as many would bring.

The error (1 - metric, or the loss itself) of single models follows a power law of the patients (`power_law`). Intervals
come from a parametric bootstrap in which the judged patients, whom all sizes share, the models, and the training patients
at hand vary. `benchmarks/learning_curve.py` simulates how often they hold the truth, and how often a curve is called not
estimable.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Shaped

from medjax.errors import InputError
from medjax.evidence import intervals, resampling
from medjax.evidence.auroc import auroc_influence, influence_variance
from medjax.evidence.comparison import SINGLE_MODELS, with_seeds
from medjax.evidence.intervals import SCALES, Interval, t_quantile, undefined
from medjax.evidence.measures import entry, point
from medjax.evidence.power_law import EXPONENTS, OFFSETS, Law, Sizes, at, factor_for, fit, smooth_variance
from medjax.evidence.predictions import Predictions, known, select
from medjax.evidence.setting import Setting, lower_is_better, no_direction

EDGE = 1.01  # as near as this an exponent is at its limit
FEWEST_SIZES = 4  # one more than the law has parameters
FEWEST_SEEDS = 3
FURTHEST = 2.0  # times the largest size: nothing is said beyond
MISFIT = 0.01  # a law that fits worse than so many of its own samples does not describe the values
UNBOUNDED = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_grade_error",
    "log_loss",
    "pinball_loss",
    "hausdorff_95",
    "mean_surface_distance",
    "volume_error",
    "false_lesions",
)
BOOTSTRAP = 500  # resamples of patients, where they are too many for a jackknife: only a covariance comes from them


def learning_curve(
    sizes: Shaped[np.ndarray, " sizes"],
    values: Float[np.ndarray, "seeds sizes"],
    patient_covariance: Float[np.ndarray, "sizes sizes"],
    *,
    cases: int,
    patients: int,
    lower_is_better: bool = False,
    gain: float | int = 0.01,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict:
    """A learning curve as plain JSON: the points, the law, twice the patients, and how many more a gain would take.

    Args:
        sizes: training patients, ascending.
        values: the metric of each single model, all judged on the same patients; each seed has its own nested subsets.
        patient_covariance: of the means over seeds, as the judged patients vary.
        cases: how many were judged.
        patients: how many were judged.
        lower_is_better: the metric is an error; otherwise its best value is 1.
        gain: the wanted improvement, on the scale of the metric.
        level: of the intervals.
        resamples: of the parametric bootstrap.
        seed: of the parametric bootstrap.

    Raises:
        InputError: sizes that do not ascend, or a gain that is not positive.
    """
    if not len(sizes) or np.any(np.diff(sizes) <= 0) or sizes[0] <= 0:
        raise InputError(f"learning curve: the sizes {sizes.tolist()} must be numbers of patients in ascending order")
    if not 0 < gain < math.inf:
        raise InputError(f"learning curve: the gain {gain} must be positive; state the improvement that would matter")
    error = values if lower_is_better else 1.0 - values

    def show(found: Interval, **more: object) -> dict:
        return entry(found, cases, patients, **more)

    largest, furthest = int(sizes[-1]), int(FURTHEST * sizes[-1])
    result: dict = {"level": level, "wanted_gain": float(gain), "largest": largest, "furthest": furthest, "points": []}
    for k, size in enumerate(sizes.tolist()):
        found = _point(error[:, k], float(patient_covariance[k, k]), patients, level)
        spread = _spread(values[:, k])
        result["points"].append(show(_turned(found, lower_is_better), training_patients=size, seeds=spread))

    def refused(reason: str) -> dict:
        return result | {"estimable": False, "reason": reason, "answer": f"not estimable: {reason}"}

    if reason := _unfit(error, patient_covariance):
        return refused(reason)
    variance = smooth_variance(sizes, error)
    if not np.all(np.isfinite(variance)):
        return refused("the models of different seeds do not differ")
    relative, mean, weight = sizes / sizes[-1], error.mean(axis=0), 1 / variance
    # The seeds' subsets come from the same training patients: as one model does at the largest size, all points would
    # move with other patients, by about as much (Hoeffding's projection: subsets of one pool share its mean influence).
    covariance = patient_covariance + np.diag(variance) / len(values) + variance[-1]
    trend = _trend(relative, mean, weight, covariance, len(values), level)
    if not trend.high < 0:
        return refused("the metric does not get better with patients beyond what noise explains")
    law = fit(relative, mean, weight)
    generator = np.random.Generator(np.random.Philox(key=seed))
    # On the logarithm of the error, as the points' own intervals: an error near 0 has its long tail upwards.
    shares = covariance / np.outer(mean, mean)
    noise = generator.multivariate_normal(np.zeros(len(sizes)), shares, resamples, method="eigh")
    # Twice: a pure power law promises too much where the start is slow, one with an offset too little where it is not.
    pure = fit(relative, mean, weight, offsets=(0.0,))
    drawn = [
        fit(relative, at(one, relative) * np.exp(noise), weight, offsets=offsets, narrowings=0)
        for one, offsets in ((law, OFFSETS), (pure, (0.0,)))
    ]
    agreement = float(np.mean(drawn[0].misfit >= law.misfit))

    def interval(quantity: Callable[[Law], np.ndarray]) -> Interval:
        estimate, (low, high) = float(quantity(law)), _ends(drawn, quantity, level)
        method = f"power law by weighted least squares, parametric bootstrap ({resamples})"
        return Interval(estimate, min(low, estimate), max(high, estimate), level, method)

    result["law"] = {
        "formula": f"{'metric' if lower_is_better else '1 - metric'} = limit + scale * "
        f"((patients + offset) / ({largest} + offset)) ** -exponent",
        "limit": float(law.limit),
        "scale": float(law.scale),
        "offset": float(law.offset) * largest,
        "exponent": float(law.exponent),
        "goodness_of_fit": agreement,
    }
    if agreement < MISFIT:
        return refused(f"the values do not follow a power law (p = {agreement:.2g})")
    if law.exponent <= EXPONENTS[0] * EDGE:
        return refused(f"the exponent of the power law is at its lower limit, {EXPONENTS[0]:g}")
    if law.exponent >= EXPONENTS[-1] / EDGE and law.offset == 0:
        return refused(f"after the first sizes the curve is flat (exponent at its upper limit, {EXPONENTS[-1]:g})")
    then = interval(lambda one: at(one, FURTHEST))
    if not then.high - then.low < float(np.ptp(mean)):
        return refused("the interval at twice the patients is wider than the whole curve so far")
    change = interval(lambda one: at(one, 1.0) - at(one, FURTHEST))
    needed = _needed(law, drawn, float(gain), largest, level)
    return result | {
        "prediction": show(_turned(then, lower_is_better), training_patients=furthest),
        "gain_of_doubling": show(change),
        "needed": needed,
        "estimable": True,
        "answer": needed["answer"],
    }


def _point(error: Float[np.ndarray, " seeds"], variance: float, patients: int, level: float) -> Interval:
    """The mean error of single models; patients and seeds vary; symmetric on the log scale."""
    if not np.all(np.isfinite(error)):
        return undefined("the metric is undefined for a model", level)
    if len(error) < 2:
        return undefined("a single seed shows no spread", level, float(error.mean()))
    mean = float(error.mean())
    total, degrees = with_seeds(error, np.zeros(1), variance, patients - 1)
    if not total > 0 or patients < 2:
        return undefined("neither patients nor seeds vary", level, mean)
    forward, derivative, back = SCALES["log"]
    half = t_quantile(level, degrees) * math.sqrt(total) * float(derivative(mean))
    low, high = (float(back(forward(mean) + side * min(half, 700.0))) for side in (-1, 1))
    return Interval(mean, low, high, level, f"{SINGLE_MODELS}, log scale of the error")


def _turned(found: Interval, lower_is_better: bool) -> Interval:
    """An interval of the error as one of the metric."""
    if lower_is_better:
        return found
    return replace(found, estimate=1 - found.estimate, low=1 - found.high, high=1 - found.low)


def _spread(values: Float[np.ndarray, " seeds"]) -> dict:
    finite = values[np.isfinite(values)]
    return {
        "mean": float(finite.mean()) if len(finite) else None,
        "standard_deviation": float(finite.std(ddof=1)) if len(finite) > 1 else None,
        "count": len(values),
        "values": [one if math.isfinite(one) else None for one in values.tolist()],
    }


def _unfit(error: Float[np.ndarray, "seeds sizes"], covariance: Float[np.ndarray, "sizes sizes"]) -> str:
    """Why no law can be fitted, or an empty text."""
    seeds, sizes = error.shape
    if sizes < FEWEST_SIZES:
        return f"{sizes} sizes, and a power law needs at least {FEWEST_SIZES}"
    if seeds < FEWEST_SEEDS:
        return f"{seeds} seed{'s' * (seeds != 1)}, and the spread of models needs at least {FEWEST_SEEDS}"
    if not np.all(np.isfinite(error)):
        return "the metric is undefined for some models"
    if not np.all(error.mean(axis=0) > 0):
        return "all models of some size are perfect"
    if not np.all(np.isfinite(covariance)):
        return "too few patients were judged"
    return ""


def _trend(
    relative: Sizes, error: Sizes, weight: Sizes, covariance: Float[np.ndarray, "sizes sizes"], seeds: int, level: float
) -> Interval:
    """Change of the error for each doubling of the patients, by weighted least squares."""
    place = np.log2(relative) - np.log2(relative) @ weight / weight.sum()
    contrast = place * weight / (place**2 @ weight)
    slope = float(contrast @ error)
    half = t_quantile(level, len(error) * (seeds - 1)) * math.sqrt(float(contrast @ covariance @ contrast))
    return Interval(slope, slope - half, slope + half, level, "weighted least squares on the logarithm of patients")


def _ends(drawn: Sequence[Law], quantity: Callable[[Law], np.ndarray], level: float) -> tuple[float, float]:
    """The outermost quantiles of a quantity over the samples of each kind of law."""
    places = [0.5 - level / 2, 0.5 + level / 2]
    ends = [np.quantile(quantity(one), places, method="inverted_cdf") for one in drawn]
    return float(min(end[0] for end in ends)), float(max(end[1] for end in ends))


def _needed(law: Law, drawn: Sequence[Law], gain: float, largest: int, level: float) -> dict:
    """How many patients more would bring the gain, said only up to the furthest size."""

    if gain >= (left := float(at(law, 1.0))):
        answer = f"no number of patients can: only {left:.2g} is missing to the best value"
        return {"gain": gain, "more_patients": None, "low": None, "high": None, "level": level, "answer": answer}

    def more(factor: float) -> int | None:
        return math.ceil((factor - 1) * largest - 1e-9) if factor <= FURTHEST else None

    estimate = more(float(factor_for(law, gain)))
    low, high = (more(end) for end in _ends(drawn, lambda one: factor_for(one, gain), level))
    if estimate is None:
        answer = "more than twice the data: not estimable"
        answer += f" (at the least {low} more patients)" if low is not None else ""
    else:
        low = estimate if low is None else min(low, estimate)
        high = None if high is None else max(high, estimate)
        answer = f"{estimate} more patients ({low} to {'more than twice the data' if high is None else high})"
    return {"gain": gain, "more_patients": estimate, "low": low, "high": high, "level": level, "answer": answer}


def judge(
    sizes: Shaped[np.ndarray, " sizes"],
    predictions: Sequence[Predictions],
    *,
    primary: str = "auroc",
    positive: int | None = None,
    threshold: float | int = 0.5,
    gain: float | int | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict:
    """The learning curve of predictions by models that learnt from more and more patients.

    Args:
        sizes: training patients, ascending.
        predictions: for each size, of the same cases, a member a seed.
        primary: the metric.
        positive: the positive class where there are two.
        threshold: of the positive class, for metrics that need one.
        gain: the wanted improvement of the metric; None: .01, of errors without an upper limit a twentieth.
        level: of the intervals.
        resamples: of the parametric bootstrap, and of patients where they are too many for a jackknife.
        seed: of both.

    Raises:
        InputError: a metric that cannot be primary, other cases or numbers of seeds at some size, no case with a target.
    """
    first = predictions[0]
    for one in predictions:
        if one.values.shape != first.values.shape or np.any(one.id != first.id) or one.kind != first.kind:
            raise InputError("learning curve: every size needs predictions of the same cases by as many seeds")
    rows = np.flatnonzero(known(first))
    if not len(rows):
        raise InputError("learning curve: no judged case has a target")
    predictions = [select(one, rows) for one in predictions]
    first = predictions[0]
    setting = Setting(
        target=first.target,
        patient=intervals.patient_codes(first.group),
        fold=first.fold if np.any(first.fold >= 0) else None,
        kind=first.kind,
        classes=first.classes,
        positive=positive if len(first.classes) == 2 else None,
        threshold=float(threshold),
        level=level,
        resamples=resamples,
        seed=seed,
        quantiles=first.quantiles,
    )
    if primary not in setting.names or no_direction(primary):
        known_names = ", ".join(name for name in setting.names if not no_direction(name))
        raise InputError(f"learning curve: the metric '{primary}' does not apply; one of {known_names}")
    functions = [[point(primary, member, setting) for member in one.values] for one in predictions]
    values = np.array([[float(function(None)) for function in row] for row in functions]).T
    if gain is None:
        now = float(np.mean(values[:, -1]))
        gain = float(f"{now / 20:.2g}") if primary in UNBOUNDED and now > 0 else 0.01
    return {
        "primary": primary,
        "conditional_on": "the training patients at hand",
        **learning_curve(
            sizes,
            values,
            _patient_covariance(primary, predictions, functions, setting),
            cases=len(first.id),
            patients=int(setting.patient.max()) + 1,
            lower_is_better=lower_is_better(primary),
            gain=gain,
            level=level,
            resamples=resamples,
            seed=seed,
        ),
    }


def _patient_covariance(
    primary: str, predictions: Sequence[Predictions], functions: list[list[resampling.Metric]], setting: Setting
) -> Float[np.ndarray, "sizes sizes"]:
    """Covariance of the sizes' mean values over seeds as the judged patients vary."""
    patient, count = setting.patient, len(functions)
    patients = int(patient.max()) + 1
    if primary == "auroc" and setting.positive is not None:
        target = setting.target == setting.positive
        influences = [
            np.mean([auroc_influence(one[:, setting.positive], target, setting.fold)[1] for one in part.values], axis=0)
            for part in predictions
        ]
        # Of a sum and a difference: four times the covariance is what their variances differ by.
        return np.array(
            [
                [
                    (influence_variance(a + b, target, patient) - influence_variance(a - b, target, patient)) / 4
                    for b in influences
                ]
                for a in influences
            ]
        )
    jackknife = patients <= resampling.JACKKNIFE_PATIENTS
    chunks = (
        resampling.jackknife_weights(patient)
        if jackknife
        else resampling.case_weights(patient, min(setting.resamples, BOOTSTRAP), setting.seed)
    )
    rows = [
        np.stack([np.mean([function(weights) for function in row], axis=0) for row in functions], -1)
        for weights in chunks
    ]
    drawn = np.concatenate(rows)
    drawn = drawn[np.all(np.isfinite(drawn), axis=-1)]
    if len(drawn) < 3 or patients < 3:
        return np.full((count, count), math.nan)
    covariance = np.cov(drawn, rowvar=False, bias=True).reshape(count, count)
    return covariance * (patients - 1) if jackknife else covariance
