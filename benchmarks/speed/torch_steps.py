"""The peer's training step, on two batches in turn; imported only where PyTorch is."""

from collections.abc import Callable
from typing import Any

from benchmarks.speed.worker import Work


def steps(model: Any, loss: Callable[[slice], Any], batch: int) -> Work:
    """Return the work of Adam's steps on a model.

    Args:
        model: a `torch.nn.Module` on its device.
        loss: rows of two batches -> their loss.
        batch: rows of one batch.
    """
    import torch  # pyrefly: ignore[missing-import]

    optimizer, number = torch.optim.Adam(model.parameters(), 1e-3), 0

    def run() -> None:
        nonlocal number
        optimizer.zero_grad(set_to_none=True)
        loss(slice(number % 2 * batch, (number % 2 + 1) * batch)).backward()
        optimizer.step()
        number += 1
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    run()
    size = sum(one.numel() for one in model.parameters())
    return Work({"run": run}, facts={"note": f"{size:,} parameters"})
