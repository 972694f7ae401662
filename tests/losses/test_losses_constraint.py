"""Multipliers: they find the optimum of constrained problems, and the published ones do not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from jaxmotion.losses import ascended, hinge, sigma

STEPS, RATE = 6000, 0.01


def solve(violation, projected=True, shared_rate=None):
    """Minimizes x² subject to x ≥ 1 from 3, whose optimum is 1, with a multiplier of 2.

    Returns the last x, the last multiplier, and how far x swings over the last tenth.
    """
    loss = lambda x, multiplier: x**2 + multiplier * violation(1 - x)  # noqa: E731
    slope = jax.grad(loss)
    optimizer = optax.adam(shared_rate) if shared_rate else None

    def step(carry, _):
        x, multiplier, state = carry
        down, up = slope(x, multiplier), violation(1 - x)
        if optimizer is None:
            x = x - RATE * down
            multiplier = ascended(multiplier, up, RATE) if projected else multiplier + RATE * up
        else:
            updates, state = optimizer.update((down, -up), state)
            x, multiplier = optax.apply_updates((x, multiplier), updates)
        return (x, multiplier, state), x

    start = (jnp.float32(3), jnp.float32(0))
    state = None if optimizer is None else optimizer.init(start)
    (x, multiplier, _), path = jax.lax.scan(step, (*start, state), None, STEPS)
    return float(x), float(multiplier), float(np.ptp(path[-STEPS // 10 :]))


def plain(value):
    return value


def test_a_projected_multiplier_and_a_hinge_find_the_optimum():
    x, multiplier, swing = solve(plain)
    assert x == pytest.approx(1, abs=1e-2)
    assert multiplier == pytest.approx(2, abs=1e-2)
    assert swing < 1e-2
    x, multiplier, _ = solve(hinge)
    assert x == pytest.approx(1, abs=2e-2)
    assert multiplier == pytest.approx(2, abs=5e-2)


def test_the_published_violation_feeds_its_multiplier_for_ever():
    """σ of 0.5 + how far x is below 1: at the constraint it jumps from 0 to 0.5."""
    jumping = lambda value: sigma(0.5 + value)  # noqa: E731
    _, multiplier, swing = solve(jumping, projected=False)
    assert multiplier > 5
    assert swing > 0.05
    # The hinge of the same value stops where it is satisfied.
    assert solve(lambda value: hinge(0.5 + value, 0.5), projected=False)[1] < 2.1


def test_a_multiplier_in_the_optimizer_of_the_network_hardly_moves():
    """Adam at the published rate of 1e-6: after 6,000 steps it has come 0.006 far."""
    x, multiplier, _ = solve(hinge, shared_rate=1e-6)
    assert multiplier < 0.01
    assert x > 2.9


def test_violations_are_what_their_equations_say():
    values = jnp.array([-1.0, 0.0, 0.4999, 0.5, 0.75])
    np.testing.assert_allclose(sigma(values), [0, 0, 0, 0.5, 0.75])
    np.testing.assert_allclose(hinge(values, 0.5), [0, 0, 0, 0, 0.25])
    np.testing.assert_allclose(
        ascended(jnp.array([0.1, 1.0]), jnp.array([-2.0, 3.0]), 0.1), [0, 1.3]
    )


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_random_quadratic_programs_against_slsqp(seed):
    """min ½ x'Qx + c'x subject to A x ≤ b, five variables and three constraints."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(5, 5))
    q, c = root @ root.T / 5 + np.eye(5), rng.normal(size=5)
    a, b = rng.normal(size=(3, 5)), rng.uniform(-0.5, 0.5, 3)
    expected = minimize(
        lambda x: 0.5 * x @ q @ x + c @ x,
        np.zeros(5),
        jac=lambda x: q @ x + c,
        constraints={"type": "ineq", "fun": lambda x: b - a @ x, "jac": lambda x: -a},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert expected.success

    @jax.jit
    def run(q, c, a, b):
        def step(carry, _):
            x, multiplier = carry
            x = x - 0.02 * (q @ x + c + multiplier @ a)
            return (x, ascended(multiplier, a @ x - b, 0.02)), None

        (x, multiplier), _ = jax.lax.scan(step, (jnp.zeros(5), jnp.zeros(3)), None, 40_000)
        return x, multiplier

    x, multiplier = run(*(jnp.asarray(v, jnp.float32) for v in (q, c, a, b)))
    np.testing.assert_allclose(x, expected.x, atol=1e-3)
    assert (np.asarray(multiplier) >= 0).all()
    # Only active constraints have a multiplier.
    assert np.abs(np.asarray(multiplier) * (a @ np.asarray(x) - b)).max() < 1e-2
