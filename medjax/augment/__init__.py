"""Random changes of ONE case on the device, `vmap`-ed over a batch inside the compiled step."""

from medjax.augment.apply import apply, apply_batch
from medjax.augment.intensity import random_brightness_contrast, random_gamma, random_noise
from medjax.augment.spatial import random_affine, random_crop, random_flip, random_rotation, resample_affine

__all__ = [
    "apply",
    "apply_batch",
    "random_affine",
    "random_brightness_contrast",
    "random_crop",
    "random_flip",
    "random_gamma",
    "random_noise",
    "random_rotation",
    "resample_affine",
]
