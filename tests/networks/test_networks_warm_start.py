import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.networks import INPUT_CHANNELS, DecoderConfig, NetworkConfig, build_segmenter
from jaxmotion.networks.config import AttentionConfig
from jaxmotion.networks.warm_start import match_params, warm_start

LINEAR = NetworkConfig(num_masks=4, input="scaled", widths=(4, 8), stem=2)
FEATURES = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 16, 24, 2)), jnp.float32)


def trained(config, seed=1):
    """Parameters that are no start values any more."""
    params = fresh(config)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: x + rng.normal(0, 0.2, x.shape).astype(np.float32), params)


def fresh(config):
    features = np.zeros((2, 1, 16, 24, INPUT_CHANNELS[config.input]), np.float32)
    return build_segmenter(config).init(jax.random.key(0), features)["params"]


def logits(config, params):
    return build_segmenter(config).apply({"params": params}, FEATURES).logits


@pytest.mark.parametrize(
    "change",
    [
        {"kernel": (3, 3, 3)},
        {"decoder": DecoderConfig("transformer")},
        {"kernel": (3, 3, 3), "decoder": DecoderConfig("transformer", layers=1)},
        {"attention": AttentionConfig(layers=1, gate=True)},
    ],
    ids=["reach in time", "decoder", "both", "attention"],
)
def test_a_larger_network_starts_with_the_masks_of_the_smaller(change):
    old, new = trained(LINEAR), replace(LINEAR, **change)
    started = warm_start(fresh(new), old)
    np.testing.assert_allclose(logits(new, started), logits(LINEAR, old), atol=1e-4)
    assert not np.allclose(logits(new, fresh(new)), logits(LINEAR, old), atol=0.1)


def test_what_the_shortcut_saw_is_the_middle_of_what_it_sees():
    old = replace(LINEAR, input="residual")
    new = replace(old, kernel=(3, 3, 3))
    params = trained(old)
    started = warm_start(fresh(new), params)["shortcut"]["kernel"]
    assert started.shape == (9, 4)
    np.testing.assert_array_equal(started[3:6], params["shortcut"]["kernel"])
    np.testing.assert_array_equal(started[:3], 0)


@pytest.mark.parametrize("decoder", ["linear", "transformer"])
def test_fewer_masks_are_the_first_ones(decoder):
    count = 2
    config = replace(LINEAR, decoder=DecoderConfig(decoder))
    fewer = replace(config, num_masks=count)
    old = trained(config)
    started = warm_start(fresh(fewer), old)
    if decoder == "linear":
        np.testing.assert_allclose(
            logits(fewer, started), logits(config, old)[..., :count], atol=1e-5
        )
    else:
        queries = started["decoder"]["queries"]
        np.testing.assert_array_equal(queries, old["decoder"]["queries"][:count])


def test_more_masks_keep_the_old_ones():
    more = replace(LINEAR, num_masks=6)
    old = trained(LINEAR)
    started = logits(more, warm_start(fresh(more), old))
    np.testing.assert_allclose(started[..., :4], logits(LINEAR, old), atol=1e-5)


def test_slots_take_the_background_and_the_mean_of_the_others():
    slots = replace(LINEAR, decoder=DecoderConfig("slots"))
    old = trained(LINEAR)
    started = logits(slots, warm_start(fresh(slots), old))
    before = logits(LINEAR, old)
    np.testing.assert_allclose(started[..., 0], before[..., 0], atol=1e-4)
    np.testing.assert_allclose(started[..., 2], before[..., 1:].mean(-1), atol=1e-4)


def test_a_network_of_other_widths_is_refused():
    other = replace(LINEAR, widths=(6, 12))
    with pytest.raises(InputError, match="its U-net does not fit"):
        warm_start(fresh(other), trained(LINEAR))


@pytest.mark.parametrize(
    "change",
    [
        {"widths": (6, 12)},
        {"widths": (6, 8)},
        {"widths": (4, 8, 16)},
        {"widths": (4,)},
        {"stem": 1},
        {"input": "raw_and_residual"},
        {"down": "strided_conv"},
        {"up": "patch"},
    ],
    ids=str,
)
@pytest.mark.parametrize("turned", [False, True], ids=["", "turned"])
def test_a_backbone_is_taken_whole_or_refused(change, turned):
    pair = [LINEAR, replace(LINEAR, **change)]
    old, new = reversed(pair) if turned else pair
    with pytest.raises(InputError, match=r"its U-net does not fit .* expected a run with the same"):
        match_params(shapes(new), shapes(old))


def shapes(config):
    init = build_segmenter(config).init
    features = jax.ShapeDtypeStruct((2, 1, 16, 24, INPUT_CHANNELS[config.input]), np.float32)
    return jax.eval_shape(init, jax.random.key(0), features)["params"]


def test_a_longer_reach_in_time_may_not_become_a_shorter_one():
    longer, shorter = (replace(LINEAR, kernel=(reach, 3, 3)) for reach in (5, 3))
    with pytest.raises(InputError, match="a kernel as long in time or shorter"):
        match_params(shapes(shorter), shapes(longer))


