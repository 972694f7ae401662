import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.data import AugmentConfig
from jaxmotion.data import augment as plain_augment
from jaxmotion.data.augmentation import corrupt as plain_corrupt
from jaxmotion.data.augmentation import random_flip as plain_flip
from jaxmotion.data.augmentation import random_global_motion as plain_motion
from jaxmotion.errors import InputError
from jaxmotion.motion import MotionModel

augment = jax.jit(plain_augment, static_argnums=(3, 4), static_argnames="clip_length")
corrupt = jax.jit(plain_corrupt, static_argnums=3)
random_flip = jax.jit(plain_flip, static_argnums=3)
random_global_motion = jax.jit(plain_motion, static_argnums=(3, 4))

MODELS = [
    (MotionModel("quadratic", "constant"), 1),
    (MotionModel("quadratic", "polynomial", degree=1), 3),
    (MotionModel("quadratic", "bspline", knot_spacing=3), 9),
    (MotionModel("affine", "constant"), 2),
    (MotionModel("planar", "constant"), 2),
]


def clips(batch=6, num_frames=3, height=8, width=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 1.0, (batch, num_frames, height, width, 2)).astype(np.float32)


def mean_length(flow):
    return np.linalg.norm(np.asarray(flow), axis=-1).mean(axis=(1, 2, 3))


def test_default_changes_nothing():
    flow = clips()
    result = augment(jax.random.key(0), flow, None, AugmentConfig(), MODELS[0][0])
    np.testing.assert_array_equal(result.network_input, flow)
    np.testing.assert_array_equal(result.flow, flow)
    assert result.valid.shape == flow.shape[:-1]
    assert (result.valid == 1).all()


@pytest.mark.parametrize(("model", "num_frames"), MODELS)
def test_added_motion_is_in_the_span_of_the_model(model, num_frames):
    flow = clips(num_frames=num_frames)
    config = AugmentConfig(global_motion=4)
    result = augment(jax.random.key(1), flow, None, config, model)
    added = np.asarray(result.flow, np.float64) - np.asarray(flow, np.float64)
    design = np.asarray(model.design(num_frames, 8, 12), np.float64)
    design = design.reshape(-1, design.shape[-1])
    for clip in added.reshape(len(added), -1):
        theta = np.linalg.lstsq(design, clip, rcond=None)[0]
        assert np.linalg.norm(clip) > 0
        assert np.linalg.norm(design @ theta - clip) < 1e-5 * np.linalg.norm(clip)
    np.testing.assert_array_equal(result.network_input, result.flow)


@pytest.mark.parametrize("strength", [2, 8])
def test_added_motion_is_at_most_strength_times_the_flow(strength):
    flow = clips(batch=400) * np.geomspace(1e-3, 1e3, 400)[:, None, None, None, None]
    flow = flow.astype(np.float32)
    valid = np.ones(flow.shape[:-1], np.float32)
    config = AugmentConfig(global_motion=strength)
    added = random_global_motion(jax.random.key(0), flow, valid, config, MODELS[0][0])
    share = mean_length(added) / mean_length(flow) / strength
    assert share.max() <= 1 + 1e-5
    # uniform in [0, 1]: mean 1/2, standard deviation 0.289 / 20
    assert abs(share.mean() - 0.5) < 0.06
    assert abs((share < 0.25).mean() - 0.25) < 0.09


def test_a_share_of_clips_gets_a_motion():
    flow = clips(batch=400, num_frames=1)
    config = AugmentConfig(global_motion=2, global_motion_probability=0.3)
    result = augment(jax.random.key(0), flow, None, config, MODELS[0][0])
    moved = mean_length(result.flow - flow) > 0
    assert abs(moved.mean() - 0.3) < 0.1


def test_clip_at_rest_stays_at_rest_and_finite():
    flow = clips()
    flow[0] = 0
    result = augment(jax.random.key(0), flow, None, AugmentConfig(global_motion=8), MODELS[0][0])
    np.testing.assert_array_equal(result.flow[0], 0)
    assert np.isfinite(result.flow).all()


