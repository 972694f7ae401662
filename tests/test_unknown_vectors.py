"""What is unknown counts nowhere, whatever is held there, from the file to the score."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxmotion as jm
from jaxmotion.baselines.classical_em import classical_em
from jaxmotion.baselines.threshold import BASELINES, scaled_threshold, two_motion_upper_bound
from jaxmotion.configs import get_config
from jaxmotion.data import DataConfig
from jaxmotion.data.augmentation import augment
from jaxmotion.data.config import AugmentConfig
from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.networks import INPUT_CHANNELS, DecoderConfig, NetworkConfig, build_segmenter
from jaxmotion.optical_flow import flow_quality
from jaxmotion.options import to_json
from jaxmotion.tasks.observation import observe
from jaxmotion.tasks.segmentation import SegmentationTask
from jaxmotion.tasks.segmentation_config import SegmentationConfig
from jaxmotion.training.config import Config

FRAMES, HEIGHT, WIDTH = 4, 16, 24
HELD = st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1.7e9, 1000.0, -3.0])
NETWORKS = {
    "raw": NetworkConfig(num_masks=3, widths=(4, 8), input="raw"),
    "scaled": NetworkConfig(num_masks=3, widths=(4, 8), input="scaled", kernel=(3, 3, 3)),
    "residual": NetworkConfig(
        num_masks=3, widths=(4, 8), norm_frames=3, decoder=DecoderConfig("transformer")
    ),
    "raw_and_residual": NetworkConfig(
        num_masks=3, widths=(4, 8), input="raw_and_residual", decoder=DecoderConfig("slots")
    ),
}


@st.composite
def spoiled(draw, shape=(FRAMES, HEIGHT, WIDTH), kinds=(np.float32,)):
    """Flow, the same with something else where it is unknown, and valid; a frame may be unknown."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    flow = rng.normal(0, 1, (*shape, 2)).astype(np.float32)
    flow[:, 4:10, 6:14] += 5
    valid = rng.uniform(size=shape) < draw(st.sampled_from([0.0, 0.005, 0.3, 0.9]))
    valid[0] = True
    kind = draw(st.sampled_from(kinds))
    held = np.float32(draw(HELD))
    return flow, np.where(valid[..., None], flow, held), valid.astype(kind)


def few(examples):
    return settings(deadline=None, max_examples=examples)


