import jax
import numpy as np
from scipy.special import erf, softmax

from medjax.models import VisionTransformer
from medjax.models.vit import _Block

KEY = jax.random.key(0)


def shaken(variables: dict) -> dict:
    rng = np.random.default_rng(0)
    variables = jax.device_get(variables)
    return jax.tree.map(lambda leaf: leaf + rng.normal(size=leaf.shape).astype(np.float32) * 0.2, variables)


def norm(x, p) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


def dense(x, p) -> np.ndarray:
    return x @ p["kernel"] + p["bias"]


def test_a_block_is_what_the_paper_says() -> None:
    x = jax.random.normal(KEY, (2, 5, 12))
    block = _Block(3, 0.0, 0.0, "float32")
    variables = shaken(jax.jit(lambda: block.init(KEY, x, False))())
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    h = np.asarray(x, np.float64)
    q, k, v = np.split(dense(norm(h, p["norm_1"]), p["query_key_value"]), 3, axis=-1)
    heads = []
    for part in (slice(0, 4), slice(4, 8), slice(8, 12)):  # three heads of four channels
        weights = softmax(np.einsum("bic,bjc->bij", q[..., part], k[..., part]) / np.sqrt(4), axis=-1)
        heads.append(np.einsum("bij,bjc->bic", weights, v[..., part]))
    h = h + dense(np.concatenate(heads, axis=-1), p["projection"])
    y = dense(norm(h, p["norm_2"]), p["expand"])
    expected = h + dense(y * 0.5 * (1 + erf(y / np.sqrt(2))), p["contract"])
    np.testing.assert_allclose(jax.jit(lambda v: block.apply(v, x, False))(variables), expected, atol=2e-5)


def test_with_the_class_token_the_output_reads_that_token_alone() -> None:
    x = jax.random.normal(KEY, (2, 8, 8, 1))
    model = VisionTransformer(patch=4, depth=1, width=8, heads=2, pooling="class", outputs=3)
    variables = shaken(jax.jit(lambda: model.init(KEY, x, train=False))())
    keep = {"capture_intermediates": True, "mutable": ["intermediates"]}
    outputs, state = jax.device_get(jax.jit(lambda v: model.apply(v, x, train=False, **keep))(variables))
    tokens = state["intermediates"]["norm"]["__call__"][0]
    assert tokens.shape == (2, 5, 8)
    p = variables["params"]["output"]
    np.testing.assert_allclose(outputs, tokens[:, 0] @ p["kernel"] + p["bias"][None], atol=1e-5)


def test_only_the_position_embedding_tells_patches_apart() -> None:
    x = jax.random.normal(KEY, (1, 8, 8, 1))
    swapped = np.roll(x, 4, axis=2)
    model = VisionTransformer(patch=4, depth=1, width=8, heads=2, outputs=3)
    variables = shaken(jax.jit(lambda: model.init(KEY, x, train=False))())
    run = jax.jit(lambda v, x: model.apply(v, x, train=False))
    assert np.abs(np.asarray(run(variables, x)) - run(variables, swapped)).max() > 1e-3
    variables["params"]["position"] = np.zeros((1, 4, 8), np.float32)
    np.testing.assert_allclose(run(variables, x), run(variables, swapped), atol=1e-5)
