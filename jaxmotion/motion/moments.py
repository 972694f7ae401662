"""One sweep over a clip: all that a Newton step of the fit needs, as small sums per frame.

The normal equations of a quadratic motion model need no design matrix. Their matrix for one
frame, mask and component has 15 distinct entries, the moments sum w x^a y^b with a + b <= 4, and
these are separable: contract y, then x. A sweep reads flow and masks once.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.model import evaluate_quadratic
from jaxmotion.motion.penalty import Penalty, residual_penalty
from jaxmotion.motion.spatial import POWERS

_HIGHEST = jax.lax.Precision.HIGHEST

# The exponents of the 15 moments, and which of them stands at (i, j) of the 6 x 6 Gram matrix.
MOMENTS = tuple((a, b) for b in range(5) for a in range(5 - b))
GRAM_INDEX = np.array(
    [[MOMENTS.index((a + c, b + d)) for c, d in POWERS] for a, b in POWERS], np.int32
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Clip:
    """The data of a fit, planar: the image row is the minor axis.

    Attributes:
      flow: `[B, T, 2, H, W]`.
      weights: `[B, T, K, H, W]`: mask times valid times frame weight.
      x: `[B, K, W]`, columns in the coordinates of the problem.
      y: `[B, K, H]`, rows.
    """

    flow: jax.Array
    weights: jax.Array
    x: jax.Array
    y: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Moments:
    """The sums of one sweep, per frame. C is 2, or 1 where the two components share them.

    Attributes:
      objective: `[B, T, K, C]`: sum w rho(r).
      slack: `[B, T, K, C]`: how far sum w rho(r) is from the value of the dual point psi(r).
      gradient: `[B, T, K, 2, 6]`: sum w psi(r) phi (minus the gradient of the objective).
      gram: `[B, T, K, C, 15]`: the moments of the curvature weights.
    """

    objective: jax.Array
    slack: jax.Array
    gradient: jax.Array
    gram: jax.Array


def sweep(
    clip: Clip,
    coefficients: jax.Array,
    smoothing: jax.Array,
    curvature: jax.Array,
    penalty: Penalty,
    huber_delta: float,
) -> Moments:
    """Residuals of every problem at its current coefficients, reduced to moments.

    Args:
      clip: the data.
      coefficients: `[B, T, K, 2, 6]`, in the coordinates of the problem.
      smoothing: `[B, K, C]`: residuals below this get the weight of one of this size.
      curvature: `[B, K, C]`: factor on the curvature weights of the residuals above it; 1 is the
        majoriser (iteratively reweighted least squares), 0 Newton's step on the smoothed problem.
      penalty: see `residual_penalty`.
      huber_delta: see `residual_penalty`.

    Returns:
      The moments.
    """
    model = evaluate_quadratic(coefficients, clip.x[:, None, :, None], clip.y[:, None, :, None])
    residual = clip.flow[:, :, None] - model
    weights = clip.weights[:, :, :, None]
    epsilon = smoothing[:, None, :, :, None, None]
    kappa = curvature[:, None, :, :, None, None]

    if penalty == "squared":
        cost, slack = residual**2, jnp.zeros_like(residual)
        gain = 2.0 * jnp.ones_like(residual)
        bend = gain
    else:
        size = jnp.abs(residual)
        if penalty == "l2":
            size = residual_penalty(residual[:, :, :, :1], residual[:, :, :, 1:], "l2")
        slope = huber_delta if penalty == "huber" else 1.0
        gain = slope / jnp.maximum(size, epsilon)
        bend = jnp.where(size < epsilon, gain, gain * kappa)
        force = gain * size
        if penalty == "huber":
            clipped = jnp.minimum(size, huber_delta)
            cost = clipped * (size - 0.5 * clipped)
            slack = cost + 0.5 * force**2 - force * size
        else:
            cost, slack = size, size - force * size
    ys = jnp.stack([clip.y**b for b in range(5)], axis=-2)
    xs = jnp.stack([clip.x**a for a in range(5)], axis=-2)
    return Moments(
        objective=jnp.sum(weights * cost, axis=(-2, -1)),
        slack=jnp.sum(weights * slack, axis=(-2, -1)),
        gradient=_contract(weights * gain * residual, xs[..., :3, :], ys[..., :3, :], POWERS),
        gram=_contract(weights * bend, xs, ys, MOMENTS),
    )


def _contract(image: jax.Array, xs: jax.Array, ys: jax.Array, powers) -> jax.Array:
    """Sums of `image` `[B, T, K, C, H, W]` times x^a y^b for (a, b) in powers: `[B, T, K, C, n]`.

    Rows first: the intermediate result then keeps whole image rows, which vectorise.
    """
    columns = jnp.einsum("bkjh,btkchw->btkcjw", ys, image, precision=_HIGHEST)
    table = jnp.einsum("btkcjw,bkiw->btkcji", columns, xs, precision=_HIGHEST)
    return jnp.stack([table[..., b, a] for a, b in powers], axis=-1)
