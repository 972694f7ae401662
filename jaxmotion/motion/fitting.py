"""`fit`: the motion model of every segment, from flow and soft masks."""

import dataclasses
import functools
from typing import Literal, cast, get_args

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion import newton
from jaxmotion.motion.equations import Equations
from jaxmotion.motion.flow import parametric_flow
from jaxmotion.motion.lengths import Lengths, check_lengths
from jaxmotion.motion.model import MotionModel
from jaxmotion.motion.moments import Clip, penalty_terms, sweep
from jaxmotion.motion.names import PenaltyName
from jaxmotion.motion.penalty import Penalty, Squared, as_penalty
from jaxmotion.motion.result import Fit
from jaxmotion.motion.shapes import check_shapes, promoted
from jaxmotion.motion.spatial import coordinates
from jaxmotion.motion.support import Support, measure_support

Adjoint = Literal["stop", "implicit", "unroll"]


@dataclasses.dataclass(frozen=True)
class _Options:
    """The static arguments of a fit; `length` is that of all clips, where they have one."""

    model: MotionModel
    penalty: Penalty
    passes: int
    adjoint: Adjoint
    length: int | None

    def __post_init__(self) -> None:
        if self.passes < 3:
            raise ValueError(f"passes must be at least 3; got {self.passes}")
        if self.adjoint not in get_args(Adjoint):
            raise ValueError(
                f'adjoint must be "stop", "implicit" or "unroll"; got {self.adjoint!r}'
            )

    @property
    def converge_smoothed(self) -> bool:
        """Whether the minimum of the smoothed problem is what is asked for."""
        return self.adjoint == "implicit"


def fit(
    flow: chex.Array,
    masks: chex.Array,
    model: MotionModel,
    *,
    penalty: Penalty | PenaltyName = "l1",
    huber_delta: float | jax.Array = 1.0,
    valid: chex.Array | None = None,
    frame_weights: chex.Array | None = None,
    lengths: Lengths = None,
    init: chex.Array | None = None,
    passes: int = 5,
    adjoint: Adjoint = "stop",
) -> Fit:
    """Fits a motion model to the flow inside every mask.

    Minimizes `sum_{t, i} frame_weights[t] m_k(t, i) rho(f(t, i) - f_theta(t, i))` over theta, for
    every clip and mask separately: no problem has an influence on another. There is no design
    matrix: the work on pixels, and the memory for it, are linear in the number of frames. The
    result is never worse than the weighted least-squares start (or `init`), and finite for any
    finite input: an empty mask gives zeros.

    Compiled once for each model, penalty, passes, adjoint, set of shapes, and whole number of
    `lengths`.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        masks: weights of the segments, `[B, T, H, W, K]`, non-negative; K is the last axis, unlike
            in `parametric_flow`.
        model: model of the motion of a segment.
        penalty: rho, a name of `residual_penalty` or a `Penalty`. Of one that is not convex a
            local minimum is found, from that of the absolute residual on.
        huber_delta: scale of the penalty, a positive scalar in pixels per frame; may be traced.
        valid: optional `[B, T, H, W]`; pixels at 0 are ignored, whatever the flow holds there.
        frame_weights: optional `[B, T]`, such as `losses.frame_weights(flow)`, so that fit and
            loss minimize the same function.
        lengths: number of frames of all clips, T where it is None. What is behind them is padding
            and is ignored, whatever it holds: theta is that of the clips without it, and
            `[B, K, P]` with the P of this number of frames. Or `[B]`, one number for each clip,
            which may be traced: P is then that of T frames, and the theta of a shorter clip is
            the first of its numbers; the rest is zero.
        init: optional `[B, K, P]`, a start that replaces the least-squares one.
        passes: number of times that flow and masks are read at full resolution, at least 3: least
            squares and its objective, then Newton sweeps, then the final objective. The default
            brings "l1" to within 0.1 % of the minimum; 8 to within 0.01 %.
        adjoint: kind of the gradient of theta. "stop": none; right for a loss that theta
            minimizes itself (envelope theorem, thesis algorithm 7.1.4). "implicit": by the
            implicit function theorem at the minimum of the smoothed problem, to which theta is
            then brought by as many further sweeps; with respect to flow, masks, frame weights and
            huber_delta, in reverse mode only (`jax.jvp` and `jax.jacfwd` raise). "unroll":
            through all steps, in both modes, to check the other with. Both take the smoothing for
            a constant, and "unroll" the lengths of the steps too.

    Returns:
        The `Fit`: theta `[B, K, P]`, and what is known of its quality, to which no gradient
        leads. Computed in float32, or float64 where an input is.

    Raises:
        ValueError: for shapes that do not match, an unknown option, or fewer than 3 passes.

    References:
        Thesis eq. 2.16 and 6.12. Huber, Robust Statistics (1981); Madsen and Nielsen, "A finite
        smoothing algorithm for linear l1 estimation", SIAM J. Optim. 3 (1993), for the smoothing
        and its duality gap.
    """
    check_shapes(
        flow=(flow, "B T H W 2"),
        masks=(masks, "B T H W K"),
        valid=(valid, "B T H W"),
        frame_weights=(frame_weights, "B T"),
        huber_delta=(huber_delta, ""),
    )
    batch, frames = jnp.shape(flow)[:2]
    check_lengths(lengths, frames)
    length = int(lengths) if isinstance(lengths, int | np.integer) else None
    several = None if length else lengths
    check_shapes(
        masks=(masks, "B T H W K"),
        init=(init, f"B K {model.num_parameters(length or frames)}"),
        lengths=(several, str(batch)),
    )
    options = _Options(model, as_penalty(penalty), passes, adjoint, length)
    return _fit(options, flow, masks, huber_delta, valid, frame_weights, several, init)


