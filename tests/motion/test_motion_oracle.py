"""`fit` against optima certified elsewhere: a float64 linear program, and scipy."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog, minimize

import jaxmotion as jm


def l1_objective(flow, masks, model, theta):
    """The objective of each mask, in float64 through the dense design."""
    design = model.design(*flow.shape[:3])
    residual = flow[..., None].astype(float) - design @ np.asarray(theta, float).T
    return (masks * np.abs(residual).sum(-2)).sum((0, 1, 2))


@pytest.mark.real
@pytest.mark.parametrize("case", range(9))
@pytest.mark.parametrize(("passes", "gap"), [(5, 1e-3), (8, 1e-4)])
def test_gap_to_the_certified_optimum(shared, case, passes, gap):
    data = np.load(shared / "oracles" / "fit_l1_optima.npz")
    model = jm.MotionModel(**json.loads(str(data["meta"]))[case], knot_spacing=3)
    flow, masks = data[f"flow_{case}"], data[f"masks_{case}"]
    optimum = data[f"optimum_{case}"]
    theta, info = jm.fit(
        jnp.asarray(flow)[None], jnp.asarray(masks)[None], model, passes=passes, return_info=True
    )
    objective = l1_objective(flow, masks, model, theta[0])
    assert (objective / optimum - 1).max() <= gap
    np.testing.assert_allclose(info.objective[0], objective, rtol=1e-4)


def random_problem(seed, frames=1, height=10, width=12, segments=2):
    rng = np.random.default_rng(seed)
    flow = rng.normal(0, 1, (1, frames, height, width, 2))
    flow[..., : width // 2, :] += 3
    masks = rng.dirichlet(np.ones(segments), (1, frames, height, width))
    return flow, masks


def test_l1_against_a_linear_program():
    model = jm.MotionModel(spatial="affine")
    flow, masks = random_problem(0)
    theta = jm.fit(*(jnp.asarray(a, jnp.float32) for a in (flow, masks)), model, passes=12)
    design = model.design(1, 10, 12).reshape(-1, 6)
    target = flow.reshape(-1)
    count = len(target)
    identity = np.eye(count)
    for k in range(2):
        weights = np.repeat(masks[..., k].ravel(), 2)
        program = linprog(
            np.concatenate([np.zeros(6), weights, weights]),
            A_eq=np.hstack([design, identity, -identity]),
            b_eq=target,
            bounds=[(None, None)] * 6 + [(0, None)] * (2 * count),
        )
        ours = l1_objective(flow[0], masks[0], model, theta[0])[k]
        assert ours <= program.fun * (1 + 1e-4)


@pytest.mark.parametrize("penalty", ["squared", "huber", "l2"])
@pytest.mark.parametrize("temporal", ["constant", "polynomial", "bspline"])
def test_other_penalties_against_scipy(penalty, temporal):
    model = jm.MotionModel(spatial="planar", temporal=temporal)
    flow, masks = random_problem(1, frames=4, height=6, width=7)
    design = model.design(4, 6, 7)

    def objective(parameters, k):
        residual = flow[0] - design @ parameters
        size = np.abs(residual)
        cost = {
            "squared": (residual**2).sum(-1),
            "huber": np.where(size < 1, size**2 / 2, size - 0.5).sum(-1),
            "l2": np.sqrt((residual**2).sum(-1) + 1e-12),
        }[penalty]
        return (masks[0, ..., k] * cost).sum()

    theta = jm.fit(
        *(jnp.asarray(a, jnp.float32) for a in (flow, masks)), model, penalty=penalty, passes=12
    )
    for k in range(2):
        best = minimize(objective, np.zeros(design.shape[-1]), args=(k,), method="BFGS").fun
        assert objective(np.asarray(theta[0, k], float), k) <= best * (1 + 2e-4)


def test_the_certificate_bounds_the_gap_where_it_has_converged():
    model = jm.MotionModel(spatial="affine")
    flow, masks = (jnp.asarray(a, jnp.float32) for a in random_problem(2))
    theta, info = jm.fit(flow, masks, model, passes=14, return_info=True)
    best = jm.fit(flow, masks, model, passes=40)
    objective, optimum = (
        l1_objective(np.asarray(flow[0]), np.asarray(masks[0]), model, t[0]) for t in (theta, best)
    )
    assert (info.gap[0] >= objective - optimum - 1e-3).all()
    assert (info.gap[0] <= 0.01 * objective).all()


HOSTILE_FLOWS = {
    "constant": lambda f: np.full_like(f, 2.5),
    "zero": np.zeros_like,
    "tiny": lambda f: f * 1e-6,
    "huge": lambda f: f * 1e4,
    "outliers": lambda f: np.where(
        np.random.default_rng(5).random(f.shape[:-1])[..., None] < 0.1, 1e3, f
    ),
}


def hostile_masks(frames, height, width):
    masks = np.zeros((1, frames, height, width, 5))
    masks[:, :, 3, :, 1] = 1  # a row; mask 0 is empty
    masks[:, :, :, 4, 2] = 1  # a column
    masks[:, 0, [1, 5, 8], [2, 9, 4], 3] = 1  # three pixels
    masks[..., 4] = 1
    return masks


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("kind", HOSTILE_FLOWS)
@pytest.mark.parametrize("temporal", ["constant", "polynomial", "bspline"])
def test_finite_and_never_worse_than_least_squares(kind, frames, temporal):
    model = jm.MotionModel(spatial="quadratic", temporal=temporal)
    rng = np.random.default_rng(0)
    flow = HOSTILE_FLOWS[kind](rng.normal(0, 1, (1, frames, 12, 14, 2))).astype(np.float32)
    masks = hostile_masks(frames, 12, 14).astype(np.float32)
    theta, info = jm.fit(jnp.asarray(flow), jnp.asarray(masks), model, return_info=True)
    assert np.isfinite(theta).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(info))

    ours = l1_objective(flow[0], masks[0], model, theta[0])
    design = model.design(frames, 12, 14).reshape(-1, theta.shape[-1])
    target = flow.reshape(-1).astype(float)
    for k in range(5):
        root = np.sqrt(np.repeat(masks[..., k].ravel(), 2))
        start, *_ = np.linalg.lstsq(design * root[:, None], target * root, rcond=1e-9)
        weights = np.repeat(masks[..., k].ravel(), 2)
        least_squares = (weights * np.abs(target - design @ start)).sum()
        rounding = 2e-5 * (weights * np.abs(target)).sum() + 1e-9
        assert ours[k] <= least_squares * (1 + 1e-3) + rounding
    np.testing.assert_array_equal(theta[0, 0], 0)


def test_problems_are_independent():
    model = jm.MotionModel(spatial="quadratic", temporal="bspline")
    rng = np.random.default_rng(3)
    flow = rng.normal(0, 1, (3, 5, 9, 11, 2)).astype(np.float32)
    masks = rng.dirichlet(np.ones(3), (3, 5, 9, 11)).astype(np.float32)
    together = jm.fit(jnp.asarray(flow), jnp.asarray(masks), model)
    flow[1] *= 1e4
    masks[1] = 0
    nasty = jm.fit(jnp.asarray(flow), jnp.asarray(masks), model)
    np.testing.assert_array_equal(together[0], nasty[0])
    np.testing.assert_array_equal(together[2], nasty[2])
    permuted = jm.fit(jnp.asarray(flow), jnp.asarray(masks[..., ::-1]), model)
    np.testing.assert_allclose(permuted[:, ::-1], nasty, rtol=1e-4, atol=1e-4)


def test_unknown_pixels_do_not_matter_and_weights_do():
    model = jm.MotionModel(spatial="affine", temporal="polynomial")
    flow, masks = random_problem(4, frames=3)
    valid = np.ones(flow.shape[:-1])
    valid[:, :, :4] = 0
    broken = np.where(valid[..., None] > 0, flow, np.nan)
    arrays = [jnp.asarray(a, jnp.float32) for a in (flow, masks, valid, broken)]
    theta = jm.fit(arrays[0], arrays[1], model, valid=arrays[2])
    np.testing.assert_array_equal(jm.fit(arrays[3], arrays[1], model, valid=arrays[2]), theta)
    weighted = arrays[1] * arrays[2][..., None]
    np.testing.assert_allclose(jm.fit(arrays[0], weighted, model), theta, rtol=1e-4, atol=1e-4)

    frame_weights = jnp.asarray([[1.0, 0.0, 2.0]])
    by_argument = jm.fit(arrays[0], arrays[1], model, frame_weights=frame_weights)
    by_masks = jm.fit(arrays[0], arrays[1] * frame_weights[:, :, None, None, None], model)
    np.testing.assert_allclose(by_argument, by_masks, rtol=1e-4, atol=1e-4)


def profiled_loss(flow, masks, model, adjoint, penalty):
    theta = jm.fit(flow, masks, model, penalty=penalty, passes=30, adjoint=adjoint)
    parametric = jm.parametric_flow(model, theta, flow.shape[1:4])
    return jm.losses.em(flow, masks, parametric, penalty=penalty, alpha=0.0).sum()


@pytest.mark.parametrize("penalty", ["squared", "huber"])
def test_envelope_gradient_is_that_of_the_minimised_loss(penalty):
    with jax.enable_x64(True):
        model = jm.MotionModel(spatial="affine")
        flow, masks = (jnp.asarray(a) for a in random_problem(6))
        direction = jnp.asarray(np.random.default_rng(7).normal(0, 1, masks.shape))
        function = lambda m: profiled_loss(flow, m, model, "stop", penalty)  # noqa: E731
        along = jnp.vdot(jax.grad(function)(masks), direction)
        step = 1e-5
        difference = function(masks + step * direction) - function(masks - step * direction)
        np.testing.assert_allclose(along, difference / (2 * step), rtol=1e-5)


@pytest.mark.parametrize("wanted", ["masks", "flow"])
@pytest.mark.parametrize("penalty", ["squared", "huber"])
def test_implicit_gradient_against_finite_differences(wanted, penalty):
    with jax.enable_x64(True):
        model = jm.MotionModel(spatial="affine", temporal="polynomial")
        flow, masks = (jnp.asarray(a) for a in random_problem(8, frames=2))
        rng = np.random.default_rng(9)
        cotangent = jnp.asarray(rng.normal(size=(1, 2, model.num_parameters(2))))
        direction = jnp.asarray(rng.normal(size=(masks if wanted == "masks" else flow).shape))

        def function(step):
            f = flow + step * direction if wanted == "flow" else flow
            m = masks + step * direction if wanted == "masks" else masks
            theta = jm.fit(f, m, model, penalty=penalty, passes=30, adjoint="implicit")
            return jnp.vdot(cotangent, theta)

        step = 1e-5
        difference = (function(step) - function(-step)) / (2 * step)
        np.testing.assert_allclose(jax.grad(function)(0.0), difference, rtol=1e-4)


def test_every_contraction_asks_for_full_precision():
    """A TPU multiplies float32 matrices in bfloat16 unless told otherwise."""
    model = jm.MotionModel(spatial="quadratic", temporal="bspline")
    flow, masks = jnp.zeros((1, 5, 16, 20, 2)), jnp.zeros((1, 5, 16, 20, 2))
    seen = []

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                seen.append(equation.params["precision"])
            for inner in jax.tree.leaves(
                list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns")
            ):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    visit(inner)

    visit(jax.make_jaxpr(lambda f, m: jm.fit(f, m, model))(flow, masks).jaxpr)
    highest = jax.lax.Precision.HIGHEST
    assert len(seen) > 4
    assert all(p in (highest, (highest, highest)) for p in seen), seen


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"penalty": "l3"}, "l3"),
        ({"adjoint": "none"}, "adjoint"),
        ({"passes": 1}, "passes"),
        ({"valid": jnp.ones((1, 2, 3, 4))}, "valid"),
        ({"init": jnp.ones((1, 2, 5))}, "init"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    flow, masks = (jnp.asarray(a) for a in random_problem(0))
    with pytest.raises(ValueError, match=message):
        jm.fit(flow, masks, jm.MotionModel(spatial="affine"), **change)
