"""One sweep over a clip: all that a Newton step of the fit needs, as small sums per frame.

The normal equations of a quadratic motion model need no design matrix. Their matrix for one
frame, mask and component has 15 distinct entries, the moments sum w x^a y^b with a + b <= 4, and
these are separable: contract y, then x. A sweep reads flow and masks once; work and memory are
linear in the number of frames.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.model import evaluate_quadratic
from jaxmotion.motion.penalty import Penalty, residual_penalty
from jaxmotion.motion.spatial import POWERS

# The exponents of the 15 moments, and which of them stands at (i, j) of the 6 x 6 Gram matrix.
MOMENTS = tuple((a, b) for b in range(5) for a in range(5 - b))
GRAM_INDEX = np.array([[MOMENTS.index((a + c, b + d)) for c, d in POWERS] for a, b in POWERS])

# A long clip is swept in steps of about this many residuals, so that what a step makes stays in
# cache and small beside the clip.
_RESIDUALS_PER_STEP = 2**21


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Clip:
    """The data of a fit, planar: the image row is the minor axis.

    Frame t stands at [t // S, t % S] of the two frame axes R and S. A sweep takes the R frames of
    one column at a time; a clip that is sharded over time is cut along R, so that every device
    has its share of each step.

    Attributes:
      flow: `[B, R, S, 2, H, W]`.
      weights: `[B, R, S, K, H, W]`: mask times valid times frame weight.
      x: `[B, K, W]`, column positions in the coordinates of the problem.
      y: `[B, K, H]`, row positions.
    """

    flow: jax.Array
    weights: jax.Array
    x: jax.Array
    y: jax.Array

    def subsample(self, stride_y: int, stride_x: int) -> "Clip":
        """Every `stride`-th row and column, from the middle of the first stride."""
        rows = slice(min(stride_y // 2, self.y.shape[-1] - 1), None, stride_y)
        columns = slice(min(stride_x // 2, self.x.shape[-1] - 1), None, stride_x)
        return Clip(
            self.flow[..., rows, columns],
            self.weights[..., rows, columns],
            self.x[..., columns],
            self.y[..., rows],
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Moments:
    """The sums of one sweep. C is 2 (the components), or 1 where they are not separable.

    Attributes:
      objective: `[B, K, C]`: sum w rho(r).
      slack: `[B, K, C]`: how far sum w rho(r) is above the value of the dual point w psi(r).
      inside: `[B, K, C]`: sum of w where the residual is smaller than the smoothing.
      gradient: `[B, T, K, 2, 6]`: sum w psi(r) phi, minus the gradient of the objective.
      gram: `[B, T, K, D, 15]`: moments of the curvature weights; D is 2 (uu, vv), or 3
        (uu, uv, vv) where the components are not separable.
    """

    objective: jax.Array
    slack: jax.Array
    inside: jax.Array
    gradient: jax.Array
    gram: jax.Array


def frames_per_step(batch: int, frames: int, segments: int, pixels: int) -> tuple[int, int]:
    """R and S of `Clip`: frames taken at once, and steps; R * S >= frames."""
    steps = -(-batch * frames * segments * 2 * pixels // (2 * _RESIDUALS_PER_STEP))
    together = -(-frames // steps)
    if frames >= 64:  # divisible among up to eight devices
        together = -(-together // 8) * 8
    return together, -(-frames // together)


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
      coefficients: `[B, T, K, 2, 6]`, in the coordinates of the problem, T = R * S.
      smoothing: `[B, K, C]`: residuals below this get the weight of one of this size.
      curvature: `[B, K, C]`: factor on the curvature weights of the residuals above it; 1 is the
        majoriser (iteratively reweighted least squares), 0 Newton's step on the smoothed problem.
      penalty: see `residual_penalty`.
      huber_delta: see `residual_penalty`.

    Returns:
      The moments.
    """
    epsilon = smoothing[:, None, :, :, None, None]
    kappa = curvature[:, None, :, :, None, None]
    ys = jnp.stack([clip.y**b for b in range(5)], axis=-2)
    xs = jnp.stack([clip.x**a for a in range(5)], axis=-2)

    def step(residual, weights):
        cost, slack, inside, force, bend = penalty_terms(
            residual, epsilon, kappa, penalty, huber_delta
        )
        return (
            jnp.sum(weights * cost, axis=(1, -2, -1)),
            jnp.sum(weights * slack, axis=(1, -2, -1)),
            jnp.sum(jnp.where(inside, weights, 0.0), axis=(1, -2, -1)),
            _contract(weights * force, xs[..., :3, :], ys[..., :3, :], POWERS),
            _contract(weights * bend, xs, ys, MOMENTS),
        )

    objective, slack, inside, gradient, gram = _map_steps(step, clip, coefficients)
    return Moments(
        objective=objective.sum(0),
        slack=slack.sum(0),
        inside=inside.sum(0),
        gradient=_join_frames(gradient),
        gram=_join_frames(gram),
    )


def _map_steps(step: Callable, clip: Clip, coefficients):
    """Apply `step(residual, weights)` to the frames [:, s] for every s; results stacked over s.

    Residuals are `[B, R, K, 2, H, W]`, weights `[B, R, K, 1, H, W]`.
    """
    steps = clip.flow.shape[2]
    split = jax.tree.map(lambda c: c.reshape(c.shape[0], -1, steps, *c.shape[2:]), coefficients)
    x, y = clip.x[:, None, :, None], clip.y[:, None, :, None]

    def at(s):
        flow, weights, at_step = jax.tree.map(
            lambda a: jax.lax.dynamic_index_in_dim(a, s, axis=2, keepdims=False),
            (clip.flow, clip.weights, split),
        )
        residual = jax.tree.map(lambda c: flow[:, :, None] - evaluate_quadratic(c, x, y), at_step)
        return step(residual, weights[:, :, :, None])

    if steps == 1:
        return jax.tree.map(lambda a: a[None], at(0))
    return jax.lax.map(at, jnp.arange(steps))


def _join_frames(stacked: jax.Array) -> jax.Array:
    """`[S, B, R, ...]` -> `[B, T, ...]`."""
    moved = jnp.moveaxis(stacked, 0, 2)
    return moved.reshape(moved.shape[0], -1, *moved.shape[3:])


def penalty_terms(
    residual: jax.Array,
    epsilon: jax.Array,
    kappa: jax.Array,
    penalty: Penalty,
    huber_delta: float,
) -> tuple[jax.Array, ...]:
    """A penalty, its smoothed derivative and its curvature, per pixel.

    Args:
      residual: `[..., 2, H, W]`.
      epsilon: the smoothing, broadcastable; of "huber" at least `huber_delta` is used.
      kappa: factor on the curvature outside, broadcastable.
      penalty: see `residual_penalty`.
      huber_delta: see `residual_penalty`.

    Returns:
      cost rho(r); slack, the cost minus the dual value of the force; whether r is inside the
      smoothing (all three `[..., C, H, W]`); force psi(r) `[..., 2, H, W]`; curvature weights
      `[..., D, H, W]` (C and D as in `Moments`).
    """
    if penalty == "squared":
        ones = jnp.ones_like(residual)
        return residual**2, 0.0 * residual, ones > 0, 2.0 * residual, 2.0 * ones
    ru, rv = residual[..., :1, :, :], residual[..., 1:, :, :]
    size = residual_penalty(ru, rv, "l2") if penalty == "l2" else jnp.abs(residual)
    slope = huber_delta if penalty == "huber" else 1.0
    if penalty == "huber":
        epsilon = jnp.maximum(epsilon, huber_delta)
    gain = slope / jnp.maximum(size, epsilon)
    inside = size < epsilon
    dual = gain * size
    if penalty == "huber":
        clipped = jnp.minimum(size, huber_delta)
        cost = clipped * (size - 0.5 * clipped)
        slack = cost + 0.5 * dual**2 - dual * size
    else:
        cost, slack = size, size - dual * size
    if penalty != "l2":
        return cost, slack, inside, gain * residual, jnp.where(inside, gain, gain * kappa)
    # The curvature of a norm is gain * (I - n n^T), n the direction of the residual; the
    # majoriser's is gain * I.
    radial = jnp.where(inside, 0.0, (1.0 - kappa) * gain / jnp.maximum(size, epsilon) ** 2)
    bend = [gain - radial * ru * ru, -radial * ru * rv, gain - radial * rv * rv]
    return cost, slack, inside, gain * residual, jnp.concatenate(bend, axis=-3)


def _contract(image: jax.Array, xs: jax.Array, ys: jax.Array, powers) -> jax.Array:
    """Sums of `image` `[B, R, K, D, H, W]` times x^a y^b for (a, b) in powers: `[B, R, K, D, n]`.

    Rows first: the intermediate result then keeps whole image rows, which vectorise.
    """
    highest = jax.lax.Precision.HIGHEST
    columns = jnp.einsum("bkjh,brkchw->brkcjw", ys, image, precision=highest)
    table = jnp.einsum("brkcjw,bkiw->brkcji", columns, xs, precision=highest)
    rows, cols = np.array([b for _, b in powers]), np.array([a for a, _ in powers])
    return table[..., rows, cols]
