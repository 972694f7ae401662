"""Gradients of the fit, against finite differences in float64 of independent solutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from jaxmotion import losses
from jaxmotion.motion import MotionModel, fit, parametric_flow

SHAPE = (2, 7, 9)  # T, H, W
MODEL = MotionModel("affine", "polynomial")
COUPLED = MotionModel("planar", "constant")


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def clip(seed, segments=2, sparse=False):
    """A clip with noise everywhere, or (`sparse`) with an exact affine motion and outliers."""
    rng = np.random.default_rng(seed)
    model = MODEL if sparse else MotionModel()
    truth = model.design(*SHAPE) @ rng.normal(size=model.num_parameters(SHAPE[0]))
    noise = rng.laplace(size=truth.shape)
    flow = truth + np.where(rng.random(truth.shape) < 0.4, noise, 0.0) if sparse else truth + noise
    masks = rng.dirichlet(np.ones(segments), size=SHAPE)
    return flow[None], masks[None]


def smoothed_minimum(flow, mask, model, penalty, epsilon):
    """Minimum of the smoothed objective for one mask, by scipy: `[P]`.

    The threshold of "huber" is `epsilon` too.
    """
    design = model.design(*SHAPE)

    def value_and_slope(theta):
        residual = flow - design @ theta
        if penalty == "l2":
            size, width = np.linalg.norm(residual, axis=-1, keepdims=True), epsilon[:1]
        else:
            size, width = np.abs(residual), epsilon
        slope = width if penalty == "huber" else 1.0
        cost = np.where(size < width, size**2 / (2 * width), size - width / 2) * slope
        force = residual / np.maximum(size, width) * slope
        weighted = mask[..., None] * force
        return (mask[..., None] * cost).sum(), -np.einsum("thwcp,thwc->p", design, weighted)

    theta = np.zeros(design.shape[-1])
    for _ in range(6):  # restarts, until the line search has nothing left
        theta = minimize(value_and_slope, theta, jac=True, method="BFGS", options={"gtol": 1e-13}).x
    hessian = np.stack(
        [
            (value_and_slope(theta + h)[1] - value_and_slope(theta - h)[1]) / 2e-6
            for h in 1e-6 * np.eye(len(theta))
        ]
    )
    for _ in range(3):
        theta = theta - np.linalg.solve(hessian, value_and_slope(theta)[1])
    return theta


CASES = [
    ("huber", MODEL),
    ("l1", COUPLED),
    pytest.param("l1", MODEL, marks=pytest.mark.slow),
    pytest.param("l2", MODEL, marks=pytest.mark.slow),
    pytest.param("squared", MODEL, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("penalty", "model"), CASES)
def test_implicit_gradient_is_that_of_the_smoothed_problem(penalty, model):
    flow, masks = clip(0)
    rng = np.random.default_rng(1)
    cotangent = rng.normal(size=(2, model.num_parameters(SHAPE[0])))

    def readout(flow, masks, frame_weights):
        found = fit(
            flow,
            masks,
            model,
            penalty=penalty,
            huber_delta=0.7,
            frame_weights=frame_weights,
            passes=25,
            adjoint="implicit",
        )
        return jnp.sum(found.theta * cotangent), (found.theta, found.smoothing)

    frame_weights = np.array([[1.0, 0.6]])
    gradients, (theta, smoothing) = jax.grad(readout, argnums=(0, 1, 2), has_aux=True)(
        jnp.asarray(flow), jnp.asarray(masks), jnp.asarray(frame_weights)
    )
    epsilon = np.array(smoothing[0])
    if penalty == "huber":
        epsilon = np.maximum(epsilon, 0.7)
    if penalty == "squared":
        epsilon = np.full_like(epsilon, 1e3)

    def reference(flow, masks, frame_weights):
        weights = masks[0] * frame_weights[0][:, None, None, None]
        return np.stack(
            [
                smoothed_minimum(flow[0], weights[..., k], model, penalty, epsilon[k])
                for k in range(2)
            ]
        )

    np.testing.assert_allclose(theta[0], reference(flow, masks, frame_weights), atol=1e-6)
    data = (flow, masks, frame_weights)
    for n, gradient in enumerate(gradients):
        direction = rng.normal(size=data[n].shape) * (masks if n == 1 else 1.0)
        step = 1e-5

        def moved(sign, n=n, direction=direction, step=step):
            parts = list(data)
            parts[n] = parts[n] + sign * step * direction
            return (reference(*parts) * cotangent).sum()

        expected = (moved(1) - moved(-1)) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient * direction), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_unrolled_gradient_agrees_with_the_implicit_one():
    flow, masks = clip(2)

    def readout(masks, adjoint):
        theta = fit(
            flow, masks, MODEL, penalty="huber", huber_delta=0.7, passes=25, adjoint=adjoint
        ).theta
        return jnp.sum(jnp.sin(theta))

    implicit = jax.grad(readout)(jnp.asarray(masks), "implicit")
    unrolled = jax.grad(readout)(jnp.asarray(masks), "unroll")
    np.testing.assert_allclose(unrolled, implicit, rtol=1e-5, atol=1e-8)


def test_the_threshold_has_a_gradient_and_may_be_traced():
    flow, masks = clip(6)
    cotangent = np.random.default_rng(7).normal(size=(2, COUPLED.num_parameters(SHAPE[0])))

    @jax.jit
    @jax.value_and_grad
    def readout(delta):
        options = {"penalty": "huber", "passes": 25, "adjoint": "implicit"}
        return jnp.sum(cotangent * fit(flow, masks, COUPLED, huber_delta=delta, **options).theta)

    def reference(delta):
        return sum(
            row @ smoothed_minimum(flow[0], masks[0, ..., k], COUPLED, "huber", np.full(2, delta))
            for k, row in enumerate(cotangent)
        )

    for delta in (0.7, 1.1):
        value, slope = readout(delta)
        np.testing.assert_allclose(value, reference(delta), rtol=1e-6)
        expected = (reference(delta + 1e-5) - reference(delta - 1e-5)) / 2e-5
        np.testing.assert_allclose(slope, expected, rtol=1e-4)
    assert readout._cache_size() == 1


@pytest.mark.parametrize(
    ("adjoint", "penalty"),
    [
        ("implicit", "l1"),
        ("unroll", "l1"),
        *(
            pytest.param(adjoint, penalty, marks=pytest.mark.slow)
            for adjoint in ("implicit", "unroll")
            for penalty in ("l2", "huber", "squared")
        ),
    ],
)
def test_gradients_of_degenerate_problems_are_finite(adjoint, penalty):
    """In float32: what is nearly zero must neither overflow when inverted nor divide zero."""
    rng = np.random.default_rng(0)
    shape = (2, 9, 10)
    soft = rng.dirichlet(np.ones(2), size=shape)
    clips = {
        "zero flow": (np.zeros((*shape, 2)), soft),
        "constant flow": (np.full((*shape, 2), 2.5), soft),
        "tiny flow": (1e-9 * rng.normal(size=(*shape, 2)), soft),
        "empty mask": (rng.normal(size=(*shape, 2)), soft * [0, 1]),
        "zero flow in an empty mask": (np.zeros((*shape, 2)), soft * [0, 1]),
        "faint mask": (rng.normal(size=(*shape, 2)), soft * [1e-25, 1]),
    }
    flow, masks = (jnp.asarray(np.stack(x), jnp.float32) for x in zip(*clips.values(), strict=True))
    model = MotionModel("affine", "constant")

    def readout(flow, masks, frame_weights):
        theta = fit(
            flow, masks, model, penalty=penalty, frame_weights=frame_weights, adjoint=adjoint
        ).theta
        return jnp.sum(jnp.sin(theta + 1.0))

    ones = jnp.ones((len(clips), shape[0]), jnp.float32)
    gradients = jax.grad(readout, argnums=(0, 1, 2))(flow, masks, ones)
    for number, name in enumerate(clips):
        assert all(np.isfinite(gradient[number]).all() for gradient in gradients), name
    # Where flow is zero everywhere, all residuals count alike: least squares, by pixels' weights.
    design = model.design(*shape).reshape(-1, 6)
    expected = 0
    for k in range(2):
        weight = np.repeat(soft[..., k].reshape(-1), 2)
        solved = np.linalg.solve(design.T * weight @ design, np.full(6, np.cos(1.0)))
        expected = expected + weight * (design @ solved)
    if adjoint == "implicit":
        np.testing.assert_allclose(np.ravel(gradients[0][0]), expected, rtol=1e-3, atol=1e-6)


def test_forward_mode_is_for_the_other_two():
    flow, masks = clip(3)
    tangents = (jnp.asarray(flow), jnp.asarray(masks))

    def theta(adjoint):
        return lambda *data: fit(*data, COUPLED, penalty="squared", adjoint=adjoint).theta

    _, still = jax.jvp(theta("stop"), tangents, tangents)
    assert not np.any(still)
    _, moved = jax.jvp(theta("unroll"), tangents, tangents)  # theta is linear in the flow
    expected = fit(flow, masks, COUPLED, penalty="squared").theta
    np.testing.assert_allclose(moved, expected, rtol=1e-6)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(theta("implicit"), tangents, tangents)


def test_theta_is_a_constant_by_default():
    flow, masks = clip(3)
    gradient = jax.grad(lambda m: jnp.sum(fit(flow, m, MODEL).theta))(jnp.asarray(masks))
    assert np.all(np.asarray(gradient) == 0.0)


@pytest.mark.parametrize(
    "penalty",
    ["l1", *(pytest.param(p, marks=pytest.mark.slow) for p in ("l2", "huber", "squared"))],
)
def test_envelope_gradient_is_that_of_the_profiled_loss(penalty):
    # A smooth penalty has a smooth profile. That of L1 is smooth in the masks too where the minimum
    # stays at one vertex, which a sparse deviation from the model makes sure of.
    flow, masks = clip(4, segments=3, sparse=penalty == "l1")
    weights = losses.frame_weights(jnp.asarray(flow))

    def loss(masks):
        theta = fit(
            flow,
            masks,
            MODEL,
            penalty=penalty,
            huber_delta=0.7,
            frame_weights=weights,
            passes=40,
        ).theta
        parametric = parametric_flow(MODEL, theta, SHAPE)
        return losses.reconstruction(
            jnp.asarray(flow), masks, parametric, penalty=penalty, huber_delta=0.7
        )[0]

    rng = np.random.default_rng(5)
    direction = rng.normal(size=masks.shape) * masks
    gradient = jax.grad(loss)(jnp.asarray(masks))
    step = 1e-3 if penalty == "l1" else 1e-5
    expected = (loss(masks + step * direction) - loss(masks - step * direction)) / (2 * step)
    np.testing.assert_allclose(np.sum(gradient * direction), expected, rtol=1e-5)
