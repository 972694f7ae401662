"""The minimizer of the fit: safeguarded majorizer-Newton steps, coarse to fine.

Each sweep gives the objective, its gradient and a curvature matrix at the current theta. Two
numbers per problem steer the step, and neither looks at another problem:

- the smoothing, below which a residual counts as nearly zero. It is moved so that a chosen share
  of the mask's mass lies inside; the share falls from sweep to sweep, down to what a few samples
  per unknown need. A share, unlike a fraction of the mean residual, is blind to outliers.
- the factor on the curvature of the residuals outside. At 1 the matrix majorizes the objective
  (iteratively reweighted least squares: safe and slow), at 0 the step is Newton's. The ratio of
  the gradients along the last step, after and before it, tells how much of the assumed curvature
  was really there, and the factor follows it.

A step that overshoots by more than its own length is cut back to the secant's minimum. The best
theta seen is what is returned, so that nothing here can do worse than the start.

To a gradient through the steps, these numbers are constants: they say how the minimum is found, not
where it is, and at a minimum that is exact they are quotients of zeros.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from jaxmotion.motion.equations import Equations
from jaxmotion.motion.moments import Clip, Moments, sweep
from jaxmotion.motion.penalty import Absolute, Squared

_COARSE_SWEEPS = (14, 5)  # on the two subsampled levels
_COARSE_DECAY = (0.75, 0.5)  # of the share, from sweep to sweep there
_COARSE_PIXELS = 1600  # of a frame on the coarsest level, about
_SAMPLES_PER_UNKNOWN = 2.0  # that the smoothing holds at the least, while the search moves
_SMALLEST = 1e-15  # smoothing, px; far below any flow, and its inverse can be squared in float32
_SETTLED = 6  # sweeps after which it is taken to be so near that the smoothing may vanish


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Search:
    """State of the search for each problem; `[B, K, G]`, theta and step `[B, K, G, L, n]`."""

    theta: jax.Array  # the last accepted point
    step: jax.Array  # from there to the point to be tried next
    slope: jax.Array  # descent along the step, at theta
    uncut: jax.Array  # whether the step has not just been cut back
    best: jax.Array  # the best point seen
    objective: jax.Array  # and its objective
    lowered: jax.Array  # how many sweeps lowered the objective
    smoothing: jax.Array
    share: jax.Array  # of the mass that the smoothing should hold
    curvature: jax.Array


def subsampling(height: int, width: int) -> list[tuple[int, int]]:
    """Row and column strides of the coarse levels, coarsest first.

    Args:
        height: number of rows of the clip.
        width: number of columns of the clip.
    """
    if height * width <= 64:
        return []
    stride = 2 ** max(1, round(math.log2(height * width / _COARSE_PIXELS) / 2))
    return [(stride, stride), (stride // 2, stride // 2) if stride > 2 else (1, 2)]


def minimize(
    equations: Equations,
    clip: Clip,
    start: jax.Array,
    objective: jax.Array,
    huber_delta: jax.Array,
    sweeps: int,
    keep_smoothing: bool,
) -> Search:
    """Minimizes every problem of the clip.

    Args:
        equations: model and penalty.
        clip: flow and weights, in the coordinates of the problems.
        start: theta to start from, `[B, K, G, L, n]`.
        objective: objective at the start, over the whole clip, `[B, K, G]`.
        huber_delta: scale of the penalty, pixels per frame.
        sweeps: number of sweeps at full resolution.
        keep_smoothing: whether the smoothing never vanishes, however many the sweeps.

    Returns:
        The search after its last sweep; theta + step is its last, unevaluated point.
    """
    mass, samples = _samples(clip, equations)
    objective = jax.lax.stop_gradient(objective)
    groups = jnp.ones_like(objective)
    search = Search(
        theta=start,
        step=jnp.zeros_like(start),
        slope=0.0 * groups,
        uncut=groups > 0,
        best=start,
        objective=objective,
        lowered=jnp.zeros(objective.shape, jnp.int32),
        smoothing=jnp.maximum(0.5 * objective / mass, _SMALLEST),
        share=0.6 * groups,
        curvature=groups,
    )
    penalty = equations.penalty
    if not isinstance(penalty, Squared):
        # A penalty that is not convex starts from the minimum of the one that holds most outliers.
        first = penalty if penalty.convex else Absolute(joint=penalty.joint)
        levels = zip(
            subsampling(*clip.flow.shape[-2:]),
            (dataclasses.replace(equations, penalty=first), equations),
            _COARSE_SWEEPS,
            _COARSE_DECAY,
            strict=False,
        )
        for stride, minimized, count, decay in levels:
            coarse = clip.subsample(*stride)
            search = _coarse(minimized, coarse, search, huber_delta, count, decay)
    search = dataclasses.replace(
        search, objective=objective, best=start, lowered=jnp.zeros_like(search.lowered)
    )
    settled = sweeps if keep_smoothing else _SETTLED
    return _iterate(equations, clip, search, huber_delta, sweeps, mass, samples, settled=settled)


def _coarse(
    equations: Equations,
    clip: Clip,
    search: Search,
    huber_delta: jax.Array,
    count: int,
    decay: float,
) -> Search:
    """Searches on a subsampled clip, and hands the best point to the next level.

    A problem with too few samples here stays where it is.
    """
    mass, samples = _samples(clip, equations)
    active = samples > 2.0 * equations.unknowns
    found = dataclasses.replace(search, objective=jnp.full_like(search.objective, jnp.inf))
    found = _iterate(equations, clip, found, huber_delta, count, mass, samples, decay)
    share = jnp.clip(1.5 * jnp.sqrt((equations.unknowns + 4) / samples), 0.02, 0.6)
    return dataclasses.replace(
        search,
        theta=_select(active, found.best, search.theta),
        smoothing=jnp.where(
            active, found.smoothing * jnp.clip(share / found.share, 0.1, 10.0), search.smoothing
        ),
        share=jnp.where(active, share, search.share),
        curvature=jnp.where(active, 0.25, 1.0),
    )


def converge(
    equations: Equations, clip: Clip, search: Search, huber_delta: jax.Array, sweeps: int
) -> Search:
    """Goes on to the minimum of the smoothed problem, the smoothing staying as it is.

    Args:
        equations: model and penalty.
        clip: flow and weights, in the coordinates of the problems.
        search: state of the search that `minimize` returned.
        huber_delta: scale of the penalty, pixels per frame.
        sweeps: number of further sweeps.
    """
    mass, samples = _samples(clip, equations)
    search = dataclasses.replace(
        search,
        theta=search.best,
        step=jnp.zeros_like(search.step),
        slope=jnp.zeros_like(search.slope),
        uncut=search.slope > -jnp.inf,
        objective=jnp.full_like(search.objective, -jnp.inf),
    )
    return _iterate(equations, clip, search, huber_delta, sweeps, mass, samples, anneal=False)


def _iterate(
    equations: Equations,
    clip: Clip,
    search: Search,
    huber_delta: jax.Array,
    count: int,
    mass: jax.Array,
    samples: jax.Array,
    decay: float = 0.5,
    settled: int = _SETTLED,
    anneal: bool = True,
) -> Search:
    """`count` sweeps, each followed by a step.

    The share of the mass inside the smoothing decays to a floor, which itself falls after
    `settled` sweeps; with `anneal=False` the smoothing stays as it is.
    """
    floor = jnp.minimum(_SAMPLES_PER_UNKNOWN * (equations.unknowns + 4) / samples, 0.5)
    floors = floor * 0.5 ** jnp.maximum(jnp.arange(count) - settled, 0)[:, None, None, None]
    negligible = float(jnp.finfo(mass.dtype).eps) ** 0.5

    def body(search: Search, floor: jax.Array):
        trial = search.theta + search.step
        moments = sweep(
            clip,
            equations.coefficients(trial),
            search.smoothing,
            search.curvature,
            equations.penalty,
            huber_delta,
        )
        gradient = equations.gradient(moments)
        newton = equations.solve(moments, gradient)
        objective = jax.lax.stop_gradient(equations.by_group(moments.objective))
        lower = objective < search.objective

        after = _along(gradient, search.step)
        moved = search.slope > 0
        ratio = jnp.where(moved, after / jnp.where(moved, search.slope, 1.0), 0.0)
        accepted = (ratio > -1.0) | lower | ~search.uncut
        secant = jnp.clip(1.0 / jnp.maximum(1.0 - ratio, 1e-3), 0.1, 0.5)
        curvature = jnp.where(
            moved,
            jnp.clip(search.curvature * jnp.clip(1.0 - ratio, 0.3, 3.0), 0.02, 1.0),
            search.curvature,
        )
        share, smoothing = search.share, search.smoothing
        if anneal:
            inside = _share_inside(equations, moments, mass)
            share = jnp.where(accepted, jnp.maximum(share * decay, floor), share)
            change = jnp.clip(share / jnp.maximum(inside, 1e-3), 0.1, 1.2)
            smoothing = jnp.where(accepted, smoothing * change, smoothing)
            smoothing = jnp.maximum(smoothing, negligible * objective / mass)
        return Search(
            theta=_select(accepted, trial, search.theta),
            step=_select(accepted, newton, secant[..., None, None] * search.step),
            slope=jnp.where(accepted, _along(gradient, newton), secant * search.slope),
            uncut=accepted,
            best=_select(lower, trial, search.best),
            objective=jnp.where(lower, objective, search.objective),
            lowered=search.lowered + lower,
            smoothing=jnp.maximum(smoothing, _SMALLEST),
            share=share,
            curvature=curvature,
        ), None

    search, _ = jax.lax.scan(body, search, floors.astype(mass.dtype))
    return search


def _along(gradient: jax.Array, step: jax.Array) -> jax.Array:
    return jax.lax.stop_gradient(jnp.sum(gradient * step, axis=(-2, -1)))


def _samples(clip: Clip, equations: Equations) -> tuple[jax.Array, jax.Array]:
    """Mass and effective number of samples of every group, `[B, K, G]` each, never zero."""
    groups, components = equations.groups, equations.embedding.shape[0]
    weights = jax.lax.stop_gradient(clip.weights)
    mass = weights.sum((1, 3, 4))
    squares = (weights**2).sum((1, 3, 4))
    tiny = jnp.finfo(mass.dtype).tiny
    samples = jnp.maximum(mass * (mass / jnp.maximum(squares, tiny)), 1e-3)
    shape = (*mass.shape, groups)
    mass = jnp.broadcast_to(jnp.maximum(mass, tiny)[..., None], shape)
    return mass * components, jnp.broadcast_to(samples[..., None] * components, shape)


def _share_inside(equations: Equations, moments: Moments, mass: jax.Array) -> jax.Array:
    inside = jax.lax.stop_gradient(equations.by_group(moments.inside))
    components = equations.embedding.shape[0]
    counted = components if moments.inside.shape[-1] == 2 else 1
    return inside * (components / counted) / mass


def _select(condition: jax.Array, yes: jax.Array, no: jax.Array) -> jax.Array:
    return jnp.where(condition[..., None, None], yes, no)
