"""Temporal bases: how the spatial parameters vary along a clip. Each is a matrix `[T, L]`."""

import dataclasses
from typing import Any

import numpy as np
from scipy.interpolate import BSpline

from jaxmotion.motion.spatial import coordinates

TEMPORAL_MODELS = ("constant", "polynomial", "bspline")
KNOTS = ("clamped", "cardinal")


@dataclasses.dataclass(frozen=True, eq=False)
class LocalBasis:
    """A matrix `[T, L]` whose rows are zero but for W neighbors.

    Attributes:
        first: `[T]`: column of the first of them; never less than in the row before.
        near: `[T, W]`: their values.
        count: L, number of columns.
    """

    first: np.ndarray
    near: np.ndarray
    count: int

    def dense(self) -> np.ndarray:
        """The matrix."""
        dense = np.zeros((len(self.first), self.count))
        column = self.first[:, None] + np.arange(self.near.shape[1])
        np.put_along_axis(dense, column, self.near, axis=1)
        return dense


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
    centered = BSpline.basis_element(np.arange(degree + 2) - (degree + 1) / 2, extrapolate=False)
    offsets = position[:, None] - (first[:, None] + np.arange(degree + 1))
    return LocalBasis(first, np.nan_to_num(centered(offsets)), count)
