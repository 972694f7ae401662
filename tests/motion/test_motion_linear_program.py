"""`fit` against scipy's linear program, which needs no oracle file."""

import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog

import jaxmotion as jm


def test_l1_reaches_the_optimum_of_the_linear_program():
    model = jm.MotionModel(spatial="affine")
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 1, (1, 1, 24, 32, 2))
    flow[..., :16, :] += 3
    masks = rng.dirichlet(np.ones(2), (1, 1, 24, 32))
    theta = jm.fit(*(jnp.asarray(a, jnp.float32) for a in (flow, masks)), model, passes=8).theta

    design, target = model.design(1, 24, 32).reshape(-1, 6), flow.reshape(-1)
    identity = np.eye(len(target))
    for k in range(2):
        weights = np.repeat(masks[..., k].ravel(), 2)
        program = linprog(  # theta, and the positive and negative parts of the residual
            np.concatenate([np.zeros(6), weights, weights]),
            A_eq=np.hstack([design, identity, -identity]),
            b_eq=target,
            bounds=[(None, None)] * 6 + [(0, None)] * (2 * len(target)),
        )
        ours = weights @ np.abs(target - design @ np.asarray(theta[0, k], float))
        assert ours <= program.fun * (1 + 1e-4)
