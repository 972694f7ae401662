from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.networks import (
    PUBLISHED_LT_MS,
    PUBLISHED_ST_MS,
    DecoderConfig,
    NetworkConfig,
    build_segmenter,
)
from jaxmotion.networks.decoders import cell_places

SMALL = NetworkConfig(num_masks=3, input="scaled", widths=(4, 8), kernel=(3, 3, 3), norm_frames=9)
DECODERS = {
    "linear": DecoderConfig(),
    "transformer": DecoderConfig("transformer", feed_forward=16),
    "published": DecoderConfig("transformer", feed_forward=16, linear_start=False),
    "slots": DecoderConfig("slots", feed_forward=16),
}


def random_features(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=(*shape, 2)), jnp.float32)


def network(config, seed=1):
    """A network with parameters that are no start values, so that every part counts."""
    module = build_segmenter(config)
    params = module.init(jax.random.key(0), random_features(1, 1, 8, 8))["params"]
    rng = np.random.default_rng(seed)
    return module.apply, {
        "params": jax.tree.map(lambda x: x + rng.normal(0, 0.2, x.shape).astype(np.float32), params)
    }


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("num_frames", [1, 10])
def test_any_length(name, num_frames):
    apply, variables = network(replace(SMALL, decoder=DECODERS[name]))
    output = apply(variables, random_features(2, num_frames, 11, 13))
    assert output.masks.shape == (2, num_frames, 11, 13, 3)
    assert np.isfinite(output.masks).all()
    if name == "linear":
        assert output.queries is None
    else:
        assert output.queries.shape == (2, 3, 8)


@pytest.mark.parametrize("name", DECODERS)
def test_padded_frames_change_nothing(name):
    apply, variables = network(replace(SMALL, decoder=DECODERS[name]))
    flow = random_features(2, 14, 12, 16)
    valid = jnp.ones((2, 14, 12, 16)).at[:, 10:].set(0)
    padded = apply(variables, flow, valid).masks[:, :10]
    alone = apply(variables, flow[:, :10], valid[:, :10]).masks
    np.testing.assert_allclose(padded, alone, atol=1e-5)


@pytest.mark.parametrize("name", ["transformer", "published", "slots"])
def test_a_decoder_reads_the_whole_clip(name):
    """Without space-time kernels and block norms, frames meet in the decoder only."""
    config = replace(SMALL, kernel=(1, 3, 3), norm_frames=1, decoder=DECODERS[name])
    apply, variables = network(config)
    flow = random_features(1, 4, 12, 16)
    other = flow.at[:, 3].set(random_features(1, 12, 16)[0] * jnp.arange(16)[:, None])
    difference = apply(variables, flow).logits - apply(variables, other).logits
    assert np.abs(difference[:, 0]).max() > 1e-4


def test_slots_take_any_number_of_masks_and_keep_the_order_of_their_queries():
    config = replace(SMALL, decoder=DECODERS["slots"])
    _, variables = network(config)
    flow = random_features(1, 3, 12, 16)
    for count in (2, 3, 5, 7):
        module = build_segmenter(replace(config, num_masks=count))
        masks = module.apply(variables, flow).masks
        assert masks.shape[-1] == count


def test_dropout_needs_a_key_and_is_off_without():
    config = replace(SMALL, decoder=replace(DECODERS["transformer"], dropout=0.5))
    apply, variables = network(config)
    flow = random_features(1, 2, 12, 16)
    still = [apply(variables, flow).logits for _ in range(2)]
    np.testing.assert_array_equal(*still)
    moved = apply(variables, flow, deterministic=False, rngs={"dropout": jax.random.key(0)}).logits
    assert np.abs(moved - still[0]).max() > 1e-3


def test_time_ends_at_the_last_known_frame():
    features = jnp.zeros((1, 5, 2, 3, 4))
    weight = jnp.ones((1, 5, 2, 3, 1)).at[:, 3:].set(0)
    places = np.asarray(cell_places(features, weight))
    np.testing.assert_allclose(places[0, :3, 0, 0, 0], [0, 0.5, 1])
    np.testing.assert_allclose(places[0, 0, :, 0, 1], [0, 1])
    np.testing.assert_allclose(places[0, 0, 0, :, 2], [0, 0.5, 1])
    assert cell_places(jnp.zeros((1, 1, 1, 1, 4)), None).max() == 0


@pytest.mark.parametrize(
    ("config", "count"), [(PUBLISHED_ST_MS, 1_335_940), (PUBLISHED_LT_MS, 4_637_600)]
)
def test_published_networks_have_the_published_number_of_parameters(config, count):
    flow = jax.ShapeDtypeStruct((1, 9, 128, 224, 2), jnp.float32)
    variables = jax.eval_shape(build_segmenter(config).init, jax.random.key(0), flow)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count


@pytest.mark.parametrize(
    "wrong", [{"kind": "gru"}, {"layers": 0}, {"dropout": 1.0}, {"linear_start": False}]
)
def test_wrong_decoders_are_refused(wrong):
    with pytest.raises(ValueError, match="decoder"):
        DecoderConfig(**wrong)
