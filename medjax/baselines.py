"""Classical models on the same cases and folds: what a new model must be compared with.

A baseline is a function (inputs, targets of the training cases, inputs to predict) -> predictions; everything in it is
fitted on the training cases. One for times to an event is also given the `times` at which curves are read.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Num

from medjax.errors import InputError
from medjax.survival_losses import cox

NEWTON_STEPS = 50
Train, Cases = Num[np.ndarray, "train *shape"], Num[np.ndarray, "cases *shape"]


def logistic_regression(
    train: Train, targets: Num[np.ndarray, "train *labels"], cases: Cases, *, regularisation: float = 1.0
) -> Float[np.ndarray, "cases classes"]:
    """Return class probabilities of scikit-learn's logistic regression on standardised, mean-imputed inputs.

    Of several labels each has a model of its own, fitted on the cases in which it is known; a label with one answer only
    keeps that share for everybody.

    Args:
        train: inputs of the training cases; images are flattened.
        targets: their labels; (train, labels) with 0, 1 and NaN where a case has several.
        cases: inputs to predict.
        regularisation: the inverse `1 / C` of scikit-learn's C.
    """
    from sklearn.linear_model import LogisticRegression

    model = _pipeline(LogisticRegression(C=1.0 / regularisation, max_iter=10_000))
    return _classes(model, train, targets, cases)


def ridge_regression(
    train: Train, targets: Num[np.ndarray, " train"], cases: Cases, *, regularisation: float = 1.0
) -> Float[np.ndarray, "cases 1"]:
    """Return values of scikit-learn's ridge regression on standardised, mean-imputed inputs."""
    from sklearn.linear_model import Ridge

    return _value(_pipeline(Ridge(alpha=regularisation)), train, targets, cases)


def gradient_boosting(
    train: Train,
    targets: Num[np.ndarray, "train *labels"],
    cases: Cases,
    *,
    learning_rate: float = 0.1,
    iterations: int = 100,
    leaves: int = 31,
    leaf_cases: int = 20,
) -> Float[np.ndarray, "cases classes"]:
    """Return class probabilities of scikit-learn's histogram gradient boosting; a missing value takes a side in each split.

    The method is that of LightGBM (Ke et al., NeurIPS 2017). Several labels are treated as in `logistic_regression`.

    Args:
        train: inputs of the training cases; images are flattened.
        targets: their labels; (train, labels) with 0, 1 and NaN where a case has several.
        cases: inputs to predict.
        learning_rate: the share of each tree that is added.
        iterations: trees (of each class, with more than two classes); none is left out by early stopping.
        leaves: most leaves of a tree.
        leaf_cases: fewest training cases in a leaf.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=learning_rate,
        max_iter=iterations,
        max_leaf_nodes=leaves,
        min_samples_leaf=leaf_cases,
        early_stopping=False,
        random_state=0,
    )
    with _one_thread():
        return _classes(model, train, targets, cases)


def gradient_boosting_regression(
    train: Train,
    targets: Num[np.ndarray, " train"],
    cases: Cases,
    *,
    learning_rate: float = 0.1,
    iterations: int = 100,
    leaves: int = 31,
    leaf_cases: int = 20,
) -> Float[np.ndarray, "cases 1"]:
    """Return values of scikit-learn's histogram gradient boosting (squared error); arguments as in `gradient_boosting`."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        learning_rate=learning_rate,
        max_iter=iterations,
        max_leaf_nodes=leaves,
        min_samples_leaf=leaf_cases,
        early_stopping=False,
        random_state=0,
    )
    with _one_thread():
        return _value(model, train, targets, cases)


def cox_regression(
    train: Train,
    targets: Num[np.ndarray, "train targets"],
    cases: Cases,
    *,
    times: Sequence[float],
    ties: Literal["efron", "breslow"] = "efron",
    regularisation: float | int = 0.0,
) -> Float[np.ndarray, "cases values"]:
    """Return log hazard ratio and survival at `times` of a linear Cox model, by Newton's method in float64.

    Inputs are standardised and mean-imputed, which leaves the model without regularisation as it is.

    Args:
        train: inputs of the training cases; images are flattened.
        targets: their times, and 1 for the event or 0 for censored.
        cases: inputs to predict.
        times: where the curves are read, in the unit of the targets.
        ties: the rule for events at the same time.
        regularisation: factor of half the sum of the squared coefficients of the standardised inputs.
    """
    import jax

    prepare = _pipeline(None).fit(_flat(train))
    inputs, asked = prepare.transform(_flat(train)), prepare.transform(_flat(cases))
    known = np.isfinite(targets[:, :2]).all(1)
    inputs, (time, event) = inputs[known], targets[known, :2].T.astype(np.float64)
    coefficients = cox_coefficients(inputs, time, event, ties=ties, regularisation=regularisation)
    risk = inputs @ coefficients
    with jax.enable_x64(True):
        grid = np.asarray(times, np.float64)
        hazard = jax.jit(cox.log_baseline_hazard)(risk, time, event, grid)
        curves = np.asarray(jax.jit(cox.survival)(asked @ coefficients, hazard))
    return np.concatenate([(asked @ coefficients)[:, None], curves], axis=1)


