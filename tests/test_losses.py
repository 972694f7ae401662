"""The losses against float64 sums written out, and the two theorems of the thesis."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxmotion as jm
from jaxmotion import losses

B, T, H, W, K = 2, 3, 6, 7, 3
MODEL = jm.MotionModel(spatial="quadratic", temporal="polynomial")


def sample(seed=0, frames=T):
    rng = np.random.default_rng(seed)
    flow = rng.normal(0, 2, (B, frames, H, W, 2))
    masks = rng.dirichlet(np.ones(K), (B, frames, H, W))
    parametric = rng.normal(0, 2, (B, K, frames, H, W, 2))
    valid = (rng.random((B, frames, H, W)) < 0.8).astype(float)
    return flow, masks, parametric, valid


def as_float32(*arrays):
    return [jnp.asarray(array, jnp.float32) for array in arrays]


def distance(residual, penalty):
    size = np.abs(residual)
    return {
        "l1": size.sum(-1),
        "l2": np.sqrt((residual**2).sum(-1)),
        "squared": (residual**2).sum(-1),
        "huber": np.where(size < 1, 0.5 * size**2, size - 0.5).sum(-1),
    }[penalty]


@pytest.mark.parametrize("penalty", ["l1", "l2", "squared", "huber"])
def test_reconstruction_is_equation_3_4(penalty):
    flow, masks, parametric, valid = sample()
    expected = np.zeros(B)
    for b in range(B):
        for t in range(T):
            cost = distance(flow[b, t] - parametric[b, :, t], penalty)
            coherence = sum((valid[b, t] * masks[b, t, ..., k] * cost[k]).sum() for k in range(K))
            expected[b] += coherence / (valid[b, t] * np.abs(flow[b, t]).sum(-1)).sum() / T
    ours = losses.reconstruction(
        *as_float32(flow, masks, parametric), penalty=penalty, valid=jnp.asarray(valid)
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_em_is_algorithm_7_1_4():
    flow, masks, parametric, valid = sample(1)
    cost = np.moveaxis(distance(flow[:, None] - parametric, "l1"), 1, -1)
    pixel = (masks * cost).sum(-1) + 0.05 * (masks * np.log(masks)).sum(-1)
    expected = (valid * pixel).sum((1, 2, 3)) / valid.sum((1, 2, 3))
    arrays = as_float32(flow, masks, parametric)
    ours = losses.em(*arrays, alpha=0.05, valid=jnp.asarray(valid, jnp.float32))
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_temporal_consistency_is_equation_4_6_with_one_quantile_a_clip():
    flow, masks, _, _ = sample(2)
    flow[0, 1, 2, 3] += 100  # two pairs of frames see this jump
    change = np.abs(np.diff(flow, axis=1)).sum(-1)
    jump = np.abs(np.diff(masks, axis=1)).sum(-1) / (2 * K)
    ours = losses.temporal_consistency(*as_float32(masks, flow), occlusion_quantile=0.98)
    for b in range(B):
        # 98 % of the clip's 84 pairs, rounded up, are kept: the two largest changes may go.
        kept = change[b] <= np.sort(change[b].ravel())[int(np.ceil(0.98 * change[b].size)) - 1]
        np.testing.assert_allclose(ours[b], jump[b][kept].mean(), rtol=2e-2)
    everything = losses.temporal_consistency(*as_float32(masks, flow), occlusion_quantile=1.0)
    np.testing.assert_allclose(everything, jump.mean((1, 2, 3)), rtol=1e-5)


def test_a_clip_of_one_frame_has_no_consistency_loss():
    flow, masks, _, _ = sample(frames=1)
    np.testing.assert_array_equal(losses.temporal_consistency(*as_float32(masks, flow)), 0)


def test_entropy_between_none_and_log_k():
    sure = jax.nn.one_hot(jnp.zeros((1, 1, 4, 4), int), K)
    np.testing.assert_allclose(losses.entropy(sure), 0, atol=1e-7)
    np.testing.assert_allclose(
        losses.entropy(jnp.full((1, 1, 4, 4, K), 1 / K)), np.log(K), rtol=1e-6
    )


@pytest.mark.parametrize("name", ["reconstruction", "em", "entropy", "temporal_consistency"])
def test_gradients_are_finite_on_hard_masks_and_still_or_unknown_flow(name):
    masks = jax.nn.one_hot(jnp.zeros((1, 2, 4, 4), int), K)
    flow = jnp.zeros((1, 2, 4, 4, 2)).at[0, 0, 0, 0].set(jnp.nan)
    valid = jnp.ones((1, 2, 4, 4)).at[0, 0, 0, 0].set(0)
    parametric = jnp.zeros((1, K, 2, 4, 4, 2))
    functions = {
        "reconstruction": lambda m: losses.reconstruction(flow, m, parametric, valid=valid),
        "em": lambda m: losses.em(flow, m, parametric, valid=valid),
        "entropy": lambda m: losses.entropy(m, valid=valid),
        "temporal_consistency": lambda m: losses.temporal_consistency(m, flow, valid=valid),
    }
    value, gradient = jax.value_and_grad(lambda m: functions[name](m).sum())(masks)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_a_clip_does_not_depend_on_the_others_of_its_batch():
    flow, masks, parametric, _ = as_float32(*sample(3))
    other = flow.at[1].mul(50.0)
    for loss in (losses.reconstruction, losses.em):
        before, after = loss(flow, masks, parametric), loss(other, masks, parametric)
        np.testing.assert_array_equal(before[0], after[0])
        assert before[1] != after[1]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.floats(0.1, 5))
def test_theorem_1_global_motion_changes_no_minimised_loss(seed, size):
    rng = np.random.default_rng(seed)
    flow, masks, _, _ = as_float32(*sample(seed))
    added = size * rng.normal(size=(B, 1, MODEL.num_parameters(T)))
    moved = flow + jm.parametric_flow(MODEL, jnp.asarray(added, jnp.float32), (T, H, W))[:, 0]

    def minimised(field):
        theta = jm.fit(field, masks, MODEL, passes=12)
        parametric = jm.parametric_flow(MODEL, theta, (T, H, W))
        return losses.em(field, masks, parametric, alpha=0.01)

    np.testing.assert_allclose(minimised(flow), minimised(moved), rtol=2e-3)


@settings(max_examples=10, deadline=None)
@given(
    shift=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    penalty=st.sampled_from(["l1", "l2", "huber", "squared"]),
)
def test_theorem_2_the_normaliser_does_not_depend_on_theta(shift, penalty):
    """Z = ∫ exp(−δ(y, θ)) dy, by quadrature on a grid wide enough that nothing is cut off."""
    axis = jnp.linspace(-14, 14, 281)
    y = jnp.stack(jnp.meshgrid(axis, axis, indexing="xy"), axis=-1)[None, None]

    def normaliser(theta):
        parametric = jnp.broadcast_to(jnp.asarray(theta), (1, 1, 1, 281, 281, 2))
        pixel = jax.vmap(
            lambda f, p: losses.em(
                f[None, None, None, None], jnp.ones((1, 1, 1, 1, 1)),
                p[None, None, None, None, None], penalty=penalty,
            )[0]
        )(y.reshape(-1, 2), parametric.reshape(-1, 2))  # fmt: skip
        return jnp.exp(-pixel).sum() * 0.1**2

    huber = (2 * np.exp(-0.5) + np.sqrt(2 * np.pi) * math.erf(np.sqrt(0.5))) ** 2
    exact = {"l1": 4.0, "l2": 2 * np.pi, "squared": np.pi, "huber": huber}[penalty]
    np.testing.assert_allclose(normaliser(shift), exact, rtol=5e-3)
