"""Clips of several lengths in one batch: what is behind the frames of a clip is padding."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.model import checked_length
from jaxmotion.motion.shapes import check_shapes
from jaxmotion.motion.temporal import num_control_points

Lengths = int | np.ndarray | jax.Array | None
"""One number of frames for all clips, or an array `[B]` of those of each."""


def check_lengths(lengths: Lengths, num_frames: int) -> None:
    """Checks the numbers of frames of clips.

    Args:
        lengths: number of frames of all clips, or of each, `[B]`; None for no check.
        num_frames: T, the largest length.

    Raises:
        ValueError: where one length of all clips is out of range, or several are no `[B]`.
    """
    if isinstance(lengths, int | np.integer):
        checked_length(int(lengths), num_frames)
    elif lengths is not None:
        check_shapes(lengths=(lengths, "B"))


def polynomial_basis_of(lengths: Lengths, num_frames: int, degree: int) -> jax.Array:
    """`polynomial_basis` of clips of several lengths, which may be traced.

    Args:
        lengths: numbers of frames of the clips, `[B]`.
        num_frames: T, number of frames of the arrays.
        degree: highest power.

    Returns:
        `[B, T, degree + 1]`, zero behind the frames of a clip.
    """
    lengths = _of_clips(lengths)
    last = jnp.maximum(lengths[:, None] - 1, 1)
    t = jnp.where(lengths[:, None] > 1, 2.0 * jnp.arange(num_frames) / last - 1.0, 0.0)
    return _within(lengths, t[..., None] ** jnp.arange(degree + 1))


def bspline_basis_of(
    lengths: Lengths, num_frames: int, degree: int, knot_spacing: int, knots: str
) -> jax.Array:
    """`bspline_basis` of clips of several lengths, which may be traced.

    Args:
        lengths: numbers of frames of the clips, `[B]`, each from 1 to `num_frames`.
        num_frames: T, number of frames of the arrays.
        degree: degree of the spline; lowered for each clip by its own number of control points.
        knot_spacing: frames between control points.
        knots: "clamped" or "cardinal", the two kinds of `bspline_basis`.

    Returns:
        `[B, T, L]`, L being that of a clip of T frames. A shorter clip has the first of them; the
        rest is zero, as is all behind its frames.
    """
    lengths = _of_clips(lengths)
    size = num_control_points(num_frames, knot_spacing)
    counts = num_control_points(lengths, knot_spacing)
    basis = jnp.ones((*lengths.shape, num_frames, size))  # of a single frame
    for lowered in range(min(degree, size - 1) + 1):
        here = (counts - 1 == lowered) if lowered < degree else (counts - 1 >= degree)
        found = _spline(lengths, counts, num_frames, size, lowered, clamped=knots == "clamped")
        basis = jnp.where(here[:, None, None], found, basis)
    return _within(lengths, jnp.where(jnp.arange(size) < counts[:, None, None], basis, 0.0))


def _of_clips(lengths: Lengths) -> jax.Array:
    check_shapes(lengths=(lengths, "B"))
    return jnp.asarray(lengths)


def _within(lengths: jax.Array, basis: jax.Array) -> jax.Array:
    known = jnp.arange(basis.shape[1]) < lengths[:, None]
    return jnp.where(known[..., None], basis, 0.0)


def _spline(lengths, counts, num_frames, size, degree, clamped) -> jax.Array:
    """Cox-de Boor's recursion on whole knots, for clips that have at least `degree + 1` points."""
    # Frame i lies at i * spans / last: whole numbers tell exactly in which span, a frame on a
    # knot and the last one included.
    spans = jnp.maximum(counts - (degree if clamped else 1), 1)[:, None]
    last = jnp.maximum(lengths - 1, 1)[:, None]
    frames = jnp.arange(num_frames)
    position = (frames * spans / last)[..., None]
    span = frames * spans // last
    if clamped:
        span = jnp.minimum(span, spans - 1)
        knots = jnp.clip(jnp.arange(size + degree + 1) - degree, 0, spans[..., None])
        first = -degree
    else:  # the middle of the function of each control point is its place
        knots = jnp.arange(size + degree + 1)[None, None] - (degree + 1) / 2
        span = (2 * frames * spans + (degree + 1) * last) // (2 * last)
        first = 0
    values = jnp.where(jnp.arange(size + degree) + first == span[..., None], 1.0, 0.0)
    for order in range(1, degree + 1):
        kept = size + degree - order
        start, end = knots[..., :kept], knots[..., order : order + kept]
        rising = _ratio(position - start, end - start)
        start, end = knots[..., 1 : 1 + kept], knots[..., order + 1 : order + 1 + kept]
        falling = _ratio(end - position, end - start)
        values = rising * values[..., :kept] + falling * values[..., 1 : 1 + kept]
    return values


def _ratio(over, under) -> jax.Array:
    return jnp.where(under > 0, over / jnp.where(under > 0, under, 1.0), 0.0)