def cox_coefficients(
    inputs: Float[np.ndarray, "cases columns"],
    time: Float[np.ndarray, " cases"],
    event: Num[np.ndarray, " cases"],
    *,
    ties: Literal["efron", "breslow"] = "efron",
    regularisation: float | int = 0.0,
) -> Float[np.ndarray, " columns"]:
    """Return the coefficients that maximise Cox's partial likelihood: those of R's coxph and of lifelines.

    Raises:
        InputError: there is no maximum: a column or a combination of them separates the events.
    """
    import jax

    def derivatives(at: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(one) for one in _cox_derivatives()(at, inputs, time, event, float(regularisation), ties)]

    coefficients = np.zeros(inputs.shape[1])
    with jax.enable_x64(True):
        value, gradient, curvature = derivatives(coefficients)
        rank = _rank(curvature)
        for _ in range(NEWTON_STEPS):
            # A column that never varies has neither slope nor curvature: least squares leaves its coefficient at 0.
            step = np.linalg.lstsq(curvature, gradient, rcond=1e-12)[0]
            length = 1.0
            while True:
                following = derivatives(coefficients - length * step)
                if following[0] <= value + 1e-12 * abs(value) or length < 1e-6:
                    break
                length /= 2
            coefficients, moved = coefficients - length * step, float(np.abs(length * step).max(initial=0.0))
            value, gradient, curvature = following
            if _rank(curvature) < rank:  # flat where it was curved: the maximum lies at infinity
                break
            if moved < 1e-10:
                return coefficients
    raise InputError(
        "Cox regression finds no maximum: some input separates the cases with an event from all others; give it a "
        "regularisation (functools.partial(cox_regression, regularisation=1.0)), or drop the input"
    )


@cache
def _cox_derivatives() -> Callable:
    """Negative log partial likelihood of coefficients with its gradient and curvature, compiled once for each shape."""
    import jax

    def loss(coefficients: Any, inputs: Any, time: Any, event: Any, regularisation: Any, ties: Any) -> Any:
        terms = cox.partial_likelihood(inputs @ coefficients, time, event, ties=ties)
        return terms.sum() + regularisation / 2 * (coefficients**2).sum()

    return jax.jit(lambda *given: (loss(*given), jax.grad(loss)(*given), jax.hessian(loss)(*given)), static_argnums=5)


def _rank(curvature: Float[np.ndarray, "columns columns"]) -> int:
    return int(np.linalg.matrix_rank(curvature, rtol=1e-9, hermitian=True)) if curvature.size else 0


def name(reference: Any) -> str:
    """Return a baseline's name for tables: "logistic regression"."""
    return getattr(reference, "func", reference).__name__.replace("_", " ")


def references(given: Callable | tuple[Callable, ...] | None) -> dict[str, Callable]:
    """Return the baselines that an experiment names, by their names for tables, the first one first.

    Raises:
        InputError: two have one name.
    """
    listed = given if isinstance(given, tuple) else () if given is None else (given,)
    named = {name(one): one for one in listed}
    if len(named) < len(listed):
        twice = next(name(one) for place, one in enumerate(listed) if name(one) in map(name, listed[:place]))
        raise InputError(f"evaluation.reference names '{twice}' twice; a table could not tell the two apart")
    return named


def _classes(
    model: Any, train: Train, targets: Num[np.ndarray, "train *labels"], cases: Cases
) -> Float[np.ndarray, "cases classes"]:
    """Class probabilities; a class or label that no training case has gets 0, a label with one answer its share."""
    if targets.ndim == 2:
        return np.stack([_label(model, train, one, cases) for one in targets.T], axis=-1)
    classes = np.unique(targets)
    if len(classes) < 2:
        raise InputError("the reference model needs two classes among its training cases")
    model.fit(_flat(train), targets)
    out = np.zeros((len(cases), int(classes.max()) + 1))
    out[:, classes.astype(int)] = model.predict_proba(_flat(cases))
    return out


def _label(model: Any, train: Train, answers: Num[np.ndarray, " train"], cases: Cases) -> Float[np.ndarray, " cases"]:
    known = np.isfinite(answers)
    if len(np.unique(answers[known])) < 2:
        return np.full(len(cases), float(answers[known].mean()) if known.any() else 0.5)
    return _classes(model, train[known], answers[known].astype(int), cases)[:, 1]


def _value(model: Any, train: Train, targets: Num[np.ndarray, " train"], cases: Cases) -> Float[np.ndarray, "cases 1"]:
    known = ~np.isnan(targets)
    return model.fit(_flat(train)[known], targets[known]).predict(_flat(cases))[:, None]


def _one_thread() -> Any:
    """Trees of a few thousand cases take up to ten times as long on threads that wait for each other on a busy machine."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    return threadpool_limits(1, user_api="openmp")


def _pipeline(model: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [SimpleImputer(keep_empty_features=True), StandardScaler()]
    return make_pipeline(*steps, *([] if model is None else [model]))


def _flat(inputs: np.ndarray) -> np.ndarray:
    return np.asarray(inputs, np.float64).reshape(len(inputs), -1)
