"""What is learnt. A task gives a loss a case, predictions from outputs, and the metrics that judge them."""

from medjax.tasks.classification import Classification
from medjax.tasks.regression import Regression

Task = Classification | Regression

__all__ = ["Classification", "Regression", "Task"]
