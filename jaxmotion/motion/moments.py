"""One sweep over a clip: all that a Newton step of the fit needs, as small sums per frame.

The normal equations of a quadratic motion model need no design matrix. Their matrix for one
frame, mask and component has 15 distinct entries, the moments sum w x^a y^b with a + b <= 4, and
these are separable: contract y, then x. A sweep reads flow and masks once; work and memory are
linear in the number of frames.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.model import evaluate_quadratic
from jaxmotion.motion.penalty import Penalty, residual_penalty
from jaxmotion.motion.sharding import devices_along
from jaxmotion.motion.spatial import POWERS

# The exponents of the 15 moments, and which of them stands at (i, j) of the 6 x 6 Gram matrix.
MOMENTS = tuple((a, b) for b in range(5) for a in range(5 - b))
GRAM_INDEX = np.array([[MOMENTS.index((a + c, b + d)) for c, d in POWERS] for a, b in POWERS])

# A sweep goes in steps of at most about this many residuals (frame, mask, component, pixel):
# few enough to stay in a core's cache, or enough to fill an accelerator.
_RESIDUALS_PER_STEP = {"cpu": 2**19}
_RESIDUALS_PER_STEP_ELSEWHERE = 2**24


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Clip:
    """The data of a fit, planar: the image row is the minor axis.

    Attributes:
      flow: `[B, T, 2, H, W]`.
      weights: `[B, T, K, H, W]`: mask times valid times frame weight.
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


