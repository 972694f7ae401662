"""The robust fit: certified optima, degenerate supports, invariances, precision, memory."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.extend.core import jaxprs_in_params

from jaxmotion.motion import MotionModel, fit, parametric_flow

QUADRATIC = MotionModel()


def smooth_masks(rng, shape, segments):
    """Soft masks that vary slowly over the image."""
    _, height, width = shape
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    phase, direction = rng.uniform(0, 6, segments), rng.normal(size=(segments, 2)) * 2
    logits = np.sin(x[..., None] * direction[:, 0] + y[..., None] * direction[:, 1] + phase)
    weights = np.exp(3 * logits)
    masks = np.broadcast_to(weights / weights.sum(-1, keepdims=True), (*shape, segments))
    return masks.astype(np.float32)


def noisy_clip(seed, shape, segments=2):
    rng = np.random.default_rng(seed)
    truth = QUADRATIC.design(*shape) @ (3 * rng.normal(size=12))
    flow = (truth + rng.laplace(size=truth.shape)).astype(np.float32)
    return flow[None], smooth_masks(rng, shape, segments)[None]


def l1_objective(flow, masks, model, theta):
    """Sum of mask * |residual|_1 in float64, through the dense design: `[B, K]`."""
    design = model.design(*flow.shape[1:4])
    motion = np.einsum("thwcp,bkp->bkthwc", design, np.asarray(theta, np.float64))
    residual = np.abs(flow[:, None].astype(np.float64) - motion).sum(-1)
    return np.einsum("bthwk,bkthw->bk", masks.astype(np.float64), residual)


def least_squares(flow, masks, model):
    """Weighted least squares in float64 through the dense design: `[B, K, P]`."""
    design = model.design(*flow.shape[1:4]).reshape(-1, model.num_parameters(flow.shape[1]))
    theta = np.zeros((flow.shape[0], masks.shape[-1], design.shape[-1]))
    for b, k in np.ndindex(theta.shape[:2]):
        root = np.sqrt(np.repeat(masks[b, ..., k].astype(np.float64).reshape(-1), 2))
        target = flow[b].astype(np.float64).reshape(-1) * root
        theta[b, k] = np.linalg.lstsq(design * root[:, None], target, rcond=1e-10)[0]
    return theta


@pytest.mark.real
@pytest.mark.parametrize(
    ("case", "passes"),
    [(case, 5) for case in (1, 3, 6)]
    + [pytest.param(case, 5, marks=pytest.mark.slow) for case in (0, 2, 4, 5, 7, 8)]
    + [pytest.param(case, 8, marks=pytest.mark.slow) for case in range(9)],
)
def test_objective_is_close_to_the_certified_optimum(shared, case, passes):
    oracle = np.load(shared / "oracles" / "fit_l1_optima.npz")
    meta = json.loads(str(oracle["meta"]))[case]
    model = MotionModel(meta["spatial"], meta["temporal"], knot_spacing=3)
    flow, masks = oracle[f"flow_{case}"][None], oracle[f"masks_{case}"][None]
    optimum = oracle[f"optimum_{case}"]
    found = fit(flow, masks, model, passes=passes)
    objective = l1_objective(flow, masks, model, found.theta)[0]
    gap = objective / optimum - 1
    assert gap.max() <= {5: 1e-3, 8: 1e-4}[passes]
    np.testing.assert_allclose(found.objective[0], objective, rtol=1e-5)
    assert np.all(np.asarray(found.gap[0]) >= objective - optimum - 1e-5 * objective)
    assert np.all(np.asarray(found.gap[0]) <= 0.01 * objective)


def degenerate_clips(frames):
    """Names, flows `[B, T, H, W, 2]` and masks `[B, T, H, W, 2]` that break naive solvers."""
    rng = np.random.default_rng(frames)
    shape = (frames, 16, 20)
    plain = rng.normal(size=(*shape, 2)) + 3
    half = np.full((*shape, 2), 0.5)

    def support(*pixels):
        masks = np.zeros((*shape, 2))
        for rows, columns in pixels:
            masks[:, rows, columns, 0] = 1
        masks[..., 1] = 1 - masks[..., 0]
        return masks

    wild = plain.copy()
    outliers = rng.random(shape) < 0.1
    wild[outliers] += 1000 * rng.normal(size=(outliers.sum(), 2))
    clips = {
        "empty mask": (plain, support()),
        "one row": (plain, support((5, slice(None)))),
        "one column": (plain, support((slice(None), 7))),
        "three pixels": (plain, support((3, 4), (10, 17), (12, 2))),
        "one pixel": (plain, support((3, 4))),
        "faint mask": (plain, half * [1e-6, 2 - 1e-6]),
        "constant flow": (0 * plain + 2.5, half),
        "zero flow": (0 * plain, half),
        "tiny flow": (1e-6 * plain, half),
        "huge flow": (1e4 * plain, half),
        "wild outliers": (wild, half),
    }
    flows, masks = (np.stack(x).astype(np.float32) for x in zip(*clips.values(), strict=True))
    return list(clips), flows, masks


@pytest.mark.parametrize(
    ("model", "frames"),
    [
        (MotionModel("quadratic", "bspline"), 1),
        (MotionModel("planar", "polynomial"), 2),
        (MotionModel("quadratic", "bspline"), 3),
    ],
)
def test_degenerate_clips_are_never_worse_than_least_squares(model, frames):
    names, flow, masks = degenerate_clips(frames)
    found = fit(flow, masks, model)
    chex.assert_tree_all_finite(found)
    theta = found.theta
    objective = l1_objective(flow, masks, model, theta)
    start = l1_objective(flow, masks, model, least_squares(flow, masks, model))
    rounding = 3e-6 * l1_objective(flow, masks, model, np.zeros(theta.shape))
    for name, value, bound in zip(names, objective, start * (1 + 1e-5) + rounding, strict=True):
        assert np.all(value <= bound), name
    assert np.all(np.asarray(theta)[names.index("empty mask"), 0] == 0)


@pytest.mark.parametrize(
    "penalty", ["l2", *(pytest.param(p, marks=pytest.mark.slow) for p in ("huber", "squared"))]
)
def test_degenerate_clips_are_finite_for_the_other_penalties(penalty):
    _, flow, masks = degenerate_clips(2)
    chex.assert_tree_all_finite(
        fit(flow, masks, MotionModel("quadratic", "polynomial"), penalty=penalty)
    )


@pytest.mark.parametrize(
    "penalty", ["l2", *(pytest.param(p, marks=pytest.mark.slow) for p in ("huber", "squared"))]
)
def test_the_other_penalties_reach_their_minimum(penalty):
    flow, masks = noisy_clip(0, (2, 24, 30))
    model, delta = MotionModel("affine", "polynomial"), 0.5
    found = fit(flow, masks, model, penalty=penalty, huber_delta=delta)
    design = model.design(*flow.shape[1:4])
    for k in range(2):
        residual = flow[0] - design @ np.asarray(found.theta[0, k], np.float64)
        size = np.linalg.norm(residual, axis=-1, keepdims=True)
        cost, slope = {
            "l2": (size[..., 0], residual / size),
            "huber": (
                np.where(
                    np.abs(residual) < delta,
                    residual**2 / 2,
                    delta * np.abs(residual) - delta**2 / 2,
                ).sum(-1),
                np.clip(residual, -delta, delta),
            ),
            "squared": ((residual**2).sum(-1), 2 * residual),
        }[penalty]
        objective = (masks[0, ..., k] * cost).sum()
        np.testing.assert_allclose(found.objective[0, k], objective, rtol=1e-5)
        # Convex: the objective at any point bounds its decrease along the way there.
        gradient = np.einsum("thwcp,thw,thwc->p", design, masks[0, ..., k], slope)
        weighted = design * masks[0, ..., k][..., None, None]
        scale = np.abs(np.einsum("thwcp,thwc->p", np.abs(weighted), np.abs(slope)))
        assert np.all(np.abs(gradient) < {"squared": 1e-4}.get(penalty, 1e-2) * scale)
        assert found.gap[0, k] < 5e-3 * objective


def test_problems_do_not_touch_each_other():
    def objective(flow, masks):
        return np.asarray(fit(flow, masks, QUADRATIC).objective)

    rng = np.random.default_rng(0)
    flow, masks = noisy_clip(1, (1, 20, 26), segments=3)
    nasty = rng.standard_cauchy(size=flow.shape).astype(np.float32) * 1e5
    alone = objective(flow, masks)[0]
    beside = objective(np.concatenate([flow, nasty]), np.concatenate([masks, masks]))
    np.testing.assert_allclose(beside[0], alone, rtol=1e-5)
    swapped = objective(flow, masks[..., [2, 0, 1]])[0]
    np.testing.assert_allclose(swapped, alone[[2, 0, 1]], rtol=1e-5)
    spoiled = masks.copy()
    spoiled[..., 1] = 0
    spoiled[0, 0, 0, :3, 1] = 1
    np.testing.assert_allclose(objective(flow, spoiled)[0, [0, 2]], alone[[0, 2]], rtol=1e-5)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 999), scale=st.sampled_from([1e-3, 1.0, 50.0]))
def test_fit_moves_with_the_flow(seed, scale):
    """Scaling the flow scales theta; adding a parametric flow adds its theta."""
    flow, masks = noisy_clip(seed, (1, 18, 22))
    shift = np.random.default_rng(seed).normal(size=12).astype(np.float32)
    moved = scale * flow + (QUADRATIC.design(1, 18, 22) @ shift)[None].astype(np.float32)
    first = fit(flow, masks, QUADRATIC, passes=8)
    second = fit(moved, masks, QUADRATIC, passes=8)
    tolerance = 2e-3 if scale >= 1 else 5e-3
    np.testing.assert_allclose(second.objective, scale * first.objective, rtol=tolerance)


@pytest.mark.parametrize(
    "model",
    [
        MotionModel("planar", "bspline", knot_spacing=1),
        pytest.param(MotionModel("quadratic", "polynomial"), marks=pytest.mark.slow),
    ],
)
def test_an_exact_motion_is_found_through_outliers(model):
    rng = np.random.default_rng(3)
    shape = (5, 24, 30)
    truth = rng.normal(size=(1, 1, model.num_parameters(5))).astype(np.float32)
    flow = np.array(parametric_flow(model, truth, shape))[:, 0]
    wild = rng.random(flow.shape[:-1]) < 0.2
    flow[wild] += 30 * rng.normal(size=(wild.sum(), 2))
    theta = fit(flow, np.ones((1, *shape, 1), np.float32), model).theta
    recovered = np.asarray(parametric_flow(model, theta, shape))[:, 0]
    assert np.abs(recovered - flow)[~wild].max() < 1e-2


def test_small_segments_are_fitted_in_coordinates_of_their_own():
    """A quadratic on a support of a twelfth of the image: beyond float32 in image coordinates."""
    model, shape = QUADRATIC, (1, 96, 128)
    x, y = np.meshgrid(np.linspace(-1, 1, 128), np.linspace(-1, 1, 96))
    local = [(x - 0.8) / 0.08, (y + 0.7) / 0.08]
    flow = np.stack([local[0] ** 2 - local[1], local[0] * local[1] + 2], -1)[None, None]
    mask = ((np.abs(local[0]) < 1) & (np.abs(local[1]) < 1))[None, None, ..., None]
    flow, mask = flow.astype(np.float32), mask.astype(np.float32)
    theta = fit(flow, mask, model).theta
    error = np.abs(parametric_flow(model, theta, shape)[:, 0] - flow)[mask[..., 0] > 0]
    assert error.max() < 2e-3


def test_invalid_pixels_and_padded_frames_do_not_count():
    flow, masks = noisy_clip(4, (3, 16, 18))
    model = MotionModel("affine", "constant")
    valid = np.ones(flow.shape[:-1], np.float32)
    valid[:, 2] = 0
    valid[:, :, 3:6, 4:9] = 0
    expected = fit(flow, masks * valid[..., None], model).theta
    spoiled = np.where(valid[..., None] > 0, flow, np.nan)
    found = fit(spoiled, masks, model, valid=valid).theta
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_frame_weights_weigh_frames():
    flow, masks = noisy_clip(5, (3, 16, 18))
    weights = np.array([[0.2, 1.0, 3.0]], np.float32)
    weighted = fit(flow, masks, QUADRATIC, penalty="squared", frame_weights=weights)
    expected = least_squares(flow, masks * weights[:, :, None, None, None], QUADRATIC)
    np.testing.assert_allclose(weighted.theta, expected, rtol=1e-3, atol=1e-4)


def test_a_warm_start_is_kept_or_improved():
    flow, masks = noisy_clip(6, (1, 20, 24))
    best = fit(flow, masks, QUADRATIC, passes=25)
    again = fit(flow, masks, QUADRATIC, init=best.theta, passes=3)
    assert np.all(again.objective <= best.objective * (1 + 1e-6))


def test_long_clips_with_frames_to_spare():
    """67 frames: lanes, padded frames and the block-banded solution, against short pieces."""
    model = MotionModel("affine", "bspline", knot_spacing=3)
    rng = np.random.default_rng(7)
    shape = (67, 8, 10)
    truth = rng.normal(size=(1, 1, model.num_parameters(67))).astype(np.float32)
    flow = np.asarray(parametric_flow(model, truth, shape))[:, 0]
    theta = fit(flow, np.ones((1, *shape, 1), np.float32), model).theta
    np.testing.assert_allclose(parametric_flow(model, theta, shape)[:, 0], flow, atol=2e-3)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_every_contraction_has_the_highest_precision(penalty):
    """Else it runs in bfloat16 or TF32 on accelerators, which ruins normal equations."""
    flow, masks = jnp.zeros((1, 70, 8, 8, 2)), jnp.ones((1, 70, 8, 8, 2))
    model = MotionModel("planar", "bspline")

    def loss(flow):
        theta = fit(flow, masks, model, penalty=penalty, adjoint="implicit").theta
        return parametric_flow(model, theta, (70, 8, 8)).sum()

    found = []

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in ("dot_general", "conv_general_dilated"):
                found.append(equation.params["precision"])
            for inner in jaxprs_in_params(equation.params):
                walk(inner)

    walk(jax.make_jaxpr(jax.grad(loss))(flow).jaxpr)
    highest = jax.lax.Precision.HIGHEST
    assert len(found) > 50
    assert all(p in (highest, (highest, highest)) for p in found)


@pytest.mark.slow
def test_temporaries_of_a_long_clip_stay_small():
    model = MotionModel("quadratic", "bspline", knot_spacing=3)
    flow = jax.ShapeDtypeStruct((1, 480, 128, 224, 2), jnp.float32)
    masks = jax.ShapeDtypeStruct((1, 480, 128, 224, 4), jnp.float32)
    memory = jax.jit(fit, static_argnums=2).lower(flow, masks, model).compile().memory_analysis()
    assert memory.temp_size_in_bytes <= 4 * memory.argument_size_in_bytes


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"flow": jnp.zeros((1, 2, 4, 5, 3))}, "flow"),
        ({"masks": jnp.zeros((1, 2, 4, 6, 2))}, "masks"),
        ({"valid": jnp.zeros((1, 2, 4))}, "valid"),
        ({"frame_weights": jnp.zeros((2,))}, "frame_weights"),
        ({"init": jnp.zeros((1, 2, 11))}, "init"),
        ({"lengths": 3}, "lengths"),
        ({"lengths": jnp.ones((2,), int)}, "lengths"),
        ({"penalty": "tukey"}, "penalty"),
        ({"passes": 2}, "passes"),
        ({"adjoint": "none"}, "adjoint"),
    ],
)
def test_wrong_input_is_named(change, name):
    arguments = {"flow": jnp.zeros((1, 2, 4, 5, 2)), "masks": jnp.ones((1, 2, 4, 5, 2))} | change
    with pytest.raises(ValueError, match=name):
        fit(model=QUADRATIC, **arguments)