def same(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


@cache
def params_of(name):
    """Parameters that are all at work: a fresh network's head and decoder do next to nothing."""
    clip = np.zeros((1, 1, HEIGHT, WIDTH, INPUT_CHANNELS[NETWORKS[name].input]), np.float32)
    params = build_segmenter(NETWORKS[name]).init(jax.random.key(0), clip)["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: x + rng.normal(0, 0.2, x.shape).astype(np.float32), params)


@cache
def segmenter_of(name):
    data = DataConfig(height=HEIGHT, width=WIDTH)
    task = SegmentationConfig(network=NETWORKS[name], inference=InferenceConfig(2, 1))
    config = Config(data=data, task=task)
    return jm.Segmenter(config, params_of(name))


@cache
def program_of(name):
    @jax.jit
    def program(params, flow, valid):
        seen = observe(flow, valid, NETWORKS[name])
        return build_segmenter(NETWORKS[name]).apply(params, seen.features, seen.valid)

    return program


@pytest.mark.parametrize("name", NETWORKS)
@few(6)
@given(spoiled(kinds=(np.float32, np.uint8)))
def test_of_the_network(name, clip):
    flow, other, valid = clip
    found, expected = (
        program_of(name)({"params": params_of(name)}, f[None], valid[None]) for f in (other, flow)
    )
    same(found, expected)


@pytest.mark.parametrize("name", ["raw", "residual"])
@few(5)
@given(spoiled(kinds=(np.float32, np.float64, np.uint8, bool)))
def test_of_the_segmenter(name, clip):
    flow, other, valid = clip
    segmenter = segmenter_of(name)
    masks = segmenter(flow, valid)
    np.testing.assert_allclose(masks.sum(-1), 1, atol=1e-5)
    same(segmenter(other, valid), masks)
    streamed = np.stack(list(segmenter.stream(zip(other, valid, strict=True))))
    same(streamed, masks)

    theta = segmenter.motions(flow, masks, valid)
    same(segmenter.motions(other, masks, valid), theta)
    windows = segmenter.stream_motions(zip(other, masks, valid, strict=True))
    same(np.stack([window.theta for window in windows]), theta)
    same(segmenter.describe(other, valid), segmenter.describe(flow, valid))


@few(4)
@given(st.integers(0, 10**6), st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
def test_the_motion_of_a_segment_is_that_of_its_known_vectors(seed, motion):
    rng = np.random.default_rng(seed)
    valid = rng.uniform(size=(2, HEIGHT, WIDTH)) < 0.6
    flow = np.where(valid[..., None], np.float32(motion), np.float32(1000))
    masks = np.broadcast_to(np.eye(3, dtype=np.float32)[0], (*valid.shape, 3))
    segmenter = segmenter_of("raw")
    theta = segmenter.motions(flow, masks, valid)[0, 0]
    field = jm.parametric_flow(segmenter.task.motion, theta, (2, HEIGHT, WIDTH))
    np.testing.assert_allclose(field, np.broadcast_to(motion, field.shape), atol=1e-3)


def task_of(normalisation, **changes):
    config = get_config("st_ms").task
    augmented = AugmentConfig(2.0, 1.0, 1.0, (1, 2), 0.5, 0.5, 0.5, 2.0)
    network = NetworkConfig(num_masks=3, widths=(4, 8), kernel=(3, 3, 3), **changes)
    objective = replace(config.objective, normalisation=normalisation, consistency_weight=1.0)
    return SegmentationTask(network, config.motion, augmented, objective=objective)


@pytest.mark.parametrize("normalisation", ["pixels", "flow", "residual"])
def test_of_the_task(normalisation):
    task = task_of(normalisation, input="residual" if normalisation == "residual" else "scaled")
    clip = {"flow": np.zeros((2, 1, HEIGHT, WIDTH, 2), np.float32)}
    params = task.init(jax.random.key(0), clip)["params"]

    @jax.jit
    def everything(batch, key):
        def mean(params, key):
            output = task.loss({"params": params}, batch, step=jnp.zeros(()), key=key)
            return jnp.mean(output.loss), output.metrics

        trained = jax.value_and_grad(mean, has_aux=True)(params, key)
        return trained, mean(params, None)

    @few(4)
    @given(spoiled((2, FRAMES, HEIGHT, WIDTH)), st.integers(0, 99), st.booleans())
    def compare(clips, seed, nothing):
        flow, other, valid = clips
        if nothing:  # of the second clip is known
            valid[1] = 0
            other = other.copy()
            other[1] = np.nan
        key = jax.random.key(seed)
        found = everything({"flow": other, "valid": valid}, key)
        same(found, everything({"flow": flow, "valid": valid}, key))

    compare()


augmented = jax.jit(augment, static_argnums=(3, 4))


@few(8)
@given(spoiled((2, FRAMES, HEIGHT, WIDTH)), st.integers(0, 99))
def test_of_augmentation(clips, seed):
    flow, other, valid = clips
    config = AugmentConfig(2.0, 1.0, 1.0, (1, 2), 0.5, 0.5, 0.5, 2.0)
    model = jm.MotionModel(spatial="affine")
    found, expected = (
        augmented(jax.random.key(seed), f, valid, config, model) for f in (other, flow)
    )
    same(found, expected)


@few(8)
@given(spoiled((3, 20, 30)), st.sampled_from([(11, 17), (20, 30), (33, 50)]))
def test_of_resizing(clip, size):
    flow, other, valid = clip
    same(resize_flow_and_valid(other, valid, size), resize_flow_and_valid(flow, valid, size))


def answers_without_training():
    gt = np.zeros((FRAMES, HEIGHT, WIDTH), np.float32)
    gt[:, 4:10, 6:14] = 1
    return {
        **BASELINES,
        "scaled_threshold": lambda flow, valid: scaled_threshold(flow, 1.5, valid),
        "upper_bound": lambda flow, valid: two_motion_upper_bound(flow, gt, valid),
        "em_spread": lambda flow, valid: classical_em(flow, 3, 2, valid=valid, alpha=None),
    }


@pytest.mark.parametrize("name", answers_without_training())
@few(4)
@given(spoiled())
def test_of_baselines(name, clip):
    flow, other, valid = clip
    answer = answers_without_training()[name]
    expected = answer(flow, valid)
    same(answer(other, valid), expected)
    if name in BASELINES:
        assert not expected[~(valid > 0)].any()  # unknown is background


@pytest.mark.parametrize("name", answers_without_training())
def test_baselines_where_all_is_known_are_as_without_valid(name):
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 1, (FRAMES, HEIGHT, WIDTH, 2)).astype(np.float32)
    flow[:, 4:10, 6:14] += 5
    answer = answers_without_training()[name]
    same(answer(flow, np.ones(flow.shape[:3])), answer(flow, None))


@pytest.mark.parametrize("name", ["otsu", "em_10", "upper_bound"])
def test_baselines_find_the_object_in_what_is_known(name):
    """A third of the frame is unknown and holds what would be the larger motion."""
    flow = np.zeros((FRAMES, HEIGHT, WIDTH, 2), np.float32)
    flow += np.random.default_rng(0).normal(0, 0.02, flow.shape)
    flow[:, 4:10, 6:14] += 5
    valid = np.ones(flow.shape[:3])
    valid[:, :, 16:] = 0
    flow[:, :, 16:] = 400
    found = answers_without_training()[name](flow, valid) > 0.5
    expected = np.zeros_like(found)
    expected[:, 4:10, 6:14] = True
    assert (found == expected).mean() > 0.98


@few(10)
@given(spoiled((2, 12, 15)), st.integers(0, 99))
def test_of_flow_quality(clip, seed):
    flow, other, valid = clip
    frames = np.random.default_rng(seed).integers(0, 256, (2, 12, 15, 3)).astype(np.uint8)
    expected = flow_quality(*frames, *flow, *valid)
    found = flow_quality(*frames, *other, *valid)
    for name, figure in to_json(expected).items():
        assert getattr(found, name) == figure or figure is None


def test_flow_quality_of_what_is_known_is_that_of_a_right_flow():
    """The frame moves two pixels to the right; unknown vectors stand elsewhere."""
    image = np.random.default_rng(0).integers(0, 256, (20, 40, 3)).astype(np.uint8)
    forward = np.broadcast_to(np.float32([2, 0]), (20, 38, 2)).copy()
    backward = -forward
    forward[5, 7], backward[9, 30] = 1e10, np.nan
    quality = flow_quality(image[:, 2:], image[:, :-2], forward, backward)
    assert quality.warp_error == pytest.approx(0, abs=1e-3)
    assert quality.consistency_error == pytest.approx(0, abs=1e-5)
    assert quality.consistent == 1
    assert quality.inside == pytest.approx((20 * 36 - 1) / (20 * 38 - 1))


# ------------------------------------------------------- vectors that no motion can have


@pytest.mark.parametrize("length", [1e5, -1e7, 1e30, 1e300])
def test_no_motion_is_so_long(length):
    """They are unknown without being marked, one call and one field at a time."""
    flow = np.random.default_rng(0).normal(0, 1, (3, HEIGHT, WIDTH, 2))
    valid = np.ones(flow.shape[:3])
    valid[:, 2:5, 3:9] = 0
    flow[:, 2:5, 3:9, 1] = length
    segmenter = segmenter_of("raw")
    expected = segmenter(flow, valid)
    same(segmenter(flow), expected)
    same(np.stack(list(segmenter.stream(iter(flow)))), expected)
    same(segmenter.motions(flow, expected), segmenter.motions(flow, expected, valid))


def test_a_fast_motion_counts():
    flow = np.zeros((1, HEIGHT, WIDTH, 2), np.float32)
    flow[:, 4:10, 6:14] = 512 * np.sqrt(2)  # the longest vector of a KITTI picture
    segmenter = segmenter_of("raw")
    assert np.abs(segmenter(flow) - segmenter(0 * flow)).max() > 1e-3


# ---------------------------------------------------------- little is known, or none


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("known", [0, 1, 4])
def test_little_known_gives_finite_masks_and_motions(name, known):
    flow = np.random.default_rng(0).normal(0, 5, (FRAMES, HEIGHT, WIDTH, 2)).astype(np.float32)
    valid = np.zeros(flow.shape[:3])
    valid[1:3, 7, 10 : 10 + known] = 1
    segmenter = segmenter_of(name)
    masks = segmenter(flow, valid)
    np.testing.assert_allclose(masks.sum(-1), 1, atol=1e-5)
    assert np.isfinite(segmenter.motions(flow, masks, valid)).all()
    if not known:  # the same at every pixel, and no motion
        assert np.ptp(masks, axis=(0, 1, 2)).max() < 1e-6
        assert not segmenter.motions(flow, masks, valid).any()


def test_a_shipped_model_takes_an_unknown_frame_for_background():
    flow = np.random.default_rng(0).normal(size=(3, 64, 112, 2)).astype(np.float32)
    valid = np.ones(flow.shape[:3])
    valid[1] = 0
    masks = jm.Segmenter.load("em-k2")(flow, valid)
    np.testing.assert_allclose(masks.sum(-1), 1, atol=1e-5)
    assert masks[1, ..., 0].min() > 0.5
    valid[1, 30:32, 50:52] = 1
    np.testing.assert_allclose(jm.Segmenter.load("em-k2")(flow, valid).sum(-1), 1, atol=1e-5)


# --------------------------------------------------------------- what valid has to be


@pytest.mark.parametrize(
    ("valid", "words"),
    [
        (np.full((1, HEIGHT, WIDTH), 0.3), r"valid holds 0\.3: expected 0 .* or 1"),
        (np.full((1, HEIGHT, WIDTH), np.nan), "valid holds nan"),
        (np.full((1, HEIGHT, WIDTH), -1), "valid holds -1"),
        (np.full((1, HEIGHT, WIDTH), "yes"), "valid of type"),
        (np.ones((HEIGHT, WIDTH)), r"valid has the shape \(16, 24\), expected \(1, 16, 24\)"),
        (np.ones((1, WIDTH, HEIGHT)), "valid has the shape"),
        (np.ones((1, HEIGHT, WIDTH, 1)), "valid has the shape"),
    ],
)
def test_another_valid_is_refused(valid, words):
    flow = np.zeros((1, HEIGHT, WIDTH, 2), np.float32)
    masks = np.ones((1, HEIGHT, WIDTH, 3), np.float32) / 3
    segmenter = segmenter_of("raw")
    for call in (
        lambda: segmenter(flow, valid),
        lambda: segmenter.describe(flow, valid),
        lambda: segmenter.motions(flow, masks, valid),
    ):
        with pytest.raises(jm.InputError, match=words) as error:
            call()
        assert "\n" not in str(error.value)
    if valid.ndim == 3:
        words = words.replace(r"\(1, 16, 24\)", r"\(16, 24\)")
        for call in (
            lambda: segmenter.stream([(flow[0], valid[0])]),
            lambda: segmenter.stream_motions([(flow[0], masks[0], valid[0])]),
        ):
            with pytest.raises(jm.InputError, match=f"flow field 0: {words}"):
                list(call())


def test_a_field_alone_or_with_valid_or_with_none():
    flow = np.random.default_rng(0).normal(size=(3, HEIGHT, WIDTH, 2)).astype(np.float32)
    segmenter = segmenter_of("raw")
    mixed = [flow[0], (flow[1], None), (flow[2], np.ones((HEIGHT, WIDTH), bool))]
    masks = segmenter(flow)
    same(np.stack(list(segmenter.stream(mixed))), masks)
    triples = [(flow[0], masks[0]), (flow[1], masks[1], None), (flow[2], masks[2])]
    theta = np.stack([window.theta for window in segmenter.stream_motions(triples)])
    same(theta, segmenter.motions(flow, masks))


def test_masks_of_another_size_are_refused():
    flow = np.zeros((2, HEIGHT, WIDTH, 2), np.float32)
    masks = np.ones((2, HEIGHT, WIDTH - 1, 3), np.float32)
    segmenter = segmenter_of("raw")
    with pytest.raises(jm.InputError, match="masks of shape"):
        segmenter.motions(flow, masks)
    with pytest.raises(jm.InputError, match="masks of shape"):
        list(segmenter.stream_motions(zip(flow, masks, strict=True)))
