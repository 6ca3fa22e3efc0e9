"""Random flip, affine map, gamma and noise of every image: one compiled function beside MONAI's `Compose`.

Both draw for every image anew, with the same strengths, edges mirrored: a flip of each axis with probability .5; rotation up
to 15 degrees (of a volume about each axis), scale and shift up to .1, linear; gamma; noise. Ours is one function of a batch
that lies on as many simulated devices as there are cores, as the training step has it; the peer's is `Compose` image by
image, as a data loader calls it, on plain tensors (no metadata tracked, sampling grid cached).
"""

from collections.abc import Sequence

from benchmarks.speed.row import Goal, Row, Side, cores
from benchmarks.speed.worker import Work


def _pictures(space: Sequence[int], images: int):
    """Return smooth pictures in [0, 1], (images, *space)."""
    import numpy as np

    grid = np.meshgrid(*(np.linspace(0, 3, side, dtype=np.float32) for side in space), indexing="ij")
    phases = np.arange(images, dtype=np.float32).reshape(-1, *(1,) * len(space))
    return (np.sin(sum(grid) + phases) + 1) / 2


def ours(space: Sequence[int], images: int) -> Work:
    """Return the work as one compiled function of a batch, spread over the devices."""
    from functools import partial

    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from medjax import augment

    chain = (
        partial(augment.random_flip, axes=tuple(range(len(space)))),
        partial(augment.random_affine, rotation=15, scale=0.1, translation=0.1),
        partial(augment.random_gamma, strength=0.3),
        partial(augment.random_noise, deviation=0.1),
    )
    name = "image" if len(space) == 2 else "volume"
    # A batch that the devices do not divide goes to as many of them as do.
    count = max(number for number in range(1, jax.device_count() + 1) if images % number == 0)
    rows = NamedSharding(Mesh(np.array(jax.devices()[:count]), ("data",)), PartitionSpec("data"))
    batch, index = jax.device_put(({name: _pictures(space, images)[..., None]}, jnp.arange(images)), rows)
    key = jax.random.key(0)
    run = jax.jit(lambda step, *work: augment.apply_batch(chain, key, step, *work)[name], out_shardings=rows)
    steps = iter(range(1, 1_000_000_000))

    def once() -> None:
        run(jnp.int32(next(steps)), index, batch).block_until_ready()

    once()
    return Work({"run": once}, images)


def theirs(space: Sequence[int], images: int, threads: int) -> Work:
    """Return the same work by MONAI, image by image."""
    import math

    import monai  # pyrefly: ignore[missing-import]
    import torch  # pyrefly: ignore[missing-import]

    torch.set_num_threads(threads)
    monai.data.set_track_meta(False)
    n = len(space)
    turn = math.radians(15)
    chain = monai.transforms.Compose(
        [
            *(monai.transforms.RandFlip(prob=0.5, spatial_axis=axis) for axis in range(n)),
            monai.transforms.RandAffine(
                prob=1.0, rotate_range=turn if n == 2 else (turn,) * 3, scale_range=(0.1,) * n,
                translate_range=tuple(0.1 * side for side in space), mode="bilinear", padding_mode="reflection",
                spatial_size=tuple(space), cache_grid=True,
            ),
            monai.transforms.RandAdjustContrast(prob=1.0, gamma=(1 / 1.3, 1.3)),
            monai.transforms.RandGaussianNoise(prob=1.0, std=0.1),
        ]
    )  # fmt: skip
    chain.set_random_state(seed=0)
    pictures = [torch.from_numpy(image[None].copy()) for image in _pictures(space, images)]

    def run() -> None:
        for image in pictures:
            chain(image)

    run()
    return Work({"run": run}, images)


REASON = (
    "profiled by parts: at 224 px the resampling takes .4 of the time (one read for each of the 4 or 8 corners of a cell, which "
    "XLA does not vectorise on a CPU; reading two corners as one complex number took twice the time, interpolating axis after "
    "axis 1.3 times), gamma and noise a quarter each"
)


def _row(name: str, space: tuple[int, ...], images: int, least: float) -> Row:
    work = {"space": space, "images": images}
    module = "benchmarks.speed.augmentation"
    return Row(
        f"augmentation_{name}", f"flip, affine, gamma, noise of {' x '.join(map(str, space))}",
        Side("medjax", f"{module}:ours", work, devices=cores()),
        (
            Side(f"MONAI, 1 process, {cores()} threads", f"{module}:theirs", {**work, "threads": cores()}, peer=True),
            Side(f"MONAI, {cores()} processes, 1 thread each", f"{module}:theirs", {**work, "threads": 1}, peer=True,
                 processes=cores()),
        ),
        per="image", goals={"cpu": Goal(least=least), "gpu": Goal(least=100)}, reason=REASON,
    )  # fmt: skip


ROWS = (
    _row("28", (28, 28), 512, 40),
    _row("224", (224, 224), 16, 5),
    _row("volume", (64, 64, 64), 4, 5),
)
