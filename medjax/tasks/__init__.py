"""What is learnt. A task gives a loss a case, predictions from outputs, and the metrics that judge them."""

from medjax.tasks.classification import Classification
from medjax.tasks.multi_label import MultiLabel
from medjax.tasks.ordinal import Ordinal
from medjax.tasks.regression import Regression

Task = Classification | MultiLabel | Ordinal | Regression

__all__ = ["Classification", "MultiLabel", "Ordinal", "Regression", "Task"]
