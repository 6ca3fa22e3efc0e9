"""The FT-Transformer: self-attention over the columns of a table."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medjax.errors import InputError
from medjax.models.attention import AttentionBlock, norm
from medjax.models.columns import ColumnTokens, start


class FTTransformer(nn.Module):
    """Feature tokenizer and transformer (Gorishniy et al. 2021, arXiv:2106.11959, section 3.3).

    Every column becomes a token (`ColumnTokens`: measurements, categories, what is missing); a class token is appended;
    blocks are "norm, attention, add; norm, ReGLU, add" without the very first norm; the outputs follow from the class
    token by norm, ReLU and a dense layer. Parameters are float32 whatever `dtype` is. The published default is depth 3,
    width 192, attention dropout .2, dropout .1, for tables of ten thousand cases and more; the default here is smaller.

    Attributes:
        depth: number of blocks.
        width: channels of a token, a multiple of the heads.
        heads: of the attention.
        attention_dropout: probability that one column does not see another.
        dropout: probability that a unit inside ReGLU (Shazeer 2020, arXiv:2002.05202) is dropped.
        columns: how many numbers each column takes; () is filled in with what the data has.
        outputs: number of outputs; 0 means "not set yet" and is refused when the model is called.
        dtype: the type of the computation, "float32" or "bfloat16".
    """

    depth: int = 2
    width: int = 64
    heads: int = 8
    attention_dropout: float = 0.2
    dropout: float = 0.1
    columns: tuple[int, ...] = ()
    outputs: int = 0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "batch numbers"], *, train: bool) -> Float[Array, "batch outputs"]:
        """Map a batch of tables to logits (or values).

        Args:
            x: standardised and free of NaN, with or without the flags of `flag_missing`.
            train: whether dropout is on; it draws from the random stream "dropout".

        Raises:
            InputError: `outputs` is not set, the width is no multiple of the heads, or the columns do not fit.
        """
        if self.outputs < 1:
            raise InputError(
                f"FTTransformer.outputs is {self.outputs}: set it to the number of classes or values (1 or more)"
            )
        if min(self.depth, self.width, self.heads) < 1 or self.width % self.heads:
            raise InputError(
                f"FTTransformer: depth {self.depth}, width {self.width} and heads {self.heads} must be positive, and the "
                "width a multiple of the heads"
            )
        dtype = jnp.dtype(self.dtype)
        tokens = ColumnTokens(self.width, self.columns, name="columns")(x.astype(dtype))
        token = self.param("class_token", start(self.width), (1, 1, self.width)).astype(dtype)
        tokens = jnp.concatenate([tokens, jnp.broadcast_to(token, (len(x), 1, self.width))], axis=1)
        for number in range(1, self.depth + 1):
            block = AttentionBlock(self.heads, self.attention_dropout, self.dropout, number > 1, name=f"block_{number}")
            tokens = block(tokens, train)
        pooled = nn.relu(norm(dtype, "norm")(tokens[:, -1]))
        x = nn.Dense(self.outputs, dtype=dtype, name="output")(pooled)
        return x.astype(jnp.promote_types(x.dtype, jnp.float32))
