"""The sweep and the solver of the fit, against dense float64 linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.motion import Absolute, MotionModel, moments
from jaxmotion.motion.banded import solve_banded
from jaxmotion.motion.equations import Equations
from jaxmotion.motion.moments import Clip
from jaxmotion.motion.moments import sweep as sweep_eagerly
from jaxmotion.motion.penalty import as_penalty

sweep = jax.jit(sweep_eagerly, static_argnums=(4, 5))


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("blocks", "group", "size"),
    [(1, 1, 6), (1, 1, 8), (1, 4, 3), (3, 3, 2), (6, 2, 3), (12, 1, 2)],
)
def test_banded_solution_is_the_dense_one(blocks, group, size):
    rng, m = np.random.default_rng(blocks), group * size
    # A sum of outer products that reach over two blocks is positive definite and tridiagonal.
    dense = np.zeros((3, (blocks + 1) * m, (blocks + 1) * m))
    for start in range(0, blocks * m, m):
        part = slice(start, start + 2 * m)
        factor = rng.normal(size=(3, 2 * m, 3 * m))
        dense[:, part, part] += factor @ factor.swapaxes(1, 2)
    cut = dense.reshape(3, blocks + 1, m, blocks + 1, m)
    main, upper = (
        np.stack([cut[:, i, :, i + offset] for i in range(blocks)], axis=1) for offset in (0, 1)
    )
    upper[:, -1] = 0
    rhs = rng.normal(size=(3, blocks, group, size))
    dense = dense[:, : blocks * m, : blocks * m]
    expected = np.linalg.solve(dense, rhs.reshape(3, -1, 1)).reshape(rhs.shape)
    solution = jax.jit(solve_banded)(main, upper, rhs, 0.0)
    np.testing.assert_allclose(solution, expected, rtol=1e-8)


@pytest.mark.parametrize("group", [1, 2])
def test_unknowns_without_data_are_zero(group):
    main, rhs = np.zeros((1, group * 3, group * 3)), np.zeros((1, group, 3))
    main[0, 0, 0], rhs[0, 0, 0] = 2.0, 4.0
    solution = jax.jit(solve_banded)(main, np.zeros_like(main), rhs, 0.0)
    np.testing.assert_allclose(solution, rhs / 2)


def test_a_system_that_is_not_definite_gives_zeros():
    main = np.array([[[1.0, 2.0], [2.0, 1.0]]])
    solution = jax.jit(solve_banded)(main, np.zeros_like(main), np.ones((1, 1, 2)), 0.0)
    assert not np.any(solution)


CASES = [
    (MotionModel("quadratic", "bspline", knot_spacing=1), "l1"),
    (MotionModel("planar", "polynomial"), "l1"),
    (MotionModel("affine", "polynomial"), "l2"),
    (MotionModel("quadratic", "constant"), "huber"),
    (MotionModel("translation", "constant"), "squared"),
]


def random_clip(rng, batch, frames, height, width, segments):
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    return Clip.of(
        flow=jnp.asarray(rng.normal(size=(batch, frames, 2, height, width))),
        weights=jnp.asarray(rng.random((batch, frames, segments, height, width))),
        x=jnp.broadcast_to(x, (batch, segments, width)),
        y=jnp.broadcast_to(y, (batch, segments, height)),
    )


@pytest.mark.parametrize(("model", "penalty"), CASES)
def test_normal_equations_are_those_of_the_design_matrix(model, penalty):
    rng = np.random.default_rng(0)
    frames, height, width, epsilon, kappa, delta = 5, 6, 7, 0.4, 0.3, 0.8
    clip = random_clip(rng, 1, frames, height, width, 1)
    equations = Equations.of(model, frames, as_penalty(penalty))
    theta = rng.normal(size=model.num_parameters(frames))
    local = equations.split(jnp.asarray(theta)[None, None])
    scalars = jnp.ones(local.shape[:3])
    found = sweep(
        clip,
        equations.coefficients(local),
        epsilon * scalars,
        kappa * scalars,
        equations.penalty,
        delta,
    )

    design = model.design(frames, height, width)
    residual = np.moveaxis(np.asarray(clip.flow[0]), 1, -1) - design @ theta
    weights = np.asarray(clip.weights[0, :, 0])
    size = np.abs(residual)
    if penalty == "l2":
        size = np.broadcast_to(np.linalg.norm(residual, axis=-1, keepdims=True), size.shape)
    cost = {
        "l1": size.sum(-1),
        "l2": size[..., 0],
        "squared": (residual**2).sum(-1),
        "huber": np.where(size < delta, size**2 / 2, delta * size - delta**2 / 2).sum(-1),
    }[penalty]
    if penalty == "squared":
        force, curvature = 2 * residual, 2 * np.broadcast_to(np.eye(2), (*residual.shape, 2))
    else:
        slope, width_ = (delta, max(delta, epsilon)) if penalty == "huber" else (1.0, epsilon)
        gain = slope / np.maximum(size, width_)
        force = gain * residual
        outside = np.where(size < width_, 1.0, kappa)
        curvature = np.eye(2) * (gain * outside)[..., None]
        if penalty == "l2":  # the radial part only is scaled
            direction = residual / size
            radial = np.where(size < width_, 0.0, (1 - kappa) * gain)[..., None]
            curvature = (
                np.eye(2) * gain[..., None]
                - radial * direction[..., :, None] * direction[..., None, :]
            )
    np.testing.assert_allclose(found.objective.sum(), (weights * cost).sum(), rtol=1e-10)
    gradient = np.einsum("thwcp,thw,thwc->p", design, weights, force)
    ours = jax.jit(equations.gradient)(found)
    np.testing.assert_allclose(equations.join(ours)[0, 0], gradient, rtol=1e-8, atol=1e-10)
    matrix = np.einsum("thwcp,thw,thwcd,thwdq->pq", design, weights, curvature, design)
    step = equations.join(jax.jit(equations.solve)(found, ours))[0, 0]
    np.testing.assert_allclose(step, np.linalg.solve(matrix, gradient), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("batch", "frames"), [(6, 1), (5, 9), (1, 71)])
def test_steps_do_not_change_a_sweep(monkeypatch, batch, frames):
    rng = np.random.default_rng(1)
    clip = random_clip(rng, batch, frames, 4, 5, 2)
    coefficients = jnp.asarray(rng.normal(size=(batch, frames, 2, 2, 6)))
    scalars = jnp.asarray(rng.random((batch, 2, 2)) + 0.1)
    whole = sweep(clip, coefficients, scalars, scalars, Absolute(), 1.0)
    monkeypatch.setattr(moments, "_RESIDUALS_PER_STEP_ON_CPU", 100)
    jax.clear_caches()  # the limit is read when a sweep is traced
    stepped = sweep(clip, coefficients, scalars, scalars, Absolute(), 1.0)
    program = jax.make_jaxpr(lambda c: sweep_eagerly(clip, c, scalars, scalars, Absolute(), 1.0))(
        coefficients
    )
    assert "scan" in str(program)  # it did go in steps
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), whole, stepped)


def test_the_size_of_a_step_is_that_of_the_platform_the_program_is_for(monkeypatch):
    """Not of the machine that traces it: a program may be compiled or exported for another."""
    rng = np.random.default_rng(2)
    clip, scalars = random_clip(rng, 2, 9, 4, 5, 2), jnp.ones((2, 2, 2))
    coefficients = jnp.zeros((2, 9, 2, 2, 6))
    monkeypatch.setattr(moments, "_RESIDUALS_PER_STEP_ON_CPU", 100)

    def program(platform):
        traced = jax.jit(lambda c: sweep_eagerly(clip, c, scalars, scalars, Absolute(), 1.0)).trace(
            coefficients
        )
        return traced.lower(lowering_platforms=(platform,)).as_text()

    assert "stablehlo.while" in program("cpu")
    for platform in ("tpu", "cuda"):
        assert "stablehlo.while" not in program(platform)
