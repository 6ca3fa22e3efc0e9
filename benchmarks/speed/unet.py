"""A training step of a 3-D U-Net beside MONAI's networks: the same widths, the number of parameters to within 15 %."""

from collections.abc import Sequence

from benchmarks.speed.row import Row, Side
from benchmarks.speed.torch_steps import steps
from benchmarks.speed.worker import Work

PATCH, BATCH, WIDTHS, CLASSES = (40, 56, 40), 2, (32, 64, 128), 3


def experiment(packing: int, patch: Sequence[int] = PATCH):
    """Return an experiment with medjax's U-Net, without deep supervision."""
    import optax

    from medjax.experiment import Data, Experiment, Optimizer
    from medjax.models import UNet
    from medjax.tasks import Segmentation

    names = ("background", *(f"part_{number}" for number in range(1, CLASSES)))
    return Experiment(
        name="unet",
        data=Data("noise", inputs=("volume",)),
        task=Segmentation(patch=tuple(patch), foreground=0.0).resolve(names),
        model=UNet(widths=WIDTHS, packing=packing, deep_supervision=False, outputs=CLASSES),
        optimizer=Optimizer(transform=optax.adam),
    )


def network(packing: int):
    """Return MONAI's network: DynUNet, residual, or, where ours packs two voxels into one, its UNet, which strides first."""
    import torch  # pyrefly: ignore[missing-import]
    from monai.networks.nets import DynUNet, UNet  # pyrefly: ignore[missing-import]

    torch.manual_seed(0)
    levels = len(WIDTHS)
    if packing == 1:
        return DynUNet(
            3, 1, CLASSES, kernel_size=[3] * levels, strides=[1] + [2] * (levels - 1),
            upsample_kernel_size=[2] * (levels - 1), filters=list(WIDTHS), res_block=True,
        )  # fmt: skip
    return UNet(3, 1, CLASSES, WIDTHS, [2] * (levels - 1), num_res_units=2)


def ours(packing: int) -> Work:
    """Return medjax's compiled training step; drawing the patch from the volume is part of it."""
    import numpy as np

    from benchmarks.speed import training

    random = np.random.default_rng(0)
    arrays = {
        "volume": random.normal(size=(2 * BATCH, *PATCH, 1)).astype(np.float32),
        "segmentation": random.integers(0, CLASSES, (2 * BATCH, *PATCH)).astype(np.uint8),
    }
    run, size = training.step(experiment(packing), arrays, BATCH)
    return Work({"run": run}, facts={"note": f"{size:,} parameters"})


def theirs(packing: int) -> Work:
    """Return the step with MONAI's network and loss (Dice and cross-entropy), patches already drawn.

    Channels come first, as MONAI has them; with them last its networks were slower on a CPU.
    """
    import torch  # pyrefly: ignore[missing-import]
    from monai.losses import DiceCELoss  # pyrefly: ignore[missing-import]

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = network(packing).to(device).train()
    volumes = torch.randn(2 * BATCH, 1, *PATCH, device=device)
    labels = torch.randint(0, CLASSES, (2 * BATCH, 1, *PATCH), device=device)
    criterion = DiceCELoss(include_background=False, softmax=True, to_onehot_y=True)
    return steps(model, lambda rows: criterion(model(volumes[rows]), labels[rows]), BATCH)


def _row(name: str, packing: int, peer: str, work: str) -> Row:
    module = "benchmarks.speed.unet"
    return Row(
        name, f"3-D U-Net training step, patch {' x '.join(map(str, PATCH))}, batch {BATCH}, {work}",
        Side("medjax", f"{module}:ours", {"packing": packing}),
        (Side(f"MONAI {peer}", f"{module}:theirs", {"packing": packing}, peer=True),),
        per="step",
    )  # fmt: skip


ROWS = (
    _row("unet", 1, "DynUNet", "finest level on every voxel"),
    _row("unet_packed", 2, "UNet", "finest level on every second voxel"),
)
