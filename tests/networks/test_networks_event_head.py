"""The pyramid of events: places, locality, and independence of what is not known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.networks.event_head import EventHead, LocalAttention, places
from jaxmotion.networks.event_head_config import EventHeadConfig

CONFIG = EventHeadConfig(channels=8, heads=2, levels=3, reach=2)
RNG = np.random.default_rng(0)


def random_params(module, *arguments):
    shapes = jax.eval_shape(module.init, jax.random.key(0), *arguments)
    return jax.tree.map(lambda s: jnp.asarray(RNG.normal(0, 0.3, s.shape), jnp.float32), shapes)


def test_places_are_in_the_middle_of_frames():
    middles, strides = places(10, 3)
    assert strides.tolist() == [1] * 10 + [2] * 5 + [4] * 3
    assert middles[:10].tolist() == [t + 0.5 for t in range(10)]
    assert middles[10:].tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 0.5, 4.5, 8.5]


@pytest.mark.parametrize("frames", [1, 6, 23])
def test_attention_is_that_of_a_window_in_float64(frames):
    module = LocalAttention(channels=8, heads=2, reach=3)
    x = RNG.normal(size=(2, frames, 8)).astype(np.float32)
    known = RNG.uniform(size=(2, frames)) < 0.8
    known[:, 0] = True
    params = random_params(module, x, known)
    found = module.apply(params, x, jnp.asarray(known))
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), params["params"])

    def dense(name, value):
        return value @ p[name]["kernel"] + p[name]["bias"]

    query, key, value = (
        dense(name, x.astype(np.float64)).reshape(2, frames, 2, 4)
        for name in ("query", "key", "value")
    )
    for b in range(2):
        for t in range(frames):
            near = [s for s in range(frames) if abs(s - t) <= 3 and known[b, s]]
            if not near:
                continue
            mixed = []
            for h in range(2):
                logits = np.array(
                    [query[b, t, h] @ key[b, s, h] / 2 + p["bias"][h, s - t + 3] for s in near]
                )
                weights = np.exp(logits) / np.exp(logits).sum()
                mixed.append(weights @ value[b, near, h])
            np.testing.assert_allclose(
                found[b, t], dense("out", np.concatenate(mixed)), rtol=1e-4, atol=1e-4
            )


@pytest.fixture(scope="module")
def head():
    module = EventHead(CONFIG, num_kinds=3)
    params = random_params(module, jnp.zeros((1, 8, 5)))
    return lambda *arguments: jax.jit(module.apply)(params, *arguments)


def test_each_place_proposes_a_span_about_it(head):
    found = head(jnp.asarray(RNG.normal(size=(2, 21, 5)), jnp.float32))
    middles = places(21, 3)[0]
    assert found.logits.shape == (2, len(middles), 3)
    assert found.spans.shape == (2, len(middles), 3, 2)
    assert (np.asarray(found.spans[..., 0]) < middles[:, None]).all()
    assert (np.asarray(found.spans[..., 1]) > middles[:, None]).all()


def test_frames_that_there_are_not_have_no_influence(head):
    features = RNG.normal(size=(1, 13, 5)).astype(np.float32)
    alone = head(jnp.asarray(features))
    filled = np.full((1, 32, 5), 7.0, np.float32)
    filled[:, :13] = features
    within = head(jnp.asarray(filled), jnp.arange(32)[None] < 13)
    middles, strides = places(32, 3)
    here = middles < 13
    np.testing.assert_array_equal(strides[here], places(13, 3)[1])
    for one, other in zip(alone, within, strict=True):
        np.testing.assert_allclose(one[0], other[0][here], rtol=2e-4, atol=2e-4)


def test_what_is_far_away_has_no_influence(head):
    features = RNG.normal(size=(1, 96, 5)).astype(np.float32)
    other = features.copy()
    other[:, 60:] += 1
    found = [np.asarray(head(jnp.asarray(f)).logits) for f in (features, other)]
    middles, strides = places(96, 3)
    # Stem, two blocks at the finest level, one at the level, and three convolutions of the head.
    far = (strides == 1) & (middles < 60 - (2 + 2 * 2 + 3))
    np.testing.assert_array_equal(found[0][:, far], found[1][:, far])
    near = (strides == 1) & (middles > 55)
    assert (found[0][:, near] != found[1][:, near]).any()


def test_heads_divide_the_channels():
    with pytest.raises(InputError, match="expected a multiple of the 4 heads"):
        EventHeadConfig(channels=10)
