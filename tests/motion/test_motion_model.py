"""Bases and `MotionModel`, against their definitions and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from jaxmotion.motion import MotionModel, frame_coefficients, parametric_flow

SPATIAL = {"translation": 2, "affine": 6, "planar": 8, "quadratic": 12}
MODELS = [
    MotionModel(spatial, temporal, knot_spacing=2)
    for spatial in SPATIAL
    for temporal in ("constant", "polynomial", "bspline")
]


def published_formula(spatial, p, x, y):
    """The flow of one frame, written out (thesis eq. 1.3 as corrected, 4.1)."""
    if spatial == "translation":
        return p[0] + 0 * x, p[1] + 0 * x
    if spatial == "affine":
        return p[0] + p[1] * x + p[2] * y, p[3] + p[4] * x + p[5] * y
    if spatial == "planar":
        return (
            p[0] + p[1] * x + p[2] * y + p[6] * x**2 + p[7] * x * y,
            p[3] + p[4] * x + p[5] * y + p[6] * x * y + p[7] * y**2,
        )
    return tuple(
        q[0] + q[1] * x + q[2] * y + q[3] * x**2 + q[4] * x * y + q[5] * y**2
        for q in (p[:6], p[6:])
    )


@pytest.mark.parametrize("spatial", SPATIAL)
def test_spatial_models_follow_their_formulas(spatial):
    model = MotionModel(spatial)
    theta = np.random.default_rng(0).normal(size=SPATIAL[spatial])
    flow = model.design(1, 5, 7) @ theta
    x, y = np.meshgrid(np.linspace(-1, 1, 7), np.linspace(-1, 1, 5))
    for component, expected in enumerate(published_formula(spatial, theta, x, y)):
        np.testing.assert_allclose(flow[0, ..., component], expected, atol=1e-12)


def test_planar_is_the_flow_of_a_rigidly_moving_plane():
    # Eq. 1.2 with 1/Z linear in x and y (f = 1), for any motion: in the span of the 8 functions.
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 8))
    u, v, w, a, b, c = rng.normal(size=6)
    inverse_depth = 1 + 0.3 * x - 0.2 * y
    flow = np.stack(
        [
            u * inverse_depth - x * w * inverse_depth - a * x * y + b * (x**2 + 1) - c * y,
            v * inverse_depth - y * w * inverse_depth - a * (y**2 + 1) + b * x * y + c * x,
        ],
        axis=-1,
    )
    design = MotionModel("planar").design(1, 8, 9).reshape(-1, 8)
    theta, *_ = np.linalg.lstsq(design, flow.reshape(-1), rcond=None)
    np.testing.assert_allclose(design @ theta, flow.reshape(-1), atol=1e-12)


@pytest.mark.parametrize("knot_spacing", [1, 2, 3, 5])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 9, 16, 37])
def test_clamped_spline_is_scipys(frames, knot_spacing):
    count = 2 + (frames - 2) // knot_spacing
    degree = min(3, count - 1)
    knots = np.r_[[-1.0] * degree, np.linspace(-1, 1, count - degree + 1), [1.0] * degree]
    t = np.linspace(-1, 1, frames) if frames > 1 else np.zeros(1)
    expected = BSpline.design_matrix(t, knots, degree).toarray()
    model = MotionModel("translation", "bspline", knot_spacing=knot_spacing)
    basis = model.temporal_basis(frames)
    np.testing.assert_allclose(basis, expected, atol=1e-14)
    np.testing.assert_allclose(basis.sum(1), 1.0, atol=1e-12)
    assert model.num_parameters(frames) == 2 * count
    if frames > 1:  # the control points at both ends are the values there
        np.testing.assert_allclose(basis[[0, -1]], np.eye(count)[[0, -1]], atol=1e-12)


def test_cardinal_spline_is_the_published_variant():
    basis = MotionModel(temporal="bspline", knots="cardinal").temporal_basis(11)
    sums = basis.sum(1)
    np.testing.assert_allclose(sums[[0, -1]], 5 / 6, atol=1e-12)
    np.testing.assert_allclose(sums[4:7], 1.0, atol=1e-12)
    np.testing.assert_allclose(basis[0, :3], [2 / 3, 1 / 6, 0], atol=1e-12)


def test_polynomial_basis_is_the_powers_of_time():
    t = np.linspace(-1, 1, 4)
    np.testing.assert_array_equal(
        MotionModel(temporal="polynomial").temporal_basis(4), np.stack([t**0, t], -1)
    )
    np.testing.assert_array_equal(
        MotionModel(temporal="polynomial", degree=2).temporal_basis(4),
        np.stack([t**0, t, t**2], -1),
    )


@settings(deadline=None, max_examples=15)
@given(
    model=st.sampled_from(MODELS),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 99),
)
def test_parametric_flow_is_the_design_times_theta(model, shape, seed):
    theta = np.random.default_rng(seed).normal(size=(2, 3, model.num_parameters(shape[0])))
    expected = np.einsum("thwcp,bkp->bkthwc", model.design(*shape), theta)
    flow = parametric_flow(model, jnp.asarray(theta, jnp.float32), shape)
    assert flow.shape == (2, 3, *shape, 2)
    np.testing.assert_allclose(flow, expected, atol=1e-5)


def test_model_is_a_static_argument():
    assert hash(MotionModel("affine")) == hash(MotionModel("affine"))
    assert MotionModel("affine") != MotionModel("planar")


@pytest.mark.parametrize(
    "arguments",
    [
        {"spatial": "cubic"},
        {"temporal": "linear"},
        {"knots": "open"},
        {"degree": -1},
        {"knot_spacing": 0},
    ],
)
def test_wrong_options_are_named(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        MotionModel(**arguments)


def test_theta_of_the_wrong_size_is_refused():
    with pytest.raises(ValueError, match="12 parameters"):
        parametric_flow(MotionModel(), jnp.zeros((1, 2, 11)), (1, 4, 4))


@pytest.mark.parametrize("model", MODELS)
def test_behind_its_length_a_clip_does_not_move(model):
    basis = model.temporal_basis(16, 9)
    np.testing.assert_array_equal(basis[:9], model.temporal_basis(9))
    assert not basis[9:].any()
    theta = np.random.default_rng(0).normal(size=(1, 2, model.num_parameters(9)))
    flow = parametric_flow(model, jnp.asarray(theta, jnp.float32), (16, 4, 5), lengths=9)
    alone = np.einsum("thwcp,bkp->bkthwc", model.design(9, 4, 5), theta)
    np.testing.assert_allclose(flow[:, :, :9], alone, atol=1e-5)
    assert not np.any(flow[:, :, 9:])


BASES = [
    *(
        MotionModel("affine", "bspline", degree, spacing, knots)
        for degree in (None, 1)
        for spacing in (1, 2, 3, 5)
        for knots in ("clamped", "cardinal")
    ),
    MotionModel("affine", "bspline", 0),
    MotionModel("affine", "polynomial", 2),
    MotionModel("affine"),
]


@pytest.mark.parametrize("model", BASES)
def test_clips_of_several_lengths_have_each_its_own_functions(model):
    """Traced, where only the number of frames is known that the longest may have."""
    lengths = np.arange(1, 20)
    basis = np.asarray(jax.jit(lambda n: model.temporal_basis(19, n))(lengths))
    for found, length in zip(basis, lengths, strict=True):
        expected = model.temporal_basis(19, int(length))
        count = expected.shape[1]
        assert count == model.num_functions(length)
        np.testing.assert_allclose(found[:, :count], expected, atol=1e-5)
        assert not found[:, count:].any()


@pytest.mark.parametrize("lengths", [0, 17, np.zeros((2, 1), int)])
def test_lengths_out_of_range_are_refused(lengths):
    with pytest.raises(ValueError, match="lengths must"):
        MotionModel().temporal_basis(16, lengths)


@pytest.mark.parametrize("model", MODELS)
def test_the_coefficients_of_a_frame_are_its_motion(model):
    shape, rng = (5, 4, 6), np.random.default_rng(1)
    theta = jnp.asarray(rng.normal(size=(2, 3, model.num_parameters(5))), jnp.float32)
    coefficients = np.asarray(frame_coefficients(model, theta, 5), np.float64)
    assert coefficients.shape == (2, 3, 5, 2, 6)
    x, y = np.meshgrid(np.linspace(-1, 1, 6), np.linspace(-1, 1, 4))
    monomials = np.stack([x**0, x, y, x * x, x * y, y * y])
    flow = np.einsum("bktcj,jhw->bkthwc", coefficients, monomials)
    np.testing.assert_allclose(parametric_flow(model, theta, shape), flow, atol=1e-5)
    if model.spatial == "affine":
        assert not coefficients[..., 3:].any()
    with pytest.raises(ValueError, match="parameters per segment"):
        frame_coefficients(model, theta[..., 1:], 5)
