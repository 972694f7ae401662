"""Flow inpainting, against planted motions, numpy, and central differences in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion import MotionModel, inpaint, parametric_flow

SHAPE = (2, 24, 32)  # T, H, W


def planted(spatial: str, seed: int) -> tuple[np.ndarray, MotionModel]:
    """Flow `[1, T, H, W, 2]` of one motion a frame, and its model."""
    model, rng = MotionModel(spatial), np.random.default_rng(seed)
    theta = rng.normal(0, 3, (SHAPE[0], model.num_parameters(1))).astype(np.float32)
    frames = parametric_flow(model, jnp.asarray(theta), (1, *SHAPE[1:]))[:, 0]
    return np.asarray(frames)[None], model


def disc() -> np.ndarray:
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    inside = (x - 18) ** 2 + (y - 11) ** 2 < 36
    return np.broadcast_to(inside, (1, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("spatial", ["affine", "quadratic"])
def test_the_background_is_extended_under_the_mask(spatial):
    background, model = planted(spatial, 0)
    mask = disc()
    flow = np.where(mask[..., None] > 0, 40.0, background).astype(np.float32)
    filled = inpaint(jnp.asarray(flow), jnp.asarray(mask), model)
    np.testing.assert_allclose(filled, background, atol=1e-3)


def test_gross_outliers_in_the_support_change_little():
    background, model = planted("quadratic", 1)
    mask, rng = disc(), np.random.default_rng(2)
    outliers = (rng.random(mask.shape) < 0.3)[..., None]
    flow = np.where(outliers, background + rng.normal(20, 5, background.shape), background)
    filled = np.asarray(inpaint(jnp.asarray(flow, jnp.float32), jnp.asarray(mask), model))
    inside = np.broadcast_to(mask[..., None] > 0, filled.shape)
    np.testing.assert_allclose(filled[inside], background[inside], atol=1e-2)


def test_no_mask_changes_nothing_and_a_full_one_leaves_nothing():
    flow = jnp.asarray(np.random.default_rng(3).normal(size=(1, *SHAPE, 2)), jnp.float32)
    np.testing.assert_array_equal(inpaint(flow, jnp.zeros((1, *SHAPE))), flow)
    np.testing.assert_array_equal(inpaint(flow, jnp.ones((1, *SHAPE))), 0)


def test_a_soft_mask_blends_flow_and_fill():
    background, model = planted("affine", 4)
    rng = np.random.default_rng(5)
    mask = rng.random((1, *SHAPE)).astype(np.float32)
    support = 1 - disc()
    flow = background + 7 * disc()[..., None]
    filled = inpaint(jnp.asarray(flow), jnp.asarray(mask), model, support=jnp.asarray(support))
    expected = (1 - mask[..., None]) * flow + mask[..., None] * background
    np.testing.assert_allclose(filled, expected, atol=1e-3)


@pytest.mark.parametrize("held", [np.nan, np.inf, 1e30])
def test_unknown_flow_is_filled_and_supports_nothing(held):
    background, model = planted("affine", 6)
    valid = 1 - disc()
    flow = np.where(valid[..., None] > 0, background, held).astype(np.float32)
    filled = inpaint(jnp.asarray(flow), jnp.zeros((1, *SHAPE)), model, valid=jnp.asarray(valid))
    np.testing.assert_allclose(filled, background, atol=1e-3)


def test_the_temporal_part_of_a_model_is_not_used():
    flow = jnp.asarray(np.random.default_rng(7).normal(size=(1, *SHAPE, 2)), jnp.float32)
    spline = MotionModel("affine", "bspline")
    np.testing.assert_array_equal(
        inpaint(flow, jnp.asarray(disc()), spline), inpaint(flow, jnp.asarray(disc()))
    )


def test_the_implicit_gradient_is_that_of_central_differences():
    """With the Huber penalty: the L1 fill is piecewise linear in the mask, and jumps in slope."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(8)
        flow = jnp.asarray(rng.normal(size=(1, 1, 8, 10, 2)))
        mask = jnp.asarray(rng.uniform(0.2, 0.8, (1, 1, 8, 10)))
        weights = jnp.asarray(rng.normal(size=flow.shape))

        def value(mask, adjoint):
            return jnp.sum(weights * inpaint(flow, mask, penalty="huber", adjoint=adjoint))

        gradient = jax.grad(value)(mask, "implicit")
        direction = jnp.asarray(rng.normal(size=mask.shape))
        step = 1e-4
        ahead, behind = (value(mask + sign * step * direction, "implicit") for sign in (1.0, -1.0))
        numeric = (ahead - behind) / (2 * step)
        np.testing.assert_allclose(jnp.sum(gradient * direction), numeric, rtol=1e-3)


def test_shapes_that_do_not_belong_together_are_refused():
    flow, mask = jnp.zeros((1, *SHAPE, 2)), jnp.zeros((1, *SHAPE))
    for arguments in (
        {"flow": flow[0], "mask": mask},
        {"flow": flow, "mask": mask[..., None]},
        {"flow": flow, "mask": mask, "support": mask[:, :1]},
        {"flow": flow, "mask": mask, "valid": mask[..., :1]},
    ):
        with pytest.raises(ValueError, match="must have shape"):
            inpaint(**arguments)