@functools.partial(jax.jit, static_argnums=0)
def _fit(options: _Options, flow, masks, huber_delta, valid, frame_weights, lengths, init) -> Fit:
    """The fit of checked arguments."""
    flow, masks = promoted(flow, masks)
    dtype = flow.dtype
    known = _known(options, flow, valid, lengths)
    if known is not None:
        flow = jnp.where(known[..., None], flow, 0.0)
        masks = jnp.where(known[..., None], masks, 0.0)
    if frame_weights is None:
        frame_weights = jnp.ones(flow.shape[:2], dtype)
    data = (flow, masks, frame_weights.astype(dtype), jnp.asarray(huber_delta, dtype))
    if init is not None:
        init = jax.lax.stop_gradient(init.astype(dtype))
    if options.adjoint == "implicit":
        result = cast(Fit, _implicit_fit(options, *data, lengths, init))
    elif options.adjoint == "unroll":
        result = _minimize(options, *data, lengths, init)
    else:
        result = jax.lax.stop_gradient(
            _minimize(options, *jax.lax.stop_gradient(data), lengths, init)
        )
    return dataclasses.replace(jax.lax.stop_gradient(result), theta=result.theta)


def _known(options: _Options, flow, valid, lengths) -> jax.Array | None:
    """The pixels that count, broadcastable to `[B, T, H, W]`; None where all do."""
    frames = jnp.arange(flow.shape[1])
    known = None if valid is None else valid > 0
    count = options.length if lengths is None else lengths[:, None]
    if count is None:
        return known
    inside = jnp.broadcast_to(frames < count, flow.shape[:2])[:, :, None, None]
    return inside if known is None else inside & known


def _minimize(options: _Options, flow, masks, frame_weights, huber_delta, lengths, init) -> Fit:
    """The fit of arrays of one type; differentiable by unrolling."""
    equations, clip, support = _problem(options, flow, masks, frame_weights, lengths)
    penalty = options.penalty
    zero = equations.zeros(flow.shape[0], masks.shape[-1], flow.dtype)
    unit = jnp.ones(zero.shape[:3], flow.dtype)

    sweeps = options.passes - 2
    if init is None:
        sweeps -= 1
        moments = sweep(clip, equations.coefficients(zero), unit, unit, Squared(), huber_delta)
        start = equations.solve(moments, equations.gradient(moments))
    else:
        start = equations.change_coordinates(equations.split(init), support.from_image())
    moments = sweep(clip, equations.coefficients(start), unit, unit, penalty, huber_delta)
    objective = equations.by_group(moments.objective)

    search = newton.minimize(
        equations, clip, start, objective, huber_delta, sweeps, options.converge_smoothed
    )
    if options.converge_smoothed:
        search = newton.converge(equations, clip, search, huber_delta, options.passes)
    last = search.theta + search.step
    moments = sweep(
        clip, equations.coefficients(last), search.smoothing, search.curvature, penalty, huber_delta
    )
    objective = equations.by_group(moments.objective)
    gradient = equations.gradient(moments)
    decrement = jnp.sum(gradient * equations.solve(moments, gradient), axis=(-2, -1))
    minimum = objective - equations.by_group(moments.slack) - 2.0 * decrement
    lower = objective < search.objective
    if options.converge_smoothed:
        lower = jnp.isfinite(objective)
    best = jnp.where(lower[..., None, None], last, search.best)
    objective = jnp.where(lower, objective, search.objective)
    return Fit(
        theta=equations.join(equations.change_coordinates(best, support.to_image())),
        objective=objective.sum(-1),
        gap=(jnp.maximum(objective - minimum, 0.0) if penalty.convex else jnp.inf * unit).sum(-1),
        iterations=jnp.max(search.lowered + lower, axis=-1),
        smoothing=jnp.broadcast_to(search.smoothing, (*search.smoothing.shape[:2], 2)),
    )