def sweep(
    clip: Clip,
    coefficients: jax.Array,
    smoothing: jax.Array,
    curvature: jax.Array,
    penalty: Penalty,
    huber_delta: float | jax.Array,
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

    def step(flow, weights, coefficients, x, y, smoothing, curvature):
        model = evaluate_quadratic(coefficients, x[:, None, :, None], y[:, None, :, None])
        cost, slack, inside, force, bend = penalty_terms(
            flow[:, :, None] - model,
            smoothing[:, None, :, :, None, None],
            curvature[:, None, :, :, None, None],
            penalty,
            huber_delta,
        )
        weights = weights[:, :, :, None]
        ys = jnp.stack([y**b for b in range(5)], axis=-2)
        xs = jnp.stack([x**a for a in range(5)], axis=-2)
        return (
            jnp.sum(weights * cost, axis=(-2, -1)),
            jnp.sum(weights * slack, axis=(-2, -1)),
            jnp.sum(jnp.where(inside, weights, 0.0), axis=(-2, -1)),
            _contract(weights * force, xs[..., :3, :], ys[..., :3, :], POWERS),
            _contract(weights * bend, xs, ys, MOMENTS),
        )

    objective, slack, inside, gradient, gram = _in_steps(
        step,
        (clip.flow, clip.weights, coefficients),
        (clip.x, clip.y, smoothing, curvature),
        2 * math.prod(clip.weights.shape[2:]),
    )
    return Moments(objective.sum(1), slack.sum(1), inside.sum(1), gradient, gram)


def _in_steps(step: Callable, per_frame: tuple, per_clip: tuple, residuals: int):
    """`step(*per_frame, *per_clip)`, for a part of the clips and frames at a time.

    Where devices share clips or frames, a step takes a part of what each device has, so that all
    have work in every step, and nothing moves.

    Args:
      step: a function of arrays `[b, t, ...]` and `[b, ...]` to arrays `[b, t, ...]`.
      per_frame: arrays `[B, T, ...]`.
      per_clip: arrays `[B, ...]`.
      residuals: how many residuals a frame has.

    Returns:
      The arrays `[B, T, ...]` of `step`.
    """
    batch, frames = per_frame[0].shape[:2]
    clip_lanes, lanes = devices_along("data", batch), devices_along("time", frames)
    if frames == 1:  # perhaps of longer clips, divided over both axes
        clip_lanes = math.gcd(batch, clip_lanes * devices_along("time", batch))
    limit = _RESIDUALS_PER_STEP.get(_platform(), _RESIDUALS_PER_STEP_ELSEWHERE)
    total = batch * frames * residuals / (clip_lanes * lanes)
    steps = min(frames // lanes, math.ceil(total / limit))
    clip_steps = 1
    if clip_lanes > 1 or jax.device_count() == 1:  # else devices may share clips unknown to us
        clip_steps = min(batch // clip_lanes, math.ceil(total / steps / limit))

    def of_clips(*arrays):
        clips, rest = arrays[: len(per_frame)], arrays[len(per_frame) :]
        return _in_turn(lambda *part: step(*part, *rest), clips, 1, lanes, steps)

    return _in_turn(of_clips, (*per_frame, *per_clip), 0, clip_lanes, clip_steps)


def _platform() -> str:
    """Where the program will run: on `jax.default_device`, where one is set, or the backend's."""
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform


def _in_turn(step: Callable, arrays: tuple, axis: int, lanes: int, steps: int):
    """`step(*arrays)`, for one of `steps` stretches of every lane of an axis at a time."""
    length = arrays[0].shape[axis] // lanes
    size = -(-length // steps)
    steps = -(-length // size)
    if steps == 1:
        return step(*arrays)

    def at(index):
        start = jnp.minimum(index * size, length - size)  # the last one overlaps the one before

        def part(array):
            shape = array.shape
            array = array.reshape(*shape[:axis], lanes, length, *shape[axis + 1 :])
            array = jax.lax.dynamic_slice_in_dim(array, start, size, axis + 1)
            return array.reshape(*shape[:axis], lanes * size, *shape[axis + 1 :])

        return step(*map(part, arrays))

    def join(array):  # [steps, ..., lanes * size, ...] -> [..., lanes * length, ...]
        lead, rest = array.shape[1 : axis + 1], array.shape[axis + 2 :]
        array = jnp.moveaxis(array.reshape(steps, *lead, lanes, size, *rest), 0, axis + 1)
        array = array.reshape(*lead, lanes, steps * size, *rest)
        before, last = jnp.split(array, [(steps - 1) * size], axis + 1)
        last = jax.lax.slice_in_dim(last, steps * size - length, size, axis=axis + 1)
        array = jnp.concatenate([before, last], axis + 1)
        return array.reshape(*lead, lanes * length, *rest)

    return jax.tree.map(join, jax.lax.map(at, jnp.arange(steps)))


def penalty_terms(
    residual: jax.Array,
    epsilon: jax.Array,
    kappa: jax.Array | float,
    penalty: Penalty,
    huber_delta: float | jax.Array,
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
    nu, nv = (jnp.where(inside, 0.0, r / jnp.maximum(size, epsilon)) for r in (ru, rv))
    radial = (1.0 - kappa) * gain
    bend = [gain - radial * nu * nu, -radial * nu * nv, gain - radial * nv * nv]
    return cost, slack, inside, gain * residual, jnp.concatenate(bend, axis=-3)


def _contract(image: jax.Array, xs: jax.Array, ys: jax.Array, powers) -> jax.Array:
    """Sums of `image` `[b, t, K, D, H, W]` times x^a y^b for (a, b) in powers: `[b, t, K, D, n]`.

    Rows first: the intermediate result then keeps whole image rows, which vectorise.
    """
    highest = jax.lax.Precision.HIGHEST
    columns = jnp.einsum("bkjh,btkchw->btkcjw", ys, image, precision=highest)
    table = jnp.einsum("btkcjw,bkiw->btkcji", columns, xs, precision=highest)
    width = table.shape[-1]
    flat = table.reshape(*table.shape[:-2], -1)
    return pick(flat, np.array([b * width + a for a, b in powers]))


def pick(array: jax.Array, index: np.ndarray) -> jax.Array:
    """`array[..., index]` for an index known beforehand.

    By `take` in int32: indexing with a numpy array keeps, inside JAX, the integer type of the first
    trace, and fails when float64 is switched on later in the same process.
    """
    return jnp.take(array, jnp.asarray(index, jnp.int32), axis=-1, mode="clip")
