"""Linen modules by input; called as `model.apply(variables, x, train=...)`, giving outputs in float32."""

from medjax.models.perceptron import Perceptron
from medjax.models.resnet import ResNet

__all__ = ["Perceptron", "ResNet"]
