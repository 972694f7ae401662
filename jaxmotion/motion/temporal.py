"""Temporal bases: how the spatial parameters vary along a clip. Each is a matrix `[T, L]`."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import BSpline

from jaxmotion.motion.spatial import coordinates

TEMPORAL_MODELS = ("constant", "polynomial", "bspline")
KNOTS = ("clamped", "cardinal")


@dataclasses.dataclass(frozen=True, eq=False)
class LocalBasis:
    """A matrix `[T, L]` whose rows are zero but for W neighbors. Of several clips `[B, T, L]`.

    Attributes:
        first: `[T]`: column of the first of them; never less than in the row before.
        near: `[T, W]`: their values.
        count: L, number of columns.
    """

    first: np.ndarray | jax.Array
    near: np.ndarray | jax.Array
    count: int

    def dense(self) -> Any:
        """The matrix."""
        library = np if isinstance(self.near, np.ndarray) else jnp
        width = self.near.shape[-1]
        column = library.arange(self.count) - self.first[..., None]
        values = library.take_along_axis(self.near, library.clip(column, 0, width - 1), axis=-1)
        return library.where((column >= 0) & (column < width), values, 0.0)


def num_control_points(num_frames: Any, knot_spacing: int) -> Any:
    """Number of control points, L = 2 + floor((T - 2) / knot_spacing); 1 for a single frame.

    Args:
        num_frames: T, number of frames; a number or an array.
        knot_spacing: frames between the control points.

    References:
        Thesis §4.2.1.
    """
    return 2 + (num_frames - 2) // knot_spacing


def polynomial_basis(num_frames: int, degree: int) -> np.ndarray:
    """Powers 1, t, t², … of t in [-1, 1]: `[T, degree + 1]` (thesis eq. 3.1).

    Args:
        num_frames: T, number of frames.
        degree: highest power.
    """
    return coordinates(num_frames)[:, None] ** np.arange(degree + 1)


def bspline_basis(num_frames: int, degree: int, knot_spacing: int, knots: str) -> LocalBasis:
    """B-spline basis functions sampled at the frames (thesis eq. 4.5).

    Args:
        num_frames: T, number of frames.
        degree: degree of the spline; lowered to L - 1 where the clip has few control points.
        knot_spacing: frames between control points (nu of the thesis).
        knots: "clamped" repeats the end knots, so that the functions sum to one at every frame and
            the first and last control points are the values at both ends. "cardinal" is the
            published code's variant: shifted copies of one uniform spline, without ghost points
            beyond the ends, where they sum to less than one (5/6 for cubics).

    Returns:
        The matrix with L of `num_control_points`, and W = degree + 1.
    """
    count = num_control_points(num_frames, knot_spacing)
    degree = min(degree, count - 1)
    t = coordinates(num_frames)
    if knots == "clamped":
        interior = np.linspace(-1.0, 1.0, count - degree + 1)
        padded = np.concatenate([np.full(degree, -1.0), interior, np.full(degree, 1.0)])
        sparse = BSpline.design_matrix(t, padded, degree)
        first = sparse.indices.reshape(num_frames, degree + 1)[:, 0]
        return LocalBasis(first, sparse.data.reshape(num_frames, degree + 1), count)
    if count == 1:
        return LocalBasis(np.zeros(num_frames, int), np.ones((num_frames, 1)), count)
    # The function of a control point reaches (degree + 1) / 2 of them to both sides.
    position = np.linspace(0.0, count - 1.0, num_frames)
    first = np.floor(position - (degree + 1) / 2).astype(int) + 1
    first = np.clip(first, 0, count - degree - 1)
    centred = BSpline.basis_element(np.arange(degree + 2) - (degree + 1) / 2, extrapolate=False)
    offsets = position[:, None] - (first[:, None] + np.arange(degree + 1))
    return LocalBasis(first, np.nan_to_num(centred(offsets)), count)


def polynomial_basis_of(lengths: jax.Array, num_frames: int, degree: int) -> jax.Array:
    """`polynomial_basis` of clips of several lengths: `[B, T, degree + 1]`.

    Args:
        lengths: numbers of frames of the clips, `[B]`.
        num_frames: T, number of frames of the arrays.
        degree: highest power.
    """
    last = jnp.maximum(lengths[:, None] - 1, 1)
    t = jnp.where(lengths[:, None] > 1, 2.0 * jnp.arange(num_frames) / last - 1.0, 0.0)
    return t[..., None] ** jnp.arange(degree + 1)


def bspline_basis_of(
    lengths: jax.Array, num_frames: int, degree: int, knot_spacing: int, knots: str
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
        rest is zero, and what is behind its frames is not to be used.
    """
    size = num_control_points(num_frames, knot_spacing)
    counts = num_control_points(lengths, knot_spacing)
    basis = jnp.ones((*lengths.shape, num_frames, size))  # of a single frame
    for lowered in range(min(degree, size - 1) + 1):
        here = (counts - 1 == lowered) if lowered < degree else (counts - 1 >= degree)
        found = _spline(lengths, counts, num_frames, size, lowered, clamped=knots == "clamped")
        basis = jnp.where(here[:, None, None], found, basis)
    return jnp.where(jnp.arange(size) < counts[:, None, None], basis, 0.0)


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
