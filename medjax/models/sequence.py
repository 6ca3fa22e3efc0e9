"""Models of events at irregular times: a recurrent one and a transformer."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from medjax.errors import InputError
from medjax.models.attention import AttentionBlock, norm
from medjax.models.columns import start
from medjax.vocabulary import happened


class EventTokens(nn.Module):
    """A token for each event: embedding of its code, of its number and of the hours until the prediction, added.

    Numbers and hours pass through a layer of tanh each, as in STraTS (Tipirneni & Reddy 2022, arXiv:2107.14293, section
    3.2); hours enter as log(1 + hours), because a minute matters more now than a week ago. An event without a number
    adds nothing for it. Places without an event are 0.

    Attributes:
        width: channels of a token.
        codes: size of the dictionary.
    """

    width: int
    codes: int

    @nn.compact
    def __call__(
        self,
        code: Int[Array, "batch length"],
        number: Float[Array, "batch length"],
        hours: Float[Array, "batch length"],
    ) -> Float[Array, "batch length width"]:
        """Embed a batch of events."""
        there = ~jnp.isnan(number)
        # Standardised numbers of a mistyped value can be huge; asinh keeps order and sign, and small ones as they are.
        clean = jnp.arcsinh(jnp.where(there, number, 0))[..., None]
        valued = nn.Dense(self.width, name="of_number")(nn.tanh(nn.Dense(self.width, name="number")(clean)))
        ago = jnp.sign(hours) * jnp.log1p(jnp.abs(hours))
        timed = nn.Dense(self.width, name="of_time")(nn.tanh(nn.Dense(self.width, name="time")(ago[..., None])))
        tokens = nn.Embed(self.codes, self.width, embedding_init=start(self.width), name="code")(code)
        tokens = tokens + jnp.where(there[..., None], valued, 0) + timed
        return jnp.where(happened(code)[..., None], tokens, 0)


class EventGRU(nn.Module):
    """A gated recurrent unit (Cho et al. 2014, arXiv:1406.1078) over events, read in the order of time.

    The state after the last event, joined with the table of the stay where there is one, gives the outputs by a dense
    layer. A case without any event has the state 0.

    Attributes:
        width: channels of tokens and state.
        dropout: probability that a channel of a token, or of the last state, is dropped.
        codes: size of the dictionary; 0 is filled in with what the data has.
        outputs: number of outputs; 0 means "not set yet" and is refused when the model is called.
    """

    width: int = 64
    dropout: float = 0.1
    codes: int = 0
    outputs: int = 0

    @nn.compact
    def __call__(
        self,
        code: Int[Array, "batch length"],
        number: Float[Array, "batch length"],
        hours: Float[Array, "batch length"],
        table: Float[Array, "batch columns"] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "batch outputs"]:
        """Map a batch of events to logits (or values).

        Args:
            code: of each event, 0 behind the last one.
            number: standardised by code, NaN where there is none.
            hours: before the prediction.
            table: of the stay, standardised and free of NaN.
            train: whether dropout is on; it draws from the random stream "dropout".

        Raises:
            InputError: `outputs` or `codes` is not set.
        """
        _check(self)
        x = EventTokens(self.width, self.codes, name="events")(code, number, hours)
        x = nn.Dropout(self.dropout, deterministic=not train, name="tokens")(x)
        scan = nn.scan(_Step, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1)
        state, _ = scan(self.width, name="cell")(jnp.zeros((len(x), self.width), x.dtype), (x, happened(code)))
        return _out(state, table, self.outputs, self.dropout, train)


class EventTransformer(nn.Module):
    """Self-attention over events, which knows their order by the hours alone; a class token gathers the outputs.

    Attributes:
        depth: number of blocks.
        width: channels of a token, a multiple of the heads.
        heads: of the attention.
        dropout: probability that one event does not see another, or that a unit is dropped.
        codes: size of the dictionary; 0 is filled in with what the data has.
        outputs: number of outputs; 0 means "not set yet" and is refused when the model is called.
    """

    depth: int = 2
    width: int = 64
    heads: int = 4
    dropout: float = 0.1
    codes: int = 0
    outputs: int = 0

    @nn.compact
    def __call__(
        self,
        code: Int[Array, "batch length"],
        number: Float[Array, "batch length"],
        hours: Float[Array, "batch length"],
        table: Float[Array, "batch columns"] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "batch outputs"]:
        """Map a batch of events to logits (or values); arguments and errors as those of `EventGRU`."""
        _check(self)
        if self.width % self.heads:
            raise InputError(f"EventTransformer: width {self.width} must be a multiple of the heads, {self.heads}")
        x = EventTokens(self.width, self.codes, name="events")(code, number, hours)
        token = self.param("class_token", start(self.width), (1, 1, self.width))
        x = jnp.concatenate([x, jnp.broadcast_to(token, (len(x), 1, self.width))], axis=1)
        seen = jnp.concatenate([happened(code), jnp.ones((len(x), 1), bool)], axis=1)
        for place in range(1, self.depth + 1):
            x = AttentionBlock(self.heads, self.dropout, self.dropout, name=f"block_{place}")(x, train, seen)
        return _out(nn.relu(norm(x.dtype, "norm")(x[:, -1])), table, self.outputs, self.dropout, train)


class _Step(nn.Module):
    """One event; where there is none the state stays."""

    width: int

    @nn.compact
    def __call__(
        self, state: Float[Array, "batch width"], event: tuple[Float[Array, "batch width"], Bool[Array, " batch"]]
    ) -> tuple[Float[Array, "batch width"], None]:
        token, there = event
        after, _ = nn.GRUCell(self.width, name="gru")(state, token)
        return jnp.where(there[:, None], after, state), None


def _check(model: EventGRU | EventTransformer) -> None:
    name = type(model).__name__
    if model.outputs < 1:
        raise InputError(f"{name}.outputs is {model.outputs}: set it to the number of classes or values (1 or more)")
    if model.codes < 2:
        raise InputError(
            f"{name}.codes is {model.codes}: leave it 0 and name `code` in data.inputs, then the data says how many there are"
        )


def _out(
    state: Float[Array, "batch width"],
    table: Float[Array, "batch columns"] | None,
    outputs: int,
    dropout: float,
    train: bool,
) -> Float[Array, "batch outputs"]:
    """The outputs from what the events gave, and the table of the stay."""
    state = nn.Dropout(dropout, deterministic=not train, name="gathered")(state)
    x = state if table is None else jnp.concatenate([state, table.astype(state.dtype)], axis=-1)
    x = nn.Dense(outputs, name="output")(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
