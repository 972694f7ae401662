"""One sweep over a clip: all that a Newton step of the fit needs, as small sums per frame.

The normal equations of a quadratic motion model need no design matrix. Their matrix for one
frame, mask and component has 15 distinct entries, the moments sum w x^a y^b with a + b <= 4, and
these are separable: contract y, then x. A sweep reads flow and masks once; work and memory are
linear in the number of frames.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmotion.motion.penalty import Penalty, residual_size
from jaxmotion.motion.sharding import device_count, devices_along
from jaxmotion.motion.spatial import POWERS

_einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)

# The exponents (a, b) of the sums of x^a y^b that a sweep makes for the gradient, and for the Gram
# matrix: all pairs, because the contractions give them, although no model has all.
GRADIENT_POWERS = tuple((a, b) for b in range(3) for a in range(3))
GRAM_POWERS = tuple((a, b) for b in range(5) for a in range(5))

# A sweep goes in steps of about this many residuals (frame, mask, component, pixel) at most: few
# enough to stay in a core's cache, or enough to fill an accelerator.
_RESIDUALS_PER_STEP_ON_CPU, _RESIDUALS_PER_STEP = 2**19, 2**24


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Clip:
    """The data of a fit, planar: the image row is the minor axis.

    Attributes:
        flow: flow of the clips, `[B, T, 2, H, W]`.
        weights: `[B, T, K, H, W]`: mask times valid times frame weight.
        xs: `[B, K, 5, W]`, the powers 0 to 4 of the column positions in the problem's coordinates.
        ys: `[B, K, 5, H]`, those of the row positions.
        rows: `[B, K, 6, 3, H]`: what each coefficient of a quadratic gives to the parabola in x
            that it is on a row.
    """

    flow: jax.Array
    weights: jax.Array
    xs: jax.Array
    ys: jax.Array
    rows: jax.Array

    @staticmethod
    def of(flow: jax.Array, weights: jax.Array, x: jax.Array, y: jax.Array) -> "Clip":
        """The data of a fit, with the tables that every sweep needs.

        Args:
            flow: flow of the clips, `[B, T, 2, H, W]`.
            weights: weight of every pixel, `[B, T, K, H, W]`.
            x: positions of the columns, `[B, K, W]`.
            y: positions of the rows, `[B, K, H]`.
        """
        xs, ys = ([z**power for power in range(5)] for z in (x, y))
        none = jnp.zeros_like(y)
        rows = [[ys[b] if a == i else none for i in range(3)] for a, b in POWERS]
        rows = jnp.stack([jnp.stack(row, axis=-2) for row in rows], axis=-3)
        return Clip(flow, weights, jnp.stack(xs, axis=-2), jnp.stack(ys, axis=-2), rows)

    def subsample(self, stride_y: int, stride_x: int) -> "Clip":
        """The clip on a coarser grid, from the middle of the first stride on.

        Args:
            stride_y: rows from one that is kept to the next.
            stride_x: columns from one that is kept to the next.
        """
        rows = slice(min(stride_y // 2, self.ys.shape[-1] - 1), None, stride_y)
        columns = slice(min(stride_x // 2, self.xs.shape[-1] - 1), None, stride_x)
        return Clip(
            self.flow[..., rows, columns],
            self.weights[..., rows, columns],
            self.xs[..., columns],
            self.ys[..., rows],
            self.rows[..., rows],
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Moments:
    """The sums of one sweep. C is 2 (the components), or 1 where they are not separable.

    Attributes:
        objective: `[B, K, C]`: sum w rho(r).
        slack: `[B, K, C]`: how far sum w rho(r) is above the value of the dual point w psi(r).
        inside: `[B, K, C]`: sum of w where the residual is smaller than the smoothing.
        gradient: `[B, T, K, 2, 9]`: sum w psi(r) x^a y^b for `GRADIENT_POWERS`, minus the gradient
            of the objective by the coefficients.
        gram: `[B, T, K, D, 25]`: sums of the curvature weights times x^a y^b for `GRAM_POWERS`; D
            is 2 (uu, vv), or 3 (uu, uv, vv) where the components are not separable.
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
        clip: flow and weights of the clips.
        coefficients: `[B, T, K, 2, 6]`, in the coordinates of the problem.
        smoothing: `[B, K, C]`: residuals below this get the weight of one of this size.
        curvature: `[B, K, C]`: factor on the curvature weights of the residuals above it; 1 is the
            majorizer (iteratively reweighted least squares), 0 Newton's step on the smoothed
            problem.
        penalty: penalty on the residuals.
        huber_delta: scale of the penalty, pixels per frame.

    Returns:
        The moments.
    """

    def step(flow, weights, coefficients, xs, ys, rows_of, smoothing, curvature):
        # Per row the model is a parabola in x, so that a pixel costs two multiply-adds.
        rows = _einsum("btkcn,bknih->btkcih", coefficients, rows_of)[..., None]
        x = xs[:, None, :, None, 1, None, :]
        model = rows[..., 0, :, :] + (rows[..., 1, :, :] + rows[..., 2, :, :] * x) * x
        cost, slack, inside, force, bend = penalty_terms(
            flow[:, :, None] - model,
            smoothing[:, None, :, :, None, None],
            curvature[:, None, :, :, None, None],
            penalty,
            huber_delta,
        )
        weights = weights[:, :, :, None]
        return (
            jnp.sum(weights * cost, axis=(-2, -1)),
            jnp.sum(weights * slack, axis=(-2, -1)),
            jnp.sum(jnp.where(inside, weights, 0.0), axis=(-2, -1)),
            _contract(weights * force, xs[..., :3, :], ys[..., :3, :]),
            _contract(weights * bend, xs, ys),
        )

    objective, slack, inside, gradient, gram = _in_steps(
        step,
        (clip.flow, clip.weights, coefficients),
        (clip.xs, clip.ys, clip.rows, smoothing, curvature),
        2 * math.prod(clip.weights.shape[2:]),
    )
    return Moments(objective.sum(1), slack.sum(1), inside.sum(1), gradient, gram)


def _in_steps(step: Callable, per_frame: tuple, per_clip: tuple, residuals: int):
    """`step(*per_frame, *per_clip)`, for a part of the clips and frames at a time.

    Where devices share clips or frames, a step takes a part of what each device has, so that all
    have work in every step, and nothing moves.

    Args:
        step: function of arrays `[b, t, ...]` and `[b, ...]` to arrays `[b, t, ...]`.
        per_frame: arrays with values of every frame, `[B, T, ...]`.
        per_clip: arrays with values of every clip, `[B, ...]`.
        residuals: number of residuals that a frame has.

    Returns:
        The arrays `[B, T, ...]` of `step`.
    """

    def of_clips(*arrays: Any, steps: int, lanes: int):
        clips, rest = arrays[: len(per_frame)], arrays[len(per_frame) :]
        return _in_turn(lambda *part: step(*part, *rest), clips, 1, lanes, steps)

    def of_batch(*arrays: Any, limit: int):
        clip_lanes, lanes, clip_steps, steps = _steps(arrays[0].shape, residuals, limit)
        part = functools.partial(of_clips, steps=steps, lanes=lanes)
        return _in_turn(part, arrays, 0, clip_lanes, clip_steps)

    arrays = (*per_frame, *per_clip)
    on_cpu, elsewhere = (
        functools.partial(of_batch, limit=limit)
        for limit in (_RESIDUALS_PER_STEP_ON_CPU, _RESIDUALS_PER_STEP)
    )
    if _steps(arrays[0].shape, residuals, _RESIDUALS_PER_STEP_ON_CPU)[2:] == (1, 1):
        return elsewhere(*arrays)
    # Which it is is known when the program is lowered, not before: it may be for another machine.
    return jax.lax.platform_dependent(*arrays, cpu=on_cpu, default=elsewhere)


def _steps(shape: tuple, residuals: int, limit: int) -> tuple[int, int, int, int]:
    """Numbers of devices that share clips and frames, and of the steps of each with its own."""
    batch, frames = shape[:2]
    if not all(isinstance(size, int) for size in (batch, frames, residuals)):
        return 1, 1, 1, 1  # of an exported program that is for many sizes
    clip_lanes, lanes = devices_along("data", batch), devices_along("time", frames)
    if frames == 1:  # perhaps of longer clips, divided over both axes
        clip_lanes = math.gcd(batch, clip_lanes * devices_along("time", batch))
    total = batch * frames * residuals / (clip_lanes * lanes)
    steps = min(frames // lanes, math.ceil(total / limit))
    clip_steps = 1
    if clip_lanes > 1 or device_count() == 1:  # else devices may share clips unknown to us
        clip_steps = min(batch // clip_lanes, math.ceil(total / steps / limit))
    return clip_lanes, lanes, clip_steps, steps


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
    scale: float | jax.Array,
) -> tuple[jax.Array, ...]:
    """A penalty, its smoothed derivative and its curvature, per pixel.

    Below the smoothing the penalty is taken for the parabola whose slope meets it there. The
    curvature is between that of the smoothed penalty (kappa 0: Newton's step) and that of its
    majorizer, force over size (kappa 1: iteratively reweighted least squares). With kappa above 0
    it is never negative, so that steps of penalties that are not convex descend too.

    Args:
        residual: flow minus model, `[..., 2, H, W]`.
        epsilon: smoothing, the size below which a residual counts as nearly zero;
            broadcastable.
        kappa: factor on the curvature outside, broadcastable.
        penalty: penalty on the residuals.
        scale: scale of the penalty, the `huber_delta` of `fit`.

    Returns:
        cost rho(r); slack, the cost minus the dual value of the force; whether r is where the
        penalty is a parabola (all three `[..., C, H, W]`); force psi(r) `[..., 2, H, W]`; curvature
        weights `[..., D, H, W]` (C and D as in `Moments`).
    """
    ru, rv = residual[..., :1, :, :], residual[..., 1:, :, :]
    size = residual_size(ru, rv) if penalty.joint else jnp.abs(residual)
    far = jnp.maximum(size, epsilon)
    gain = penalty.force(far, scale) / far
    newton = penalty.curvature(size, scale)
    below = size < epsilon
    floored = jnp.where(kappa > 0, jnp.maximum(newton, 0.0), newton)
    bend = jnp.where(below, gain, floored + kappa * jnp.maximum(gain - floored, 0.0))
    cost = penalty.value(size, scale)
    slack = penalty.slack(size, gain * size, epsilon, scale) if penalty.convex else 0.0 * cost
    inside = below | (newton >= gain)
    if not penalty.joint:
        return cost, slack, inside, gain * residual, bend
    # The curvature across a vector is the gain; along it, n being its direction, that of the size.
    nu, nv = (r / far for r in (ru, rv))
    radial = gain - bend
    bends = [gain - radial * nu * nu, -radial * nu * nv, gain - radial * nv * nv]
    return cost, slack, inside, gain * residual, jnp.concatenate(bends, axis=-3)


def _contract(image: jax.Array, xs: jax.Array, ys: jax.Array) -> jax.Array:
    """Sums of `image` `[b, t, K, D, H, W]` times x^a y^b: `[b, t, K, D, n]`, a the faster one."""
    # Rows first: the intermediate result then keeps whole image rows, which vectorize.
    columns = _einsum("bkjh,btkdhw->btkdjw", ys, image)
    table = _einsum("btkdjw,bkiw->btkdji", columns, xs)
    return table.reshape(*table.shape[:-2], -1)