def test_unknown_pixels_count_in_nothing():
    valid = np.ones((4, 3, 8, 12), np.float32)
    valid[:, :, 2:4, 5:9] = 0
    valid[3] = 0
    config = AugmentConfig(global_motion=2, corruption_probability=1.0)
    flow = clips(batch=4) * valid[..., None]
    wild = np.where(valid[..., None] > 0, flow, np.float32(1e6))
    results = [augment(jax.random.key(0), f, valid, config, MODELS[0][0]) for f in (flow, wild)]
    for a, b in zip(results[0][:2], results[1][:2], strict=True):
        assert np.isfinite(b).all()
        known = np.asarray(valid) > 0
        np.testing.assert_allclose(np.asarray(a)[known], np.asarray(b)[known], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(results[0].flow[3], 0)


def test_corruption_is_seen_by_the_network_only():
    flow = clips(batch=50, num_frames=9)
    config = AugmentConfig(corruption_probability=0.5, corrupted_frames=(1, 2))
    result = augment(jax.random.key(0), flow, None, config, MODELS[0][0])
    np.testing.assert_array_equal(result.flow, flow)
    same = np.asarray(result.network_input == flow).all(axis=(2, 3, 4))
    changed = np.asarray(result.network_input != flow).all(axis=(2, 3, 4))
    np.testing.assert_array_equal(same, ~changed)  # a frame is replaced whole or not at all
    assert set(changed.sum(axis=1)) == {0, 1, 2}
    assert abs((changed.sum(axis=1) > 0).mean() - 0.5) < 0.25


def test_every_frame_and_number_is_as_likely():
    flow = clips(batch=3000, num_frames=4, height=1, width=2)
    config = AugmentConfig(corruption_probability=1.0, corrupted_frames=(1, 2))
    _, corrupted = corrupt(jax.random.key(0), flow, np.ones(flow.shape[:-1], np.float32), config)
    corrupted = np.asarray(corrupted)
    assert abs((corrupted.sum(1) == 1).mean() - 0.5) < 0.05
    np.testing.assert_allclose(corrupted.mean(0), 1.5 / 4, atol=0.05)


def test_noise_has_the_mean_and_spread_of_the_clip():
    flow = clips(batch=3, num_frames=5, height=60, width=80)
    flow = flow * np.float32([0.5, 20.0]) + np.float32([-3.0, 100.0])
    config = AugmentConfig(corruption_probability=1.0, corrupted_frames=(4, 4))
    noisy, corrupted = corrupt(
        jax.random.key(0), flow, np.ones(flow.shape[:-1], np.float32), config
    )
    for clip, source, frames in zip(np.asarray(noisy), np.asarray(flow), corrupted, strict=True):
        noise = clip[np.asarray(frames)].reshape(-1, 2)
        source = source.reshape(-1, 2)
        np.testing.assert_allclose(noise.mean(0), source.mean(0), atol=0.05 * source.std(0).max())
        np.testing.assert_allclose(noise.std(0), source.std(0), rtol=0.05)
        assert abs(np.corrcoef(noise.T)[0, 1]) < 0.05


def test_a_share_of_the_corrupted_frames_is_still():
    flow = jnp.asarray(np.random.default_rng(0).normal(size=(400, 3, 2, 2, 2)), jnp.float32)
    valid = jnp.ones(flow.shape[:-1])
    config = AugmentConfig(corruption_probability=1.0, still_share=0.25)
    changed, corrupted = (np.asarray(x) for x in corrupt(jax.random.key(0), flow, valid, config))
    still = (changed == 0).all(axis=(2, 3, 4))
    assert (still <= corrupted).all()
    assert abs(still.sum() / corrupted.sum() - 0.25) < 0.07
    np.testing.assert_array_equal(changed[~corrupted], np.asarray(flow)[~corrupted])


@pytest.mark.parametrize(("num_frames", "most"), [(1, 0), (3, 2)])
def test_one_frame_stays_clean(num_frames, most):
    flow = clips(batch=20, num_frames=num_frames)
    config = AugmentConfig(corruption_probability=1.0, corrupted_frames=(5, 9))
    _, corrupted = corrupt(jax.random.key(0), flow, np.ones(flow.shape[:-1], np.float32), config)
    assert (np.asarray(corrupted).sum(1) == most).all()


def test_padding_behind_a_clip_changes_no_draw():
    flow, config = (
        clips(num_frames=9),
        AugmentConfig(
            global_motion=2.0, corruption_probability=0.8, corrupted_frames=(1, 4), still_share=0.3
        ),
    )
    model = MotionModel("quadratic", "bspline")
    valid = jnp.ones(flow.shape[:-1])
    labels = (flow[..., 0] > 0).astype(jnp.int32)
    padding = [(0, 0), (0, 3), (0, 0), (0, 0)]
    expected = augment(jax.random.key(1), flow, valid, config, model, labels=labels)
    found = augment(
        jax.random.key(1),
        jnp.pad(flow, [*padding, (0, 0)]),
        jnp.pad(valid, padding),
        config,
        model,
        clip_length=9,
        labels=jnp.pad(labels, padding),
    )
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other[:, :9], one, rtol=1e-5, atol=1e-5)
    assert not found.flow[:, 9:].any()


