"""Random flip, affine map, gamma and noise: images per second, medjax beside MONAI, on two CPU threads.

    uv run python benchmarks/augmentation.py [--peer PYTHON] [--repeats 7]

PYTHON is the interpreter of an environment of its own that holds torch and monai; without it only our half is
measured. Both halves draw for every image anew, with the same strengths, edges mirrored: a flip of each axis with
probability .5; rotation up to 15 degrees (of a volume about each axis), scale and shift up to .1, linear; gamma; noise.
Ours is one compiled function of a batch (512, 16 or 4 cases) on two simulated devices; the peer's is `Compose` image by image, as a data loader calls it, on plain
tensors (no metadata tracked, sampling grid cached); it is given the two cores in both ways that one can, as one process
with two threads and as two processes with one thread each, and the faster counts. The halves alternate, so that a
machine whose speed drifts is fair to both; what is printed is the median of the repeats and their range.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

# Shape without channels -> images of one timing.
WORK: dict[tuple[int, ...], int] = {(28, 28): 512, (224, 224): 16, (64, 64, 64): 4}
GOALS: dict[tuple[int, ...], int] = {(28, 28): 40, (224, 224): 5, (64, 64, 64): 5}
SECONDS = 0.5  # the least time of one measurement: short ones are repeated


def pictures(space: tuple[int, ...]) -> np.ndarray:
    """Smooth pictures in [0, 1], (images, *space)."""
    grid = np.meshgrid(*(np.linspace(0, 3, side, dtype=np.float32) for side in space), indexing="ij")
    phases = np.arange(WORK[space], dtype=np.float32).reshape(-1, *(1,) * len(space))
    return (np.sin(sum(grid) + phases) + 1) / 2


def rate(function: Callable[[], None], images: int) -> float:
    """Images per second over at least `SECONDS`."""
    rounds, begin = 0, time.perf_counter()
    while (took := time.perf_counter() - begin) < SECONDS or not rounds:
        function()
        rounds += 1
    return rounds * images / took


def ours(space: tuple[int, ...]) -> Callable[[], None]:
    """The work as one compiled function of a batch that lies on two simulated devices, as the training step has it."""
    from functools import partial

    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from medjax import augment

    chain = (
        partial(augment.random_flip, axes=tuple(range(len(space)))),
        partial(augment.random_affine, rotation=15, scale=0.1, translation=0.1),
        partial(augment.random_gamma, strength=0.3),
        partial(augment.random_noise, deviation=0.1),
    )
    name = "image" if len(space) == 2 else "volume"
    rows = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
    batch, index = jax.device_put(({name: pictures(space)[..., None]}, jnp.arange(WORK[space])), rows)
    key = jax.random.key(0)
    run = jax.jit(lambda step, *work: augment.apply_batch(chain, key, step, *work)[name], out_shardings=rows)
    steps = iter(range(1, 1_000_000))
    run(jnp.int32(0), index, batch).block_until_ready()
    return lambda: run(jnp.int32(next(steps)), index, batch).block_until_ready()


def theirs(space: tuple[int, ...], threads: int) -> Callable[[], None]:
    """The same work by MONAI, image by image."""
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
                spatial_size=space, cache_grid=True,
            ),
            monai.transforms.RandAdjustContrast(prob=1.0, gamma=(1 / 1.3, 1.3)),
            monai.transforms.RandGaussianNoise(prob=1.0, std=0.1),
        ]
    )  # fmt: skip
    chain.set_random_state(seed=0)
    images = [torch.from_numpy(image[None].copy()) for image in pictures(space)]

    def run() -> None:
        for image in images:
            chain(image)

    run()
    return run


def serve(threads: int) -> None:
    """A process of the peer: read a shape a line, answer with its rate, and hold still in between."""
    known = {}
    print(versions("torch", "monai"), flush=True)
    for line in sys.stdin:
        space = tuple(int(side) for side in line.split())
        run = known.setdefault(space, None) or theirs(space, threads)
        known[space] = run
        print(rate(run, WORK[space]), flush=True)


def versions(*names: str) -> str:
    """Names and versions of installed packages."""
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in names)


def show(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):>9,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def compare(peer: str | None, repeats: int) -> None:
    """Alternate the two halves and print what each does in a second."""
    import jax

    # XLA does not spread these loops over threads, but runs devices side by side: one for each core.
    jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    print(f"ours: {versions('jax')}, {len(jax.devices())} x {jax.devices()[0].platform}")
    setups = {}
    if peer:
        setups = {
            "1 process, 2 threads": [Peer(peer, 2)],
            "2 processes, 1 thread each": [Peer(peer, 1), Peer(peer, 1)],
        }
        print(f"peer: {setups['1 process, 2 threads'][0].about}, the same two cores")
    else:
        print("no --peer: our half only, nothing is compared")
    for space in WORK:
        run, mine, its = ours(space), [], {name: [] for name in setups}
        for one in [one for peers in setups.values() for one in peers]:
            one.ask(space)  # what is made once
            one.answer()
        for _ in range(repeats):
            mine.append(rate(run, WORK[space]))
            for name, peers in setups.items():
                for one in peers:
                    one.ask(space)
                its[name].append(sum(one.answer() for one in peers))
        print(f"{' x '.join(map(str, space))}\n    ours {show(mine)} images/s", flush=True)
        for name, values in its.items():
            print(f"    peer {show(values)} images/s, {name}")
        if its:
            best = max(its.values(), key=statistics.median)
            ratios = [a / b for a, b in zip(mine, best, strict=True)]
            print(f"    ratio to the faster {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}), "
                  f"goal {GOALS[space]}", flush=True)  # fmt: skip
    for one in [one for peers in setups.values() for one in peers]:
        one.stop()


class Peer:
    """A process of the peer, which measures when it is asked to."""

    def __init__(self, python: str, threads: int) -> None:
        """Start it; `about` names its versions."""
        command = [python, __file__, "--serve", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.questions, self.answers = self.process.stdin, self.process.stdout
        self.about = self.answers.readline().strip()

    def ask(self, space: tuple[int, ...]) -> None:
        """Have it begin."""
        print(*space, file=self.questions, flush=True)

    def answer(self) -> float:
        """Wait for its images per second."""
        return float(self.answers.readline())

    def stop(self) -> None:
        """Let it end."""
        self.questions.close()
        self.process.wait()


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Images per second of a chain of augmentations, beside MONAI.")
    parser.add_argument("--peer", help="Python with torch and monai; without it only our half is measured")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    # Both halves get the same two cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    if arguments.serve:
        serve(arguments.serve)
    else:
        compare(arguments.peer, arguments.repeats)


if __name__ == "__main__":
    main()
