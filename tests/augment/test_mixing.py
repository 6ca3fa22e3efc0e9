"""Mixup and cutmix by hand: shares, boxes, padding, what is never mixed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import augment
from medjax.errors import InputError

KEY = jax.random.key(3)


def batch_of(space: tuple[int, ...], count: int = 12, weight=None) -> dict:
    """Row k is full of k, its label is k: what a row is made of can be read off."""
    rows = jnp.arange(count)
    name = {1: "signal", 2: "image", 3: "volume"}[len(space)]
    full = jnp.broadcast_to(rows.reshape(-1, *(1,) * (len(space) + 1)), (count, *space, 2))
    return {
        name: full.astype(jnp.float32),
        "label": rows,
        "index": rows + 100,
        "weight": jnp.ones(count) if weight is None else jnp.asarray(weight, jnp.float32),
    }


def test_mixup_is_the_weighted_mean_of_two_rows():
    batch = batch_of((3, 4))

    def run(key, batch):
        return augment.mixup(key, batch, ("image",), alpha=1)

    found, other, share = jax.jit(run)(KEY, batch)
    partner = np.asarray(other["label"])
    assert sorted(partner) == list(range(12))
    assert np.ptp(share) > 0.5
    expected = share * np.arange(12) + (1 - share) * partner
    np.testing.assert_allclose(found["image"], np.broadcast_to(expected[:, None, None, None], (12, 3, 4, 2)), rtol=1e-6)
    np.testing.assert_array_equal(found["label"], batch["label"])
    np.testing.assert_array_equal(other["index"], partner + 100)
    keys = jnp.stack([KEY, jax.random.fold_in(KEY, 1)])
    again, later = np.asarray(jax.jit(jax.vmap(run, (0, None)))(keys, batch)[0]["image"])
    np.testing.assert_allclose(again, found["image"], rtol=1e-6)
    assert np.any(later != again)


@pytest.mark.parametrize("space", [(40,), (20, 30), (8, 9, 10)])
@pytest.mark.slow
def test_cutmix_pastes_one_box_whose_size_is_the_share(space):
    name = {1: "signal", 2: "image", 3: "volume"}[len(space)]
    batch = batch_of(space, 24)
    batch["segmentation"] = batch[name][..., 0].astype(int)
    found, other, share = augment.cutmix(KEY, batch, (name,))
    for k, partner in enumerate(np.asarray(other["label"])):
        one = np.asarray(found[name][k])
        pasted = one[..., 0] == partner
        assert np.all(one[pasted] == partner)
        assert np.all(one[~pasted] == k)
        if partner != k:
            np.testing.assert_allclose(share[k], 1 - pasted.mean(), atol=1e-6)
            if pasted.any():
                assert pasted.sum() == np.prod([np.ptp(line) + 1 for line in np.nonzero(pasted)])
        np.testing.assert_array_equal(found["segmentation"][k], one[..., 0])
    np.testing.assert_array_equal(other["segmentation"], found["segmentation"])
    assert np.ptp(share) > 0.4


@pytest.mark.parametrize("mix", [augment.mixup, augment.cutmix])
def test_zero_strength_changes_no_bit(mix):
    batch = batch_of((5, 6))
    zero = {"alpha": 0}, {"alpha": 1, "probability": 0}
    for found, _, share in jax.jit(lambda batch: [mix(KEY, batch, ("image",), **one) for one in zero])(batch):
        jax.tree.map(np.testing.assert_array_equal, found, batch)
        np.testing.assert_array_equal(share, 1)


@pytest.mark.parametrize("mix", [augment.mixup, augment.cutmix])
def test_padding_stays_and_touches_no_one(mix):
    weight = np.array([1, 0] * 6)
    batch = batch_of((5, 6), weight=weight)
    batch["image"] = jnp.asarray(np.where(weight.reshape(-1, 1, 1, 1) > 0, batch["image"], np.float32(np.nan)))
    run = jax.vmap(lambda number: mix(jax.random.key(number), batch, ("image",), alpha=1))
    every = jax.tree.map(np.asarray, jax.jit(run)(np.arange(5)))
    mixed = 0
    for number in range(5):
        found, other, share = jax.tree.map(lambda x, n=number: x[n], every)
        padded = (weight == 0) | (other["weight"] == 0)
        np.testing.assert_array_equal(share[padded], 1)
        np.testing.assert_array_equal(found["image"][padded], batch["image"][padded])
        assert np.isfinite(found["image"][weight > 0]).all()
        mixed += (share[~padded] < 1).sum()
    assert mixed > 8


@pytest.mark.slow
def test_tables_mix_and_a_missing_number_of_the_partner_leaves_ones_own():
    table = jnp.arange(24.0).reshape(12, 2).at[:6, 0].set(jnp.nan)
    batch = batch_of((6, 6)) | {"table": table}
    for mix in (augment.mixup, augment.cutmix):
        found, other, share = mix(KEY, batch, ("image", "table"), alpha=1)
        theirs = table[other["label"]]
        expected = share[:, None] * table + (1 - share)[:, None] * theirs
        np.testing.assert_allclose(found["table"], jnp.where(jnp.isnan(expected), table, expected), rtol=1e-5)
    whole = augment.mixup(KEY, {"table": jnp.arange(4)[:, None], "weight": jnp.ones(4)}, ("table",), alpha=1)[0]
    assert whole["table"].dtype == jnp.float32


def test_shares_follow_the_beta_distribution_and_stay_finite_for_tiny_alpha():
    batch = {"table": jnp.zeros((4000, 1)), "weight": jnp.ones(4000)}
    for alpha in (0.01, 0.2, 1.0):  # not compiled as a whole: JAX compiles its beta distribution once for every alpha
        share = np.asarray(augment.mixup(KEY, batch, ("table",), alpha=alpha)[2])
        assert np.isfinite(share).all()
        np.testing.assert_allclose(share.mean(), 0.5, atol=0.03)
        np.testing.assert_allclose(share.var(), 1 / (4 * (2 * alpha + 1)), rtol=0.08)


def test_wrong_settings_are_named():
    batch = {"table": jnp.zeros((4, 1)), "tokens": jnp.zeros((4, 2), int), "weight": jnp.ones(4)}
    with pytest.raises(InputError, match="use mixup"):
        augment.cutmix(KEY, batch, ("table",))
    with pytest.raises(InputError, match="tokens cannot be mixed"):
        jax.eval_shape(lambda: augment.mixup(KEY, batch, ("tokens",)))
    with pytest.raises(InputError, match="alpha=-1"):
        augment.mixup(KEY, batch, ("table",), alpha=-1)