def test_flips_are_those_of_numpy():
    flow = clips(batch=40)
    valid = (flow[..., 0] > 0.5).astype(np.float32)
    config = AugmentConfig(flip_horizontal=0.5, flip_vertical=0.5)
    flipped, known = random_flip(jax.random.key(0), flow, valid, config)
    kinds = set()
    for f, v, g, w in zip(*map(np.asarray, (flow, valid, flipped, known)), strict=True):
        choices = {
            "none": (f, v),
            "left-right": (f[:, :, ::-1] * [-1, 1], v[:, :, ::-1]),
            "up-down": (f[:, ::-1] * [1, -1], v[:, ::-1]),
            "both": (-f[:, ::-1, ::-1], v[:, ::-1, ::-1]),
        }
        found = [k for k, (a, b) in choices.items() if (a == g).all() and (b == w).all()]
        assert len(found) == 1
        kinds.update(found)
    assert kinds == {"none", "left-right", "up-down", "both"}


def test_certain_flips_are_involutions():
    flow, config = clips(), AugmentConfig(flip_horizontal=1.0, flip_vertical=1.0)
    valid = (flow[..., 0] > 0.5).astype(np.float32)
    once = random_flip(jax.random.key(0), flow, valid, config)
    twice = random_flip(jax.random.key(1), *once, config)
    assert not (once[0] == flow).all()
    np.testing.assert_array_equal(twice[0], flow)
    np.testing.assert_array_equal(twice[1], valid)


def test_scale_jitter_keeps_directions():
    flow = clips(batch=300)
    result = augment(jax.random.key(0), flow, None, AugmentConfig(scale_jitter=2.0), MODELS[0][0])
    ratio = np.asarray(result.flow / flow).reshape(300, -1)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-5)
    logarithm = np.log2(ratio[:, 0])
    assert logarithm.min() >= -1.0001
    assert logarithm.max() <= 1.0001
    assert abs(logarithm.mean()) < 0.12


def test_jitted_keyed_and_compiled_once():
    model = MODELS[2][0]
    config = AugmentConfig(2.0, 0.5, 0.5, (1, 2), 0.5, 0.5, 0.5, 1.5)
    flow = clips(num_frames=9)
    traces = []

    @jax.jit
    def run(key, flow):
        traces.append(1)
        return plain_augment(key, flow, None, config, model)

    first, again, other = (run(jax.random.key(k), flow) for k in (0, 0, 1))
    assert len(traces) == 1
    np.testing.assert_array_equal(first.network_input, again.network_input)
    assert not np.array_equal(first.network_input, other.network_input)


def test_a_clip_does_not_depend_on_its_neighbors():
    config = AugmentConfig(2.0, 1.0, 1.0, (1, 2), 0.5, 0.5, 0.5, 1.5)
    flow = clips(num_frames=4)
    other = flow.copy()
    other[1:] = 1e3 * flow[:-1]
    model = MODELS[0][0]
    a, b = (augment(jax.random.key(0), f, None, config, model) for f in (flow, other))
    np.testing.assert_array_equal(a.network_input[0], b.network_input[0])


@pytest.mark.parametrize(
    "fields",
    [
        {"corruption_probability": 1.5},
        {"flip_horizontal": -0.1},
        {"corrupted_frames": (2, 1)},
        {"global_motion": -1.0},
        {"scale_jitter": 0.5},
    ],
)
def test_wrong_settings(fields):
    with pytest.raises(InputError, match=next(iter(fields))):
        AugmentConfig(**fields)
