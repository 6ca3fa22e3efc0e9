"""The multilayer perceptron, for tables and for anything that flattens to a vector."""

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medjax.errors import InputError


class Perceptron(nn.Module):
    """A stack of dense layers: hidden layers of (dense, normalisation, activation, dropout), then a linear output.

    The default has six weight layers (five hidden ones and the output). Parameters are float32 whatever `dtype` is, and
    the outputs are float32 (float64 where the computation is).

    Attributes:
        hidden: width of each hidden layer; `()` gives a linear model.
        outputs: number of outputs; 0 means "not set yet" and is refused when the model is called.
        activation: a public elementwise function, for example `flax.linen.relu`.
        normalisation: "none", "layer" (Ba et al. 2016, arXiv:1607.06450) or "batch" (Ioffe & Szegedy 2015,
            arXiv:1502.03167; its statistics live in the collection "batch_stats").
        dropout: probability that a hidden unit is dropped while training; needs the random stream "dropout".
        dtype: the type of the computation, "float32" or "bfloat16".
    """

    hidden: tuple[int, ...] = (64, 64, 64, 64, 64)
    outputs: int = 0
    activation: Callable = nn.relu
    normalisation: Literal["none", "layer", "batch"] = "none"
    dropout: float = 0.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "batch *features"], *, train: bool) -> Float[Array, "batch outputs"]:
        """Map a batch to logits (or values); every axis behind the first one is flattened.

        Args:
            x: the inputs, already standardised and free of NaN.
            train: whether dropout is on and batch statistics are those of the batch.

        Raises:
            InputError: `outputs` is not set, or `normalisation` is unknown.
        """
        if self.outputs < 1:
            raise InputError(
                f"Perceptron.outputs is {self.outputs}: set it to the number of classes or values (1 or more)"
            )
        if self.normalisation not in ("none", "layer", "batch"):
            raise InputError(f"Perceptron.normalisation is {self.normalisation!r}: use 'none', 'layer' or 'batch'")
        dtype = jnp.dtype(self.dtype)
        x = x.reshape(x.shape[0], -1).astype(dtype)
        for number, width in enumerate(self.hidden, start=1):
            x = nn.Dense(width, dtype=dtype, name=f"hidden_{number}")(x)
            if self.normalisation == "layer":
                x = nn.LayerNorm(dtype=dtype, name=f"norm_{number}")(x)
            elif self.normalisation == "batch":
                x = nn.BatchNorm(not train, momentum=0.9, dtype=dtype, name=f"norm_{number}")(x)
            x = self.activation(x)
            # A Dropout of rate 0 draws nothing, so a model without dropout needs no random stream.
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = nn.Dense(self.outputs, dtype=dtype, name="output")(x)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))
