"""All curves, in the order of the page."""

from benchmarks.growth.curve import Curve
from benchmarks.speed.row import cores

_MODULE = "benchmarks.growth.works"
CURVES = (
    Curve("table", "a CSV of 16 columns read, checked, prepared, audited and parted", "cases", f"{_MODULE}:table",
          (500, 1_000, 2_000, 4_000), 1, "every case once"),
    Curve("near_duplicates", "search for near-duplicates among thumbnails", "cases", f"{_MODULE}:near_duplicates",
          (250, 500, 1_000, 2_000), 2, "every pair is compared"),
    Curve("evaluation", "the table of two classes with every interval", "cases", f"{_MODULE}:evaluation",
          (1_000, 4_000, 16_000, 64_000), 1.1, "sorting: n log n"),
    Curve("concordance", "Harrell's index with its interval", "cases", f"{_MODULE}:concordance",
          (1_000, 4_000, 16_000, 64_000), 1.2, "runs that are parted bit by bit instead of all pairs: n log n, and less cache at every size"),
    Curve("bootstrap_cases", "1,000 bootstrap resamples of AUROC", "cases", f"{_MODULE}:bootstrap_cases",
          (1_000, 4_000, 16_000, 64_000), 1.1, "sorting once, then sums"),
    Curve("bootstrap_resamples", "bootstrap of AUROC, 2,000 cases", "resamples", f"{_MODULE}:bootstrap_resamples",
          (500, 1_000, 2_000, 4_000, 8_000), 1, "one sum each"),
    Curve("batch", "training step, ResNet-18 of width 16, 28 x 28", "cases in a batch", f"{_MODULE}:batch",
          (8, 16, 32, 64), 1, "every case once"),
    Curve("image_side", "training step, ResNet-18 of width 16, 32 pictures", "side in pixels", f"{_MODULE}:image_side",
          (16, 32, 64, 96), 2, "every pixel once",
          known="the largest size has two speeds: on the virtual machine measured here pages that were freed seconds before are "
          "dear to get back (system time); the fastest round alone grows with 2.03, as tensors leave the cache"),
    Curve("volume_side", "training step, 3-D U-Net, 2 patches, finest level on every second voxel", "side in voxels",
          f"{_MODULE}:volume_side", (16, 32, 48, 64), 3, "every voxel once"),
    Curve("image_width", "training step, ResNet-18, 32 pictures of 28 x 28", "width", f"{_MODULE}:image_width",
          (8, 16, 32, 64), 2, "each channel of every layer meets each of the next"),
    Curve("dense_width", "training step, perceptron of three hidden layers, batch 256", "width",
          f"{_MODULE}:dense_width", (128, 256, 512, 1_024), 2, "each unit of every layer meets each of the next"),
    Curve("replicates", "training step, perceptrons of three hidden layers of 64, batch 64", "replicates",
          f"{_MODULE}:replicates", (2, 4, 8, 16, 32, 64), 1, "each model once", devices=cores()),
    Curve("augmentation_side", "flip, affine map, gamma and noise of 8 pictures", "side in pixels",
          f"{_MODULE}:augmentation_side", (28, 56, 112, 224), 2, "every pixel once", devices=cores()),
)  # fmt: skip
