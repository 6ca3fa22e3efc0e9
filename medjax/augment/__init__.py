"""Random changes of ONE case on the device, `vmap`-ed over a batch inside the compiled step, and mixing of cases."""

from medjax.augment.apply import apply, apply_batch
from medjax.augment.elastic import random_elastic
from medjax.augment.erasing import random_cutout, random_erasing
from medjax.augment.intensity import random_brightness_contrast, random_gamma, random_noise, random_window
from medjax.augment.magnetic import random_bias_field, random_ghosting, random_motion
from medjax.augment.mixing import cutmix, mixup
from medjax.augment.resample import resample, resample_affine
from medjax.augment.sharpness import random_blur, random_low_resolution, random_sharpen
from medjax.augment.spatial import random_affine, random_crop, random_flip, random_rotation

__all__ = [
    "apply",
    "apply_batch",
    "cutmix",
    "mixup",
    "random_affine",
    "random_bias_field",
    "random_blur",
    "random_brightness_contrast",
    "random_crop",
    "random_cutout",
    "random_elastic",
    "random_erasing",
    "random_flip",
    "random_gamma",
    "random_ghosting",
    "random_low_resolution",
    "random_motion",
    "random_noise",
    "random_rotation",
    "random_sharpen",
    "random_window",
    "resample",
    "resample_affine",
]
