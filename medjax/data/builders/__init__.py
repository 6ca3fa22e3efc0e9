"""TFDS builders; importing this package makes them known to `tfds.builder` and `tfds.data_source`. No TensorFlow."""

from medjax.data.builders.breast_cancer_wisconsin import BreastCancerWisconsin
from medjax.data.builders.medmnist import Medmnist
from medjax.data.builders.survival import Survival

BUILDERS = (BreastCancerWisconsin, Medmnist, Survival)
