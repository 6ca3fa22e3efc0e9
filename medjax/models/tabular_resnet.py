"""A residual network for tables."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medjax.errors import InputError


class TabularResNet(nn.Module):
    """ResNet for tables (Gorishniy et al. 2021, arXiv:2106.11959, section 3.2).

    A dense layer, then blocks x + dropout(dense(dropout(relu(dense(norm(x)))))), then norm, ReLU and a dense layer. A
    category comes as a number for each level, so that the first layer is the sum of an embedding of every category, of
    the measurements, and with `flag_missing` of what is missing. Parameters are float32 whatever `dtype` is.

    Attributes:
        depth: number of blocks.
        width: channels between the blocks.
        factor: channels inside a block, in widths.
        dropout: probability that a unit inside a block is dropped while training; needs the random stream "dropout".
        residual_dropout: the same for what a block adds.
        normalisation: "batch" as published (its statistics live in the collection "batch_stats") or "layer".
        outputs: number of outputs; 0 means "not set yet" and is refused when the model is called.
        dtype: the type of the computation, "float32" or "bfloat16".
    """

    depth: int = 2
    width: int = 128
    factor: float = 2.0
    dropout: float = 0.2
    residual_dropout: float = 0.0
    normalisation: Literal["batch", "layer"] = "batch"
    outputs: int = 0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "batch numbers"], *, train: bool) -> Float[Array, "batch outputs"]:
        """Map a batch of tables to logits (or values).

        Args:
            x: standardised and free of NaN.
            train: whether dropout is on and batch statistics are those of the batch.

        Raises:
            InputError: `outputs` is not set, or `normalisation` is unknown.
        """
        if self.outputs < 1:
            raise InputError(
                f"TabularResNet.outputs is {self.outputs}: set it to the number of classes or values (1 or more)"
            )
        if self.normalisation not in ("batch", "layer"):
            raise InputError(f"TabularResNet.normalisation is {self.normalisation!r}: use 'batch' or 'layer'")
        dtype = jnp.dtype(self.dtype)

        def norm(name: str, x: Array) -> Array:
            if self.normalisation == "batch":
                return nn.BatchNorm(not train, momentum=0.9, dtype=dtype, name=name)(x)
            return nn.LayerNorm(dtype=dtype, name=name)(x)

        def drop(name: str, rate: float, x: Array) -> Array:
            return nn.Dropout(rate, deterministic=not train, name=name)(x)

        x = nn.Dense(self.width, dtype=dtype, name="stem")(x.astype(dtype))
        for number in range(1, self.depth + 1):
            y = nn.Dense(round(self.width * self.factor), dtype=dtype, name=f"expand_{number}")(
                norm(f"norm_{number}", x)
            )
            y = drop(f"expanded_{number}", self.dropout, nn.relu(y))
            y = nn.Dense(self.width, dtype=dtype, name=f"contract_{number}")(y)
            x = x + drop(f"contracted_{number}", self.residual_dropout, y)
        x = nn.Dense(self.outputs, dtype=dtype, name="output")(nn.relu(norm("norm", x)))
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))
