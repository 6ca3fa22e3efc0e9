"""The cases and choices that all metrics of one evaluation share, and which metrics apply to them."""

from dataclasses import dataclass

from jaxtyping import Shaped
from numpy import ndarray

from medjax.evidence.intervals import Cases, Patients

LOWER_IS_BETTER = (
    "brier",
    "log_loss",
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_grade_error",
    "pinball_loss",
)
NO_DIRECTION = ("interval_coverage", "interval_width")  # neither more nor less is better by itself: never primary
BINARY = (
    "auroc",
    "auprc",
    "sensitivity",
    "specificity",
    "positive_predictive_value",
    "negative_predictive_value",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "matthews",
    "brier",
    "log_loss",
)
MULTI_CLASS = ("auroc", "accuracy", "balanced_accuracy", "f1", "matthews", "brier", "log_loss")
GRADE = (
    "quadratic_weighted_kappa",
    "mean_absolute_grade_error",
    "accuracy",
    "balanced_accuracy",
    "auroc",
    "brier",
    "log_loss",
)
LABELS = (
    "auroc",
    "auprc",
    "sensitivity",
    "specificity",
    "f1",
    "accuracy",
    "exact_match",
    "brier",
    "log_loss",
)
REGRESSION = ("mean_squared_error", "mean_absolute_error", "r2", "pearson", "spearman")
QUANTILE = ("pinball_loss", "interval_coverage", "interval_width")


def metric_names(kind: str, classes: int, quantiles: int = 0) -> tuple[str, ...]:
    """The metrics that apply to predictions of a kind."""
    if kind == "value":
        return REGRESSION + (QUANTILE if quantiles else ())
    if kind == "labels":
        return LABELS
    if kind == "grade":
        return GRADE
    return BINARY if classes == 2 else MULTI_CLASS


@dataclass(frozen=True)
class Setting:
    """The cases and choices that all metrics of one evaluation share.

    `kind`, `classes` and `quantiles` are those of the predictions; `positive` is the class that two-class metrics are
    about, None for every other kind; "yes" means a probability >= `threshold`.
    """

    target: Shaped[ndarray, "cases *labels"]
    patient: Patients
    fold: Cases | None
    kind: str
    classes: tuple[str, ...]
    positive: int | None
    threshold: float
    level: float
    resamples: int
    seed: int
    quantiles: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that apply."""
        if self.kind == "probability":
            return MULTI_CLASS if self.positive is None else BINARY
        return metric_names(self.kind, len(self.classes), len(self.quantiles))
