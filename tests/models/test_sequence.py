"""Models of events: what stands behind the last one plays no part, order and time do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.models import EventGRU, EventTransformer

KEY = jax.random.key(0)
CODE = jnp.array([[2, 3, 2, 0, 0], [4, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
NUMBER = jnp.array([[0.5, jnp.nan, -1.0, jnp.nan, jnp.nan], [jnp.nan] * 5, [jnp.nan] * 5])
HOURS = jnp.array([[9.0, 5.0, 1.0, 0.0, 0.0], [2.0, 0, 0, 0, 0], [0.0] * 5])
TABLE = jnp.array([[0.3, -0.2], [0.1, 0.0], [1.0, 2.0]])
MODELS = {
    "gru": EventGRU(width=4, dropout=0.0, codes=5, outputs=2),
    "transformer": EventTransformer(depth=1, width=4, heads=2, dropout=0.0, codes=5, outputs=2),
}


@pytest.mark.parametrize("name", MODELS)
def test_padding_is_not_read_and_everything_else_is(name):
    model = MODELS[name]
    variables = jax.jit(lambda: model.init(KEY, CODE, NUMBER, HOURS, TABLE, train=False))()
    run = jax.jit(lambda code, number, hours, table: model.apply(variables, code, number, hours, table, train=False))
    out = run(CODE, NUMBER, HOURS, TABLE)
    assert out.shape == (3, 2)
    assert np.isfinite(out).all()  # also of a case without events
    behind = CODE == 0
    same = run(CODE, jnp.where(behind, 7.0, NUMBER), jnp.where(behind, -3.0, HOURS), TABLE)
    np.testing.assert_allclose(same, out, atol=1e-6)
    short = run(CODE[:, :3], NUMBER[:, :3], HOURS[:, :3], TABLE)  # as many places as events
    np.testing.assert_allclose(short, out, atol=1e-6)
    for changed in (
        (CODE.at[0, 1].set(4), NUMBER, HOURS, TABLE),
        (CODE, NUMBER.at[0, 1].set(2.0), HOURS, TABLE),
        (CODE, NUMBER, HOURS.at[0, 0].set(90.0), TABLE),
        (CODE, NUMBER, HOURS, TABLE.at[0].add(1.0)),
    ):
        assert np.abs(run(*changed)[0] - out[0]).max() > 1e-5
        np.testing.assert_allclose(run(*changed)[1:], out[1:], atol=1e-6)

    def loss(parameters):
        found = model.apply({"params": parameters}, CODE, NUMBER, HOURS, TABLE, train=True)
        return (found * jnp.arange(6.0).reshape(3, 2)).sum()

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    assert all(np.isfinite(leaf).all() and np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients))


def test_without_outputs_or_codes_no_model_is_made():
    for model, words in ((EventGRU(codes=5), "outputs is 0"), (EventTransformer(outputs=1), "codes is 0")):
        with pytest.raises(InputError, match=words):
            model.init(KEY, CODE, NUMBER, HOURS, train=False)
