"""Sliding-window inference of a volume: one window, overlap and Gaussian, each side with its network of the U-Net rows."""

from benchmarks.speed.row import Row, Side
from benchmarks.speed.worker import Work

VOLUME, WINDOW, OVERLAP = (96, 96, 96), (48, 48, 48), 0.5
TOGETHER = 8  # windows at once on a GPU; one on a CPU


def _noise():
    import numpy as np

    return np.random.default_rng(0).normal(size=(*VOLUME, 1)).astype(np.float32)


def ours(packing: int) -> Work:
    """Return medjax's sliding window with untrained parameters."""
    from dataclasses import replace

    import jax

    from benchmarks.speed import unet
    from medjax.segmentation import sliding

    experiment = unet.experiment(packing, WINDOW)
    experiment = replace(experiment, training=replace(experiment.training, batch_size=TOGETHER))
    window, volume = sliding.build(experiment, WINDOW), _noise()
    zeros = jax.numpy.zeros((1, *WINDOW, 1))
    variables = jax.jit(lambda: experiment.model.init(jax.random.key(0), zeros, train=False))()

    def run() -> None:
        sliding.predict(window, variables, {}, volume)

    run()
    places = len(sliding.starts(VOLUME[0], WINDOW[0], OVERLAP)) ** 3
    return Work({"run": run}, facts={"note": f"{places} windows"})


def theirs(packing: int) -> Work:
    """Return MONAI's, which averages the same probabilities with the same Gaussian."""
    import torch  # pyrefly: ignore[missing-import]
    from monai.inferers import sliding_window_inference  # pyrefly: ignore[missing-import]

    from benchmarks.speed import unet

    device, batch = ("cuda", TOGETHER) if torch.cuda.is_available() else ("cpu", 1)
    model = unet.network(packing).to(device).eval()
    volume, windows = torch.from_numpy(_noise())[None].movedim(-1, 1), 0

    def predict(x):
        nonlocal windows
        windows += len(x)
        return model(x).softmax(1)

    def run() -> None:
        with torch.inference_mode():
            sliding_window_inference(
                volume, WINDOW, batch, predict, overlap=OVERLAP, mode="gaussian", sigma_scale=0.125, sw_device=device,
                device="cpu",
            ).numpy()  # fmt: skip

    run()
    return Work({"run": run}, facts={"note": f"{windows} windows"})


def _row(name: str, packing: int, peer: str) -> Row:
    module = "benchmarks.speed.sliding"
    return Row(
        name, f"sliding-window inference, volume of {VOLUME[0]}^3, window {WINDOW[0]}^3, overlap {OVERLAP}, Gaussian",
        Side("medjax", f"{module}:ours", {"packing": packing}),
        (Side(f"MONAI {peer}", f"{module}:theirs", {"packing": packing}, peer=True),),
        per="volume",
    )  # fmt: skip


ROWS = (_row("sliding", 1, "DynUNet"), _row("sliding_packed", 2, "UNet"))
