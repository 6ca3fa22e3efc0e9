"""Classical models on the same cases and folds: what a new model must be compared with.

A baseline is a function (inputs, targets of the training cases, inputs to predict) -> predictions; everything in it is
fitted on the training cases.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Num

from medjax.errors import InputError

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

    if targets.ndim == 2:
        return np.stack([_one_label(train, one, cases, regularisation) for one in targets.T], axis=-1)
    classes = np.unique(targets)
    if len(classes) < 2:
        raise InputError("the reference model needs two classes among its training cases")
    model = _pipeline(LogisticRegression(C=1.0 / regularisation, max_iter=10_000)).fit(_flat(train), targets)
    out = np.zeros((len(cases), int(classes.max()) + 1))
    out[:, classes.astype(int)] = model.predict_proba(_flat(cases))
    return out


def _one_label(
    train: Train, answers: Num[np.ndarray, " train"], cases: Cases, regularisation: float | int
) -> Float[np.ndarray, " cases"]:
    known = np.isfinite(answers)
    if len(np.unique(answers[known])) < 2:
        return np.full(len(cases), float(answers[known].mean()) if known.any() else 0.5)
    found = logistic_regression(train[known], answers[known].astype(int), cases, regularisation=regularisation)
    return found[:, 1]


def ridge_regression(
    train: Train, targets: Num[np.ndarray, " train"], cases: Cases, *, regularisation: float = 1.0
) -> Float[np.ndarray, "cases 1"]:
    """Return values of scikit-learn's ridge regression on standardised, mean-imputed inputs."""
    from sklearn.linear_model import Ridge

    known = ~np.isnan(targets)
    model = _pipeline(Ridge(alpha=regularisation)).fit(_flat(train)[known], targets[known])
    return model.predict(_flat(cases))[:, None]


def name(reference: Any) -> str:
    """Return a baseline's name for tables: "logistic regression"."""
    return getattr(reference, "func", reference).__name__.replace("_", " ")


def _pipeline(model: Any) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), model)


def _flat(inputs: np.ndarray) -> np.ndarray:
    return np.asarray(inputs, np.float64).reshape(len(inputs), -1)
