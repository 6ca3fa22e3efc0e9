import jax
import numpy as np
from scipy.ndimage import correlate
from scipy.special import erf

from medjax.models import ConvNext
from medjax.models.convnext import _Block

KEY = jax.random.key(0)


def test_a_block_is_what_the_paper_says() -> None:
    x = jax.random.normal(KEY, (2, 6, 5, 4))
    block = _Block(7, 1.0, 0.0, "float32")
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: leaf + rng.normal(size=leaf.shape).astype(np.float32) * 0.3,
        jax.jit(lambda: block.init(KEY, x, False))(),
    )
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    h = np.asarray(x, np.float64)
    y = np.stack(
        [
            np.stack([correlate(case[..., c], p["depthwise"]["kernel"][:, :, 0, c], mode="constant") for c in range(4)], -1)
            for case in h
        ]
    ) + p["depthwise"]["bias"]  # fmt: skip
    y = y - y.mean(-1, keepdims=True)
    y = y / np.sqrt((y**2).mean(-1, keepdims=True) + 1e-6) * p["norm"]["scale"] + p["norm"]["bias"]
    y = y @ p["expand"]["kernel"] + p["expand"]["bias"]
    y = y * 0.5 * (1 + erf(y / np.sqrt(2))) @ p["contract"]["kernel"] + p["contract"]["bias"]
    np.testing.assert_allclose(
        jax.jit(lambda v: block.apply(v, x, False))(variables), h + y * p["layer_scale"], atol=5e-5
    )


def test_blocks_start_almost_as_the_identity() -> None:
    x = jax.random.normal(KEY, (1, 4, 4, 8))
    block = _Block(3, ConvNext().layer_scale, 0.0, "float32")
    variables = jax.jit(lambda: block.init(KEY, x, False))()
    np.testing.assert_allclose(jax.jit(lambda v: block.apply(v, x, False))(variables), x, atol=1e-6)
    assert np.unique(variables["params"]["layer_scale"]) == np.float32(1e-6)
