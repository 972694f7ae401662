"""Clips of several lengths in one batch, padded behind: each is fitted as if it were alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.motion import MotionModel, fit, frame_coefficients, parametric_flow

LENGTHS = (11, 1, 4, 7)
SHAPE = (11, 12, 14)
MODELS = [
    MotionModel("affine", "bspline", knot_spacing=2),
    MotionModel("translation", "bspline", knot_spacing=3, knots="cardinal"),
    MotionModel("planar", "polynomial"),
]


def clips():
    rng = np.random.default_rng(0)
    flow = rng.laplace(size=(4, *SHAPE, 2)) + np.linspace(0, 3, 11)[:, None, None, None]
    masks = rng.dirichlet(np.ones(2), size=(4, *SHAPE))
    for clip, length in enumerate(LENGTHS):  # neither what is there nor how much of it may matter
        flow[clip, length:] = np.nan
        masks[clip, length:] = 7.0
    return flow.astype(np.float32), masks.astype(np.float32)


@pytest.mark.parametrize("model", MODELS)
def test_a_clip_among_others_is_fitted_as_alone(model):
    flow, masks = clips()
    chex.clear_trace_counter()
    batch = jax.jit(
        chex.assert_max_traces(
            lambda flow, masks, lengths: fit(flow, masks, model, lengths=lengths), n=1
        )
    )
    batch(flow, masks, np.full(4, 3))  # other lengths are no other program
    found = batch(flow, masks, np.array(LENGTHS))
    chex.assert_tree_all_finite(found)
    motion = parametric_flow(model, found.theta, SHAPE, lengths=jnp.asarray(LENGTHS))
    frames = frame_coefficients(model, found.theta, 11, lengths=jnp.asarray(LENGTHS))
    for clip, length in enumerate(LENGTHS):
        alone = fit(flow[clip : clip + 1, :length], masks[clip : clip + 1, :length], model)
        count = model.num_parameters(length)
        rest = found.theta[clip, :, count:]
        np.testing.assert_allclose(found.objective[clip], alone.objective[0], rtol=1e-4)
        assert not np.any(rest)
        expected = parametric_flow(model, alone.theta, (length, *SHAPE[1:]))[0]
        np.testing.assert_allclose(motion[clip, :, :length], expected, atol=0.02)
        assert not np.any(motion[clip, :, length:])
        assert not np.any(frames[clip, :, length:])


@pytest.mark.parametrize("penalty", ["squared", "huber"])
def test_its_theta_is_that_of_the_clip_alone(penalty):
    """Of smooth penalties, whose minimum is not flat."""
    flow, masks = clips()
    model = MODELS[0]
    found = fit(flow, masks, model, lengths=np.array(LENGTHS), penalty=penalty, passes=8)
    for clip, length in enumerate(LENGTHS):
        one = flow[clip : clip + 1], masks[clip : clip + 1]
        count = model.num_parameters(length)
        theta = found.theta[clip, :, :count]
        alone = fit(*(a[:, :length] for a in one), model, penalty=penalty, passes=8)
        np.testing.assert_allclose(theta, alone.theta[0], atol=2e-3)
        same = fit(*one, model, lengths=length, penalty=penalty, passes=8)
        np.testing.assert_allclose(same.theta, alone.theta, atol=2e-3)


def test_gradients_reach_the_frames_of_each_clip_only():
    flow, masks = clips()
    model, lengths = MODELS[0], np.array(LENGTHS)

    def readout(masks, flow, lengths, adjoint):
        found = fit(flow, masks, model, lengths=lengths, penalty="huber", passes=8, adjoint=adjoint)
        return jnp.sum(jnp.sin(found.theta))

    gradient = jax.grad(readout)(masks, flow, lengths, "implicit")
    chex.assert_tree_all_finite(gradient)
    for clip, length in enumerate(LENGTHS):
        one = masks[clip : clip + 1, :length], flow[clip : clip + 1, :length]
        alone = jax.grad(readout)(*one, None, "implicit")
        scale = np.abs(alone).max()
        np.testing.assert_allclose(gradient[clip, :length], alone[0], atol=2e-3 * scale)
        assert not np.any(gradient[clip, length:])
