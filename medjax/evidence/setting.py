"""The cases and choices that all metrics of one evaluation share, and which metrics apply to them."""

from dataclasses import dataclass

from jaxtyping import Shaped
from numpy import ndarray

from medjax.evidence.intervals import Cases, Patients
from medjax.metrics.segmentation import MEASURES

LOWER_IS_BETTER = (
    "brier",
    "log_loss",
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_grade_error",
    "pinball_loss",
    "hausdorff_95",
    "mean_surface_distance",
    "volume_error",
    "false_lesions",
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
AT_HORIZONS = ("auroc", "prediction_accuracy", "brier", "observed_to_expected")
OVER_TIME = ("integrated_brier", "concordance_index", "uno_concordance_index", "time_dependent_concordance_index")
OF_CAUSES = ("integrated_brier", "concordance_index")  # what of `OVER_TIME` is defined where causes compete
SEGMENTATION: dict[str, tuple[str, ...]] = {
    "dice": ("dice",),
    "iou": ("iou",),
    "surface_dice": ("surface_dice",),
    "hausdorff_95": ("hausdorff_95",),
    "mean_surface_distance": ("mean_surface_distance",),
    "volume_error": ("volume_error",),
    "lesion_sensitivity": ("lesions", "lesions_found"),
    "false_lesions": ("lesions_false",),
}
"""The metrics of masks, and the measures of a case that each is made of."""
QUANTILE = ("pinball_loss", "interval_coverage", "interval_width")


@dataclass(frozen=True)
class OfTimes:
    """What a metric of survival predictions measures: of which cause (0: any event), at which horizon (None: over time)."""

    what: str
    cause: int = 0
    horizon: float | None = None


def survival_metrics(causes: tuple[str, ...], horizons: tuple[float, ...]) -> dict[str, OfTimes]:
    """The metrics of survival predictions: those at horizons first, `auroc_at_60`; of a cause `auroc_at_60_relapse`."""
    found = {}
    for number, cause in enumerate(causes, start=1) if causes else [(0, "")]:
        end = f"_{cause}" if cause else ""
        for horizon in horizons:
            found |= {f"{what}_at_{horizon:g}{end}": OfTimes(what, number, horizon) for what in AT_HORIZONS}
        found |= {f"{what}{end}": OfTimes(what, number) for what in (OF_CAUSES if causes else OVER_TIME)}
    return found


def lower_is_better(name: str) -> bool:
    """Whether less of this metric is better."""
    return name in LOWER_IS_BETTER or name.startswith(("brier_at_", "integrated_brier"))


def no_direction(name: str) -> bool:
    """Whether neither more nor less of this metric is better by itself; it is never primary."""
    return name in NO_DIRECTION or name.startswith("observed_to_expected_at_")


def metric_names(
    kind: str,
    classes: tuple[str, ...],
    quantiles: int = 0,
    horizons: tuple[float, ...] = (),
    measures: tuple[str, ...] = MEASURES,
) -> tuple[str, ...]:
    """The metrics that apply to predictions of a kind."""
    if kind == "segmentation":
        return tuple(name for name, needed in SEGMENTATION.items() if set(needed) <= set(measures))
    if kind == "survival":
        return tuple(survival_metrics(classes, horizons))
    if kind == "value":
        return REGRESSION + (QUANTILE if quantiles else ())
    if kind == "labels":
        return LABELS
    if kind == "grade":
        return GRADE
    return BINARY if len(classes) == 2 else MULTI_CLASS


@dataclass(frozen=True)
class Setting:
    """The cases and choices that all metrics of one evaluation share.

    `kind`, `classes`, `quantiles`, `times`, `horizons` and `measures` are those of the predictions; `positive` is the class that two-class metrics are
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
    times: tuple[float, ...] = ()
    horizons: tuple[float, ...] = ()
    measures: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that apply."""
        if self.kind == "probability":
            return MULTI_CLASS if self.positive is None else BINARY
        return metric_names(self.kind, self.classes, len(self.quantiles), self.horizons, self.measures)
