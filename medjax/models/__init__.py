"""Linen modules by input; called as `model.apply(variables, x, train=...)`, giving outputs in float32."""

from medjax.models.convnext import ConvNext
from medjax.models.densenet import DenseNet
from medjax.models.ft_transformer import FTTransformer
from medjax.models.perceptron import Perceptron
from medjax.models.resnet import ResNet
from medjax.models.sequence import EventGRU, EventTransformer
from medjax.models.tabular_resnet import TabularResNet
from medjax.models.unet import UNet
from medjax.models.vit import VisionTransformer

__all__ = [
    "ConvNext",
    "DenseNet",
    "EventGRU",
    "EventTransformer",
    "FTTransformer",
    "Perceptron",
    "ResNet",
    "TabularResNet",
    "UNet",
    "VisionTransformer",
]
