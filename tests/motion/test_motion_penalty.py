"""The penalties: their derivatives in float64, and their minima against scipy's."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from jaxmotion import losses
from jaxmotion.motion import MotionModel, Penalty, fit, parametric_flow, residual_penalty
from jaxmotion.motion.penalty import PENALTIES, as_penalty

SHAPE = (2, 12, 15)  # T, H, W
MODEL = MotionModel("affine")


@dataclasses.dataclass(frozen=True)
class Tukey(Penalty):
    """A penalty that the package does not have: Tukey's biweight."""

    @property
    def convex(self):
        return False

    def value(self, size, scale):
        return scale**2 / 6 * (1 - self._rest(size, scale) ** 3)

    def force(self, size, scale):
        return size * self._rest(size, scale) ** 2

    def curvature(self, size, scale):
        rest = self._rest(size, scale)
        return rest * (rest - 4 * (size / scale) ** 2)

    def _rest(self, size, scale):
        return jnp.maximum(1 - (size / scale) ** 2, 0)


@dataclasses.dataclass(frozen=True)
class Steep(Penalty):
    """|r|^3 / 3: the force grows faster than the size, and reweighting does not majorise it."""

    def value(self, size, scale):
        return size**3 / 3

    def force(self, size, scale):
        return size**2

    def curvature(self, size, scale):
        return 2 * size


OWN = {
    "tukey": Tukey(),
    "steep": Steep(),
    "steep of the norm": Steep(joint=True),
    "cauchy of the norm": dataclasses.replace(as_penalty("cauchy"), joint=True),
}
EVERY = {name: as_penalty(name) for name in PENALTIES} | OWN


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_force_and_curvature_are_the_derivatives_of_the_value(double, name, scale):
    penalty, step = EVERY[name], 1e-5
    size = jnp.asarray(np.setdiff1d(np.linspace(0.013, 9, 400), [scale]))
    size = size[jnp.abs(size - scale) > 2 * step]  # where Huber's and Tukey's kinks are
    for function, derivative in (
        (penalty.value, penalty.force),
        (penalty.force, penalty.curvature),
    ):
        expected = (function(size + step, scale) - function(size - step, scale)) / (2 * step)
        np.testing.assert_allclose(derivative(size, scale), expected, rtol=1e-7, atol=1e-8)
    assert penalty.value(jnp.zeros(()), scale) == 0
    curvature = penalty.curvature(size, scale)
    assert penalty.convex == bool(np.all(curvature >= 0))


@pytest.mark.parametrize("name", EVERY)
def test_the_slack_bounds_that_of_the_conjugate(double, name):
    """The gap is to be a bound: that of the dual, found on a grid of sizes."""
    penalty, grid = EVERY[name], jnp.linspace(0, 40, 40001)
    if not penalty.convex:
        return
    for scale, epsilon in ((0.3, 1.0), (1.0, 0.4), (2.0, 2.0)):
        size = jnp.linspace(0.0, 3.0, 61)
        far = jnp.maximum(size, epsilon)
        force = penalty.force(far, scale) / far * size
        conjugate = jnp.max(force[:, None] * grid - penalty.value(grid, scale), axis=1)
        gap = penalty.value(size, scale) + conjugate - force * size
        assert np.all(penalty.slack(size, force, epsilon, scale) >= gap - 1e-5)


def problem(seed):
    """A clip with an object of another motion, and soft masks."""
    rng = np.random.default_rng(seed)
    truth = MODEL.design(*SHAPE) @ rng.normal(size=6)
    flow = truth + 0.3 * rng.laplace(size=truth.shape)
    flow[:, 3:8, 5:10] += 5 * rng.normal(size=2)
    masks = rng.dirichlet(np.ones(2), size=SHAPE)
    return flow, masks


def scipys_minimum(penalty, flow, mask, scale, starts):
    """The least objective that BFGS finds from several starts, in float64."""
    design = MODEL.design(*SHAPE)

    @jax.jit
    @jax.value_and_grad
    def objective(theta):
        residual = flow - design @ theta
        return jnp.sum(mask * residual_penalty(residual[..., 0], residual[..., 1], penalty, scale))

    values = [
        minimize(lambda p: jax.tree.map(np.asarray, objective(p)), start, jac=True).fun
        for start in starts
    ]
    return min(values)


@pytest.mark.parametrize("name", [n for n in EVERY if n not in ("l1", "l2", "squared")])
def test_the_fit_reaches_the_minimum_of_scipy(double, name):
    """From many starts, for the penalties that are not convex."""
    penalty, scale = EVERY[name], 1.0
    for seed in range(2):
        flow, masks = problem(seed)
        found = fit(flow[None], masks[None], MODEL, penalty=penalty, huber_delta=scale, passes=20)
        rng = np.random.default_rng(seed)
        starts = [np.zeros(6), *rng.normal(size=(3 if penalty.convex else 12, 6)) * 2]
        if not penalty.convex:
            starts.append(np.asarray(found.theta[0, 0]))
        for k in range(2):
            least = scipys_minimum(penalty, flow, masks[..., k], scale, starts)
            tolerance = 1e-3 if "steep" in name else 2e-5
            np.testing.assert_allclose(found.objective[0, k], least, rtol=tolerance)
            if penalty.convex:
                assert found.objective[0, k] - found.gap[0, k] <= least * (1 + 1e-9)
            else:
                assert found.gap[0, k] == np.inf


def test_fit_and_loss_minimize_the_same_function_of_a_penalty_of_ones_own():
    flow, masks = (jnp.asarray(a, jnp.float32)[None] for a in problem(0))
    found = fit(flow, masks, MODEL, penalty=Tukey(), huber_delta=1.5)
    loss = losses.reconstruction(
        flow,
        masks,
        parametric_flow(MODEL, found.theta, SHAPE),
        penalty=Tukey(),
        huber_delta=1.5,
        weights=jnp.ones((1, 2)),
    )
    np.testing.assert_allclose(loss, found.objective.sum(-1), rtol=1e-5)


def test_what_is_no_penalty_is_refused():
    with pytest.raises(ValueError, match=r"penalty must be one of l1, .*got 'tukey'"):
        residual_penalty(jnp.ones(3), jnp.ones(3), "tukey")
    with pytest.raises(ValueError, match="or a Penalty; got <"):
        residual_penalty(jnp.ones(3), jnp.ones(3), jnp.abs)
