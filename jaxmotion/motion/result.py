"""The result of a fit."""

import dataclasses

import jax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Fit:
    """Result of `fit`: the parameters of every segment, and figures of their quality.

    Attributes:
        theta: `[B, K, P]`: parameters of the motion of every segment, to be given to
            `parametric_flow`.
        objective: `[B, K]`: sum of mask * valid * frame weight * penalty, at theta.
        gap: `[B, K]`: how far the objective can be above its minimum. A duality gap where the
            smoothed problem is stationary, to which the decrease that a further Newton step
            promises is added (twice): an estimate, therefore, before convergence. Infinite for a
            penalty that is not convex, of which nothing is certified.
        iterations: `[B, K]`: number of full-resolution sweeps that lowered the objective.
        smoothing: `[B, K, 2]`: final smoothing of each component, in pixels per frame.
    """

    theta: jax.Array
    objective: jax.Array
    gap: jax.Array
    iterations: jax.Array
    smoothing: jax.Array
