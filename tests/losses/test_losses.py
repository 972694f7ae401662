"""The losses, against values written out in numpy, and the thesis's two theorems."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion import losses
from jaxmotion.motion import MotionModel, fit, parametric_flow, residual_penalty

SHAPE = (2, 3, 6, 7)  # B, T, H, W
K = 3


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    flow = (4 * rng.normal(size=(*SHAPE, 2))).astype(np.float32)
    masks = rng.dirichlet(np.ones(K), size=SHAPE).astype(np.float32)
    parametric = rng.normal(size=(SHAPE[0], K, *SHAPE[1:], 2)).astype(np.float32)
    valid = (rng.random(SHAPE) < 0.7).astype(np.float32)
    return flow, masks, parametric, valid


def distance(residual, penalty, delta=1.0):
    size = np.abs(residual)
    return {
        "l1": size.sum(-1),
        "l2": np.linalg.norm(residual, axis=-1),
        "squared": (residual**2).sum(-1),
        "huber": np.where(size < delta, size**2 / 2, delta * (size - delta / 2)).sum(-1),
    }[penalty]


@pytest.mark.parametrize("penalty", ["l1", "l2", "huber", "squared"])
def test_reconstruction_is_equation_4_4(data, penalty):
    flow, masks, parametric, _ = data
    found = losses.reconstruction(flow, masks, parametric, penalty=penalty)
    for b in range(SHAPE[0]):
        frames = []
        for t in range(SHAPE[1]):
            error = sum(
                (masks[b, t, ..., k] * distance(flow[b, t] - parametric[b, k, t], penalty)).sum()
                for k in range(K)
            )
            frames.append(error / np.abs(flow[b, t]).sum())
        np.testing.assert_allclose(found[b], np.mean(frames), rtol=1e-5)


@pytest.mark.parametrize("normalization", ["none", "flow"])
def test_em_is_algorithm_7_1_4(data, normalization):
    flow, masks, parametric, _ = data
    found = losses.em(flow, masks, parametric, alpha=0.3, normalization=normalization)
    cost = distance(flow[:, None] - parametric, "l1")
    coherence = np.einsum("bthwk,bkthw->bthw", masks, cost).mean((1, 2, 3))
    if normalization == "flow":
        coherence = np.asarray(losses.reconstruction(flow, masks, parametric))
    negative_entropy = (masks * np.log(masks)).sum(-1).mean((1, 2, 3))
    np.testing.assert_allclose(found, coherence + 0.3 * negative_entropy, rtol=1e-5)
    np.testing.assert_allclose(losses.entropy(masks), -negative_entropy, rtol=1e-5)


def test_temporal_consistency_is_equation_4_6(data):
    flow, masks, _, _ = data
    found = losses.temporal_consistency(masks, flow, occlusion_quantile=0.8)
    change = np.abs(flow[:, 1:] - flow[:, :-1]).sum(-1)
    variation = np.abs(masks[:, 1:] - masks[:, :-1]).sum(-1) / (2 * K)
    for b in range(SHAPE[0]):
        threshold = np.quantile(change[b], 0.8, method="inverted_cdf")
        kept = variation[b] * (change[b] <= threshold)
        np.testing.assert_allclose(found[b], kept.mean(), rtol=1e-5)


def test_temporal_consistency_leaves_out_no_more_than_the_quantile():
    masks = np.zeros((1, 2, 10, 10, 2), np.float32)
    masks[:, 0, ..., 0] = masks[:, 1, ..., 1] = 1  # every pixel changes: 1/2 each
    still = np.zeros((1, 2, 10, 10, 2), np.float32)
    np.testing.assert_allclose(losses.temporal_consistency(masks, still), 0.5)
    jump = still.copy()
    jump[0, 1, 0, :3] = [5, -2]
    np.testing.assert_allclose(
        losses.temporal_consistency(masks, jump, occlusion_quantile=0.97), 0.5 * 0.97, rtol=1e-6
    )
    np.testing.assert_allclose(
        losses.temporal_consistency(masks, jump, occlusion_quantile=1.0), 0.5, rtol=1e-6
    )
    assert losses.temporal_consistency(masks[:, :1], still[:, :1]) == 0


def test_frame_weights_guard_still_frames(data):
    flow, _, _, valid = data
    flow, valid = flow.copy(), valid.copy()
    flow[0, 1] = 0
    valid[1, 2] = 0
    weights = np.asarray(losses.frame_weights(flow, valid=valid, min_magnitude=0.1))
    magnitude = (np.abs(flow).sum(-1) * valid).sum((2, 3))
    np.testing.assert_allclose(weights[0, 0], 1 / (3 * magnitude[0, 0]), rtol=1e-5)
    np.testing.assert_allclose(weights[0, 1], 1 / (3 * 0.1 * valid[0, 1].sum()), rtol=1e-5)
    np.testing.assert_allclose(weights[1, :2], 1 / (2 * magnitude[1, :2]), rtol=1e-5)
    assert weights[1, 2] == 0


@jax.jit
def all_losses(flow, masks, parametric, valid):
    return [
        losses.reconstruction(flow, masks, parametric, valid=valid),
        losses.em(flow, masks, parametric, valid=valid),
        losses.em(flow, masks, parametric, valid=valid, normalization="flow"),
        losses.temporal_consistency(masks, flow, valid=valid),
        losses.entropy(masks, valid=valid),
    ]


def test_invalid_pixels_count_nowhere(data):
    flow, masks, parametric, valid = data
    spoiled = np.where(valid[..., None] > 0, flow, np.nan)
    shuffled = np.where(valid[..., None] > 0, masks, masks[..., ::-1])
    expected = all_losses(flow, masks, parametric, valid)
    found = all_losses(spoiled, shuffled, parametric, valid)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)

    def total(masks):
        return sum(x.sum() for x in all_losses(spoiled, masks, parametric, valid))

    gradient = np.asarray(jax.grad(total)(jnp.asarray(masks)))
    assert np.isfinite(gradient).all()
    # The consistency term couples a pixel to its neighbors in time; elsewhere invalid means zero.
    assert np.all(gradient[valid == 0] == 0)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_half_precision_counts_as_float32_does(data, kind):
    """257 pixels are 256 in bfloat16."""
    rng = np.random.default_rng(0)
    flow = (4 * rng.normal(size=(1, 2, 17, 31, 2))).astype(kind)
    masks = rng.dirichlet(np.ones(K), size=(1, 2, 17, 31)).astype(kind)
    parametric = rng.normal(size=(1, K, 2, 17, 31, 2)).astype(kind)
    found = all_losses(flow, masks, parametric, np.ones(flow.shape[:-1], kind))
    whole = [array.astype(np.float32) for array in (flow, masks, parametric)]
    expected = all_losses(*whole, np.ones(flow.shape[:-1], np.float32))
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert losses.frame_weights(flow).dtype == np.float32
    assert losses.temporal_consistency(masks[:, :1], flow[:, :1]).dtype == np.float32


@pytest.mark.parametrize("known", [True, np.uint8(255), np.float32(3)])
def test_valid_is_what_is_positive(data, known):
    flow, masks, parametric, valid = data
    expected = all_losses(flow, masks, parametric, valid)
    found = all_losses(flow, masks, parametric, (valid > 0) * known)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_hard_masks_may_be_of_any_type(data):
    flow, _, parametric, valid = data
    hard = np.eye(K, dtype=bool)[np.random.default_rng(1).integers(0, K, SHAPE)]
    expected = all_losses(flow, hard.astype(np.float32), parametric, valid)
    for kind in (bool, np.int32):
        for a, b in zip(
            all_losses(flow, hard.astype(kind), parametric, valid), expected, strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_padded_frames_change_no_loss(data):
    flow, masks, parametric, _ = data

    def pad(array, axis):
        widths = [(0, 0)] * array.ndim
        widths[axis] = (0, 2)
        return np.pad(array, widths, constant_values=np.nan if array is flow else 0.5)

    valid = pad(np.ones(SHAPE, np.float32), 1)
    valid[:, SHAPE[1] :] = 0
    expected = all_losses(flow, masks, parametric, None)
    found = all_losses(pad(flow, 1), pad(masks, 1), pad(parametric, 2), valid)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_background_prior_is_a_mean_of_costs(data):
    _, masks, _, valid = data
    y, x = np.abs(np.linspace(-1, 1, SHAPE[2])), np.abs(np.linspace(-1, 1, SHAPE[3]))
    border = np.maximum(y[:, None], x) ** 4
    cost = (0.3 + 2.0 * border) * (1 - masks[..., 0].astype(float))
    options = {"foreground_cost": 0.3, "border_cost": 2.0}
    found = losses.background_prior(masks, **options)
    np.testing.assert_allclose(found, cost.mean((1, 2, 3)), rtol=1e-5)
    found = losses.background_prior(
        np.where(valid[..., None] > 0, masks, np.nan), **options, valid=valid
    )
    expected = (cost * valid).sum((1, 2, 3)) / valid.sum((1, 2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not np.any(losses.background_prior(masks))
    assert not np.any(losses.background_prior(masks, **options, valid=0 * valid))


class WithAndWithoutJit(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_losses_are_the_same_and_traced_once(self):
        rng = np.random.default_rng(0)
        flow = rng.normal(size=(*SHAPE, 2)).astype(np.float32)
        masks = rng.dirichlet(np.ones(K), size=SHAPE).astype(np.float32)
        parametric = rng.normal(size=(SHAPE[0], K, *SHAPE[1:], 2)).astype(np.float32)
        found = self.variant(all_losses)(flow, masks, parametric, np.ones(SHAPE, np.float32))
        chex.assert_tree_all_finite(found)
        chex.assert_trees_all_close(found, all_losses(flow, masks, parametric, None), rtol=1e-5)


@pytest.mark.parametrize("penalty", ["l1", "l2", "huber", "squared"])
def test_hard_masks_and_perfect_fits_have_finite_gradients(data, penalty):
    flow, _, _, _ = data
    masks = np.eye(K, dtype=np.float32)[np.random.default_rng(1).integers(0, K, SHAPE)]
    perfect = np.repeat(flow[:, None], K, axis=1)

    def total(masks, parametric):
        return losses.em(flow, masks, parametric, penalty=penalty).sum()

    gradients = jax.grad(total, argnums=(0, 1))(jnp.asarray(masks), jnp.asarray(perfect))
    assert all(np.isfinite(g).all() for g in gradients)
    assert losses.entropy(masks).max() == 0


def test_unknown_options_are_named(data):
    flow, masks, parametric, _ = data
    with pytest.raises(ValueError, match="normalization"):
        losses.em(flow, masks, parametric, normalization="mean")
    with pytest.raises(ValueError, match="penalty"):
        losses.reconstruction(flow, masks, parametric, penalty="tukey")
    with pytest.raises(ValueError, match="occlusion_quantile"):
        losses.temporal_consistency(masks, flow, occlusion_quantile=99)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000), strength=st.floats(0.1, 30))
def test_theorem_1_a_global_motion_changes_no_minimum(seed, strength):
    """Adding any parametric flow leaves the minimum over theta of the EM loss unchanged."""
    rng = np.random.default_rng(seed)
    model, shape = MotionModel(), (1, 16, 20)
    flow = rng.laplace(size=(1, *shape, 2)).astype(np.float32)
    masks = rng.dirichlet(np.ones(2), size=(1, *shape)).astype(np.float32)
    motion = parametric_flow(model, strength * rng.normal(size=(1, 12)).astype(np.float32), shape)

    def minimum(flow):
        theta = fit(flow, masks, model, passes=12).theta
        return losses.em(flow, masks, parametric_flow(model, theta, shape))

    np.testing.assert_allclose(minimum(flow + motion), minimum(flow), rtol=5e-4)


@settings(deadline=None, max_examples=20)
@given(
    shift=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    penalty=st.sampled_from(["l1", "l2", "huber", "squared"]),
)
def test_theorem_2_the_normalizer_does_not_depend_on_theta(shift, penalty):
    """The integral of exp(-d(f, f_theta)) over f is the same for every f_theta."""
    grid = np.linspace(-14, 14, 561)
    u, v = np.meshgrid(grid, grid)

    def normalizer(center):
        density = np.exp(-residual_penalty(u - center[0], v - center[1], penalty))
        return density.sum() * (grid[1] - grid[0]) ** 2

    np.testing.assert_allclose(normalizer(shift), normalizer((0.0, 0.0)), rtol=2e-3)


def test_a_clip_without_a_known_pixel_costs_nothing():
    masks = jnp.full((1, 2, 3, 4, 2), 0.5)
    nowhere = jnp.zeros((1, 2, 3, 4))
    assert losses.entropy(masks, valid=nowhere)[0] == 0
    assert losses.background_prior(masks, foreground_cost=1.0, valid=nowhere)[0] == 0
