"""The block of self-attention that models of columns and of events share."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class AttentionBlock(nn.Module):
    """Self-attention and ReGLU (Shazeer 2020, arXiv:2002.05202), each behind a normalisation and added to what came in.

    Attributes:
        heads: of the attention, a divisor of the width.
        attention_dropout: probability that one token does not see another.
        dropout: probability that a unit inside ReGLU is dropped.
        first_norm: whether the attention stands behind a normalisation.
    """

    heads: int
    attention_dropout: float
    dropout: float
    first_norm: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch tokens width"], train: bool, seen: Bool[Array, "batch tokens"] | None = None
    ) -> Float[Array, "batch tokens width"]:
        """Map tokens to tokens; those that are not `seen` are looked at by nobody (at least one must be)."""
        batch, tokens, width = x.shape
        y = norm(x.dtype, "norm_1")(x) if self.first_norm else x
        y = nn.Dense(3 * width, dtype=x.dtype, name="query_key_value")(y)
        query, key, value = jnp.moveaxis(y.reshape(batch, tokens, 3, self.heads, width // self.heads), 2, 0)
        weight = jnp.einsum("bqhc,bkhc->bhqk", query, key) / (width // self.heads) ** 0.5
        weight = weight.astype(jnp.promote_types(x.dtype, jnp.float32))
        if seen is not None:
            weight = jnp.where(seen[:, None, None, :], weight, jnp.finfo(weight.dtype).min)
        weight = jax.nn.softmax(weight).astype(x.dtype)
        weight = nn.Dropout(self.attention_dropout, deterministic=not train, name="attended")(weight)
        y = jnp.einsum("bhqk,bkhc->bqhc", weight, value).reshape(x.shape)
        x = x + nn.Dense(width, dtype=x.dtype, name="projection")(y)
        y = nn.Dense(2 * (4 * width // 3), dtype=x.dtype, name="expand")(norm(x.dtype, "norm_2")(x))
        value, gate = jnp.split(y, 2, axis=-1)
        y = nn.Dropout(self.dropout, deterministic=not train, name="expanded")(value * nn.relu(gate))
        return x + nn.Dense(width, dtype=x.dtype, name="contract")(y)


def norm(dtype: jnp.dtype, name: str) -> nn.LayerNorm:
    """Return a layer normalisation whose statistics do not cancel."""
    return nn.LayerNorm(1e-5, dtype, use_fast_variance=False, name=name)