def _problem(
    options: _Options, flow, masks, frame_weights, lengths
) -> tuple[Equations, Clip, Support]:
    """Brings the data into the planar form of `Clip`, in the coordinates of the supports."""
    _, frames, height, width, _ = masks.shape
    lengths = options.length if lengths is None else lengths
    equations = Equations.of(options.model, frames, options.penalty, lengths)

    def planar(array):
        return jnp.moveaxis(array, -1, 2)

    weights = planar(masks * frame_weights[:, :, None, None, None])
    x = jnp.asarray(coordinates(width), flow.dtype)
    y = jnp.asarray(coordinates(height), flow.dtype)
    support = measure_support(jax.lax.stop_gradient(weights), x, y)
    scale = support.scale[..., None]
    clip = Clip.of(
        planar(flow),
        weights,
        (x - support.x_center[..., None]) / scale,
        (y - support.y_center[..., None]) / scale,
    )
    return equations, clip, support


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _implicit_fit(options: _Options, flow, masks, frame_weights, huber_delta, lengths, init):
    return _minimize(options, flow, masks, frame_weights, huber_delta, lengths, init)


def _implicit_forward(options: _Options, flow, masks, frame_weights, huber_delta, lengths, init):
    data = (flow, masks, frame_weights, huber_delta)
    result = _minimize(options, *data, lengths, init)
    return result, (data, lengths, init, result.theta, result.smoothing)


def _implicit_backward(options: _Options, residuals, cotangents: Fit):
    """Theta moves by H^-1 d(sum w psi(r) phi), H being the Hessian of the smoothed objective."""
    data, lengths, init, theta, smoothing = residuals
    flow, masks, frame_weights, huber_delta = data
    equations, clip, support = _problem(options, flow, masks, frame_weights, lengths)
    penalty = options.penalty
    local = equations.change_coordinates(equations.split(theta), support.from_image())
    smoothing = smoothing[..., : local.shape[2]]
    moments = sweep(
        clip,
        equations.coefficients(local),
        smoothing,
        jnp.zeros_like(smoothing),
        penalty,
        huber_delta,
    )
    cotangent = equations.change_coordinates_adjoint(
        equations.split(cotangents.theta), support.to_image()
    )
    multiplier = equations.join(
        equations.change_coordinates(equations.solve(moments, cotangent), support.to_image())
    )
    shape = flow.shape[1:4]
    lengths = options.length if lengths is None else lengths
    model_flow = parametric_flow(options.model, theta, shape, lengths=lengths)
    direction = parametric_flow(options.model, multiplier, shape, lengths=lengths)
    epsilon = smoothing[:, :, None, :, None, None]

    def weighted_force(flow, masks, frame_weights, huber_delta):
        residual = jnp.moveaxis(flow[:, None] - model_flow, -1, 3)
        _, _, _, force, _ = penalty_terms(residual, epsilon, 1.0, penalty, huber_delta)
        weights = jnp.moveaxis(masks * frame_weights[:, :, None, None, None], -1, 1)
        along = jnp.sum(force * jnp.moveaxis(direction, -1, 3), axis=3)
        return jnp.sum(weights * along)

    gradients = jax.grad(weighted_force, argnums=(0, 1, 2, 3))(*data)
    return (*gradients, None, None if init is None else jnp.zeros_like(init))


_implicit_fit.defvjp(_implicit_forward, _implicit_backward)
