from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, softmax

from jaxmotion.errors import InputError
from jaxmotion.networks import NetworkConfig, build_segmenter
from jaxmotion.networks.attention import RegionFrameGate, SpaceTimeAttention
from jaxmotion.networks.config import AttentionConfig

ATTENTION = AttentionConfig(layers=2, heads=2, gate=True)
NETWORK = NetworkConfig(num_masks=2, input="scaled", widths=(4, 8), attention=ATTENTION)


def random_params(module, *arguments, seed=0):
    """Parameters without a zero among them."""
    params = module.init(jax.random.key(0), *arguments)["params"]
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.5, x.shape), x.dtype), params)


def layer_norm(x, p):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * p["scale"] + p["bias"]


def attend(tokens, seen, p, penalty):
    """One attention over `[N, D]`, head by head, in float64."""
    found = 0
    for head in range(ATTENTION.heads):
        query, key, value = (
            tokens @ p[name]["kernel"][:, head] + p[name]["bias"][head]
            for name in ("query", "key", "value")
        )
        logits = query @ key.T / np.sqrt(query.shape[-1]) - penalty[head]
        weights = softmax(np.where(seen, logits, -1e30), axis=-1)
        found = found + weights @ value @ p["out"]["kernel"][head]
    return found + p["out"]["bias"]


def reference(x, known, params):
    """The layers of `SpaceTimeAttention`, cell by cell and frame by frame."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    x = np.array(x, np.float64)
    t, h, w, d = x.shape
    apart = np.abs(np.arange(t)[:, None] - np.arange(t))
    for layer in range(ATTENTION.layers):
        y = layer_norm(x, p[f"norm_time_{layer}"])
        change = np.zeros_like(x)
        for i, j in np.ndindex(h, w):
            penalty = [2.0 ** (-8 * head / ATTENTION.heads) * apart for head in (1, 2)]
            change[:, i, j] = attend(y[:, i, j], known[:, i, j], p[f"time_{layer}"], penalty)
        x += change * known[..., None]
        y = layer_norm(x, p[f"norm_space_{layer}"]).reshape(t, h * w, d)
        for frame in range(t):
            seen = known[frame].ravel()
            change[frame] = attend(y[frame], seen, p[f"space_{layer}"], (0, 0)).reshape(h, w, d)
        x += change * known[..., None]
        y = layer_norm(x, p[f"norm_feed_{layer}"])
        y = y @ p[f"feed_in_{layer}"]["kernel"] + p[f"feed_in_{layer}"]["bias"]
        y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
        y = y @ p[f"feed_out_{layer}"]["kernel"] + p[f"feed_out_{layer}"]["bias"]
        x += y * known[..., None]
    return x


def test_attention_is_what_float64_gives_cell_by_cell():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(1, 4, 2, 3, 8)), jnp.float32)
    known = rng.random((4, 2, 3)) > 0.3
    weight = jnp.asarray(known[None, ..., None] * 0.5, jnp.float32)
    module = SpaceTimeAttention(8, ATTENTION)
    params = random_params(module, x, weight)
    found = module.apply({"params": params}, x, weight)
    np.testing.assert_allclose(found[0], reference(x[0], known, params), rtol=1e-4, atol=1e-4)


def test_weights_of_regions_and_frames_are_what_float64_gives():
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(1, 3, 2, 2, 4)), jnp.float32)
    share = rng.random((1, 3, 2, 2, 1)).astype(np.float32)
    share[0, 1] = 0  # a frame of which nothing is known
    module = RegionFrameGate()
    params = random_params(module, x, share)
    found = module.apply({"params": params}, x, jnp.asarray(share))
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    regions = expit(x[0] @ p["regions"]["kernel"] + p["regions"]["bias"])[..., 0]
    np.testing.assert_allclose(found.regions[0], regions, rtol=1e-5)
    means = (x[0] * share[0]).sum((1, 2)) / np.maximum(share[0].sum((1, 2)), 1e-6)
    logits = (means @ p["frames"]["kernel"] + p["frames"]["bias"])[[0, 2], 0]
    np.testing.assert_allclose(found.frames[0, [0, 2]], 2 * softmax(logits), rtol=1e-5)
    assert found.frames[0, 1] == 0


def features(frames, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(1, frames, 16, 24, 2)), jnp.float32)


def test_padding_behind_a_clip_changes_nothing():
    network = build_segmenter(NETWORK)
    params = random_params(network, features(5))
    long = features(5)
    valid = jnp.ones((1, 5, 16, 24)).at[:, 3:].set(0)
    short = network.apply({"params": params}, long[:, :3])
    padded = network.apply({"params": params}, long, valid)
    np.testing.assert_allclose(padded.logits[:, :3], short.logits, atol=2e-4)
    np.testing.assert_allclose(padded.attention.frames[:, :3], short.attention.frames, atol=1e-5)
    np.testing.assert_array_equal(padded.attention.frames[:, 3:], 0)


def test_frames_see_each_other_only_with_attention():
    """Without it, and with kernels of one frame, nothing reaches another frame."""
    x = features(4)
    for config, reaches in (
        (NETWORK, True),
        (replace(NETWORK, attention=AttentionConfig()), False),
    ):
        network = build_segmenter(config)
        params = random_params(network, x)
        before = network.apply({"params": params}, x).logits
        after = network.apply({"params": params}, x.at[:, 3].add(1.0)).logits
        assert (np.abs(after - before)[:, 0].max() > 1e-3) == reaches


def test_a_clip_of_which_nothing_is_known_has_finite_gradients():
    network, x = build_segmenter(NETWORK), features(2)
    params = random_params(network, x)

    def loss(params):
        found = network.apply({"params": params}, x, jnp.zeros(x.shape[:-1]))
        return jnp.sum(found.logits**2) + jnp.sum(found.attention.frames)

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(loss)(params)))


def test_heads_must_divide_the_bottleneck():
    with pytest.raises(InputError, match=r"network.attention.heads 3: expected a divisor .* 8"):
        replace(NETWORK, attention=AttentionConfig(layers=1, heads=3))
    with pytest.raises(InputError, match="network"):
        AttentionConfig(layers=-1)