def test_a_network_of_frames_takes_one_of_clips_as_a_frame_that_stays():
    old = replace(LINEAR, kernel=(3, 3, 3), num_masks=2)
    new = replace(LINEAR, num_masks=2)
    params = trained(old)
    started = warm_start(fresh(new), params)
    # Long enough that the middle frame sees no end of the clip.
    frame = FEATURES[:, :1]
    clip = jnp.repeat(frame, 15, axis=1)
    expected = logits_of(old, params, clip)[:, 7:8]
    np.testing.assert_allclose(logits_of(new, started, frame), expected, atol=1e-4)
    assert "unet (summed over time)" in match_params(shapes(new), shapes(old)).words


def logits_of(config, params, features, valid=None):
    return build_segmenter(config).apply({"params": params}, features, valid).logits


def test_the_known_channel_starts_at_zero_and_ends_as_a_constant():
    without, new = LINEAR, replace(LINEAR, known_channel=True)
    valid = jnp.asarray(np.random.default_rng(1).random(FEATURES.shape[:-1]) > 0.3, jnp.float32)
    params = trained(without)
    started = warm_start(fresh(new), params)
    np.testing.assert_array_equal(
        logits_of(new, started, FEATURES, valid), logits_of(without, params, FEATURES, valid)
    )
    words = match_params(shapes(new), shapes(without)).words
    assert words == "taken: head, stem, unet; fresh: known (from zero); not used: nothing"

    params = trained(new)
    back = warm_start(fresh(without), params)
    assert "known" not in back
    np.testing.assert_allclose(
        logits_of(without, back, FEATURES), logits_of(new, params, FEATURES), atol=1e-4
    )
    assert not np.allclose(
        logits_of(new, params, FEATURES, valid), logits_of(new, params, FEATURES), atol=0.1
    )
    words = match_params(shapes(without), shapes(new)).words
    assert words.endswith("not used: known (all counts as known)")
    again = warm_start(fresh(new), params)
    jax.tree.map(np.testing.assert_array_equal, again["known"], params["known"])


def test_the_residual_is_what_both_inputs_share():
    residual, both = (
        replace(LINEAR, input=kind, num_masks=2) for kind in ("residual", "raw_and_residual")
    )
    params = {k: v for k, v in trained(residual).items() if k != "shortcut"}
    started = warm_start(fresh(both), params)
    here, there = (
        started["stem"]["Conv_0"]["kernel"],
        params["stem"]["Conv_0"]["kernel"],
    )
    np.testing.assert_array_equal(here[:, :, 2:], there)
    np.testing.assert_array_equal(here[:, :, :2], 0)
    begin = fresh(both)
    np.testing.assert_array_equal(started["shortcut"]["kernel"], begin["shortcut"]["kernel"])
    back = warm_start(fresh(residual), trained(both))
    assert back["stem"]["Conv_0"]["kernel"].shape == there.shape
    assert "stem (without raw flow)" in match_params(shapes(residual), shapes(both)).words
    assert "stem (raw flow from zero)" in match_params(shapes(both), shapes(residual)).words


def test_a_reach_in_time_may_grow_twice():
    old, new = (replace(LINEAR, kernel=(reach, 3, 3)) for reach in (3, 5))
    params = trained(old)
    np.testing.assert_allclose(
        logits(new, warm_start(fresh(new), params)), logits(old, params), atol=1e-4
    )


@pytest.mark.parametrize("decoder", ["linear", "transformer", "slots"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_masks_starts_finite(decoder, count):
    source = replace(LINEAR, num_masks=count)
    new = replace(LINEAR, decoder=DecoderConfig(decoder))
    params = trained(source)
    started = warm_start(fresh(new), params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(started))
    np.testing.assert_array_equal(
        started["head"]["kernel"][:, 0], params["head"]["kernel"][:, 0]
    )  # the background
    if decoder == "slots" and count == 1:
        np.testing.assert_array_equal(
            started["head"]["kernel"][:, 1], fresh(new)["head"]["kernel"][:, 1]
        )


@pytest.mark.parametrize(
    "other", [{"kind": "slots"}, {"layers": 3}, {"feed_forward": 64}, {"heads": 4}], ids=str
)
def test_a_decoder_is_taken_whole_or_not_at_all(other):
    old = replace(LINEAR, decoder=DecoderConfig("transformer"))
    new = replace(LINEAR, decoder=replace(old.decoder, **other))
    begin = fresh(new)
    started = warm_start(begin, trained(old))
    for part in ("decoder", "head_of_queries"):
        jax.tree.map(np.testing.assert_array_equal, started[part], begin[part])
    words = match_params(begin, shapes(old)).words
    assert re.match(r"taken: head.*, stem, unet; fresh: decoder, head_of_queries; not u", words)


def test_the_line_says_what_was_taken():
    few = replace(LINEAR, num_masks=2, decoder=DecoderConfig("transformer"))
    assert match_params(shapes(few), shapes(LINEAR)).words == (
        "taken: head (4 masks there, 2 here), stem, unet; fresh: decoder, head_of_queries; "
        "not used: nothing"
    )
