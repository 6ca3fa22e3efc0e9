"""A training step of a ResNet-18 on small images: Adam, batch normalisation, 3 x 3 stem without pooling (CIFAR's)."""

from benchmarks.speed.row import Goal, Row, Side
from benchmarks.speed.torch_steps import steps
from benchmarks.speed.worker import Work

BATCH, SIDE = 64, 28


def experiment(dtype: str, batch: int = BATCH, side: int = SIDE, width: int = 64):
    """Return an experiment with medjax's ResNet-18, and the arrays of two batches of noise."""
    import numpy as np
    import optax

    from medjax.experiment import Data, Experiment, Optimizer
    from medjax.models import ResNet
    from medjax.tasks import Classification

    random = np.random.default_rng(0)
    arrays = {
        "image": random.normal(size=(2 * batch, side, side, 1)).astype(np.float32),
        "label": random.integers(0, 2, 2 * batch).astype(np.int32),
    }
    found = Experiment(
        name="resnet",
        data=Data("noise"),
        task=Classification(positive="b").resolve(("a", "b")),
        model=ResNet(depth=18, stem="cifar", width=width, normalisation="batch", outputs=2, dtype=dtype),
        optimizer=Optimizer(transform=optax.adam),
    )
    return found, arrays


def ours(dtype: str) -> Work:
    """Return medjax's compiled training step on resident images."""
    from benchmarks.speed import training

    run, size = training.step(*experiment(dtype), BATCH)
    return Work({"run": run}, facts={"note": f"{size:,} parameters"})


def theirs(dtype: str, compile: bool) -> Work:
    """Return PyTorch's step: the same network written with its layers, channels last, autocast below float32."""
    import torch  # pyrefly: ignore[missing-import]
    from torch import nn  # pyrefly: ignore[missing-import]
    from torch.nn import functional  # pyrefly: ignore[missing-import]

    class Block(nn.Module):
        def __init__(self, before: int, width: int, stride: int) -> None:
            super().__init__()
            self.first = nn.Conv2d(before, width, 3, stride, 1, bias=False)
            self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.norms = nn.ModuleList([nn.BatchNorm2d(width), nn.BatchNorm2d(width)])
            self.past = nn.Identity()
            if stride > 1 or before != width:
                self.past = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

        def forward(self, x):
            y = self.norms[1](self.second(functional.relu(self.norms[0](self.first(x)))))
            return functional.relu(y + self.past(x))

    class Pool(nn.Module):
        def forward(self, x):
            return x.mean((2, 3))

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layers, before = [nn.Conv2d(1, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(before, width, stride), Block(width, width, 1)]
        before = width
    model = nn.Sequential(*layers, Pool(), nn.Linear(512, 2)).to(device).to(memory_format=torch.channels_last)
    images = torch.randn(2 * BATCH, 1, SIDE, SIDE, device=device).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (2 * BATCH,), device=device)
    called = torch.compile(model) if compile else model

    def loss(rows: slice):
        with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
            return functional.cross_entropy(called(images[rows]), labels[rows])

    return steps(model, loss, BATCH)


REASON = (
    "measured direction by direction (Zen 5): forward and input gradients run at 330 to 470 billion operations a second, "
    "kernels' gradients at 280 to 450 and less within the step: 290 over the whole step where PyTorch's oneDNN reaches 390; "
    "batch normalisation, ReLU and the rest take a fifth. And every third or fourth step waits .2 s for pages that were "
    "freed seconds before, which are dear to get back on this virtual machine; memory that is kept costs as much (tried, "
    "dropped), products of shifted inputs for the kernels' gradients take as long"
)


def _row(dtype: str, compile: bool, goals: dict[str, Goal], reason: str = "") -> Row:
    way = "torch.compile" if compile else "eager"
    return Row(
        f"resnet_{dtype}" + ("_compiled" if compile else ""),
        f"ResNet-18 training step, {SIDE} px, batch {BATCH}, {dtype}",
        Side("medjax", "benchmarks.speed.resnet:ours", {"dtype": dtype}),
        (Side(f"PyTorch {way}, channels last", "benchmarks.speed.resnet:theirs", {"dtype": dtype, "compile": compile},
              peer=True),),
        per="step", goals=goals, reason=reason,
    )  # fmt: skip


ROWS = (
    _row("float32", False, {"cpu": Goal(least=1), "gpu": Goal(least=1)}, REASON),
    _row("float32", True, {}),
    _row("bfloat16", False, {"gpu": Goal(least=1.3)}),
    _row("bfloat16", True, {"gpu": Goal(least=1.3)}),
)
