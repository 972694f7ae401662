"""`MotionModel`: a spatial model times a temporal basis. An option of a command, so without JAX."""

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jaxmotion.motion.spatial import POWERS, SPATIAL_MODELS, coordinates, spatial_embedding
from jaxmotion.motion.temporal import (
    KNOTS,
    TEMPORAL_MODELS,
    LocalBasis,
    bspline_basis,
    num_control_points,
    polynomial_basis,
)

if TYPE_CHECKING:
    from jaxmotion.motion.lengths import Lengths


# Beyond these there is no motion, only memory.
MOST_DEGREE, MOST_FRAMES = 100, 1_000_000


@dataclasses.dataclass(frozen=True)
class MotionModel:
    """A parametric motion model in space and time; hashable, a static argument under `jit`.

    The flow at (x, y, t) is `sum_l b_l(t) sum_s theta[l, s] phi_s(x, y)`, linear in theta. The
    parameters are flattened to P = L * S, temporal basis first: theta.reshape(L, S). The S
    spatial parameters are those of u, then those of v (over 1, x, y, x², xy, y² for "quadratic");
    for "planar" they are p1 … p8 of `spatial_embedding`.

    Attributes:
        spatial: "translation" (S = 2), "affine" (6), "planar" (8) or "quadratic" (12).
        temporal: "constant" (L = 1), "polynomial" (degree + 1) or "bspline" (2 + (T-2)//nu).
        degree: degree of the polynomial (1 where it is None) or of the spline (3 where it is None).
        knot_spacing: nu, frames between the control points of the spline.
        knots: "clamped", or "cardinal" for the spline of the published code.

    Raises:
        ValueError: for an unknown name or a degree or spacing out of range.

    References:
        Thesis eq. 1.3, 3.1-3.3, 4.1-4.5.
    """

    spatial: Literal["translation", "affine", "planar", "quadratic"] = "quadratic"
    temporal: Literal["constant", "polynomial", "bspline"] = "constant"
    degree: int | None = None
    knot_spacing: int = 3
    knots: Literal["clamped", "cardinal"] = "clamped"

    def __post_init__(self):
        for name, value, known in (
            ("spatial", self.spatial, SPATIAL_MODELS),
            ("temporal", self.temporal, TEMPORAL_MODELS),
            ("knots", self.knots, KNOTS),
        ):
            if not isinstance(value, str) or value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")
        if self.degree is not None and not _is_count(self.degree, 0, MOST_DEGREE):
            raise ValueError(
                f"degree must be at least 0 and at most {MOST_DEGREE}; got {self.degree!r}"
            )
        if not _is_count(self.knot_spacing, 1, MOST_FRAMES):
            raise ValueError(
                f"knot_spacing must be at least 1 frame and at most {MOST_FRAMES}; "
                f"got {self.knot_spacing!r}"
            )

    def spatial_embedding(self) -> np.ndarray:
        """`[2, 6, S]`: component, monomial 1, x, y, x², xy, y², parameter."""
        return spatial_embedding(self.spatial)

    def temporal_basis(self, num_frames: int, lengths: "Lengths" = None) -> Any:
        """The temporal functions at the frames.

        Args:
            num_frames: T, number of frames of the arrays.
            lengths: number of frames of the clip, T where it is None; what is behind is padding,
                where all functions are zero. Or those of several clips, `[B]`, may be traced.

        Returns:
            float64 `[T, L]`, L being that of a clip of its length. For several clips
            `[B, T, L]` with the L of T frames; a shorter clip has the first functions only.

        Raises:
            ValueError: for a length out of range.
        """
        if lengths is None or isinstance(lengths, int | np.integer):
            return self.local_basis(num_frames, lengths).dense()
        from jaxmotion.motion.lengths import bspline_basis_of, polynomial_basis_of  # late: JAX

        if self.temporal == "bspline":
            return bspline_basis_of(
                lengths, num_frames, self._degree, self.knot_spacing, self.knots
            )
        return polynomial_basis_of(lengths, num_frames, self._degree)

    def local_basis(self, num_frames: int, length: int | None = None) -> LocalBasis:
        """`temporal_basis` of one length, as the few functions that are not zero at a frame.

        Args:
            num_frames: T, number of frames of the arrays.
            length: number of frames of the clip, T where it is None.

        Raises:
            ValueError: for a length out of range.
        """
        count = num_frames if length is None else checked_length(length, num_frames)
        if self.temporal == "bspline":
            basis = bspline_basis(count, self._degree, self.knot_spacing, self.knots)
        else:
            powers = polynomial_basis(count, self._degree)
            basis = LocalBasis(np.zeros(count, int), powers, powers.shape[1])
        behind = (0, num_frames - count)
        first = np.pad(basis.first, behind, mode="edge")
        return LocalBasis(first, np.pad(basis.near, [behind, (0, 0)]), basis.count)

    def most_near(self, num_frames: int) -> int:
        """Largest number of functions that are not zero at a frame, of clips of up to T frames."""
        return min(self._degree + 1, self.num_functions(num_frames))

    def most_frames(self, functions: int) -> int:
        """Largest number of frames whose first functions are so many neighbors, of any length."""
        return self.knot_spacing * max(2 * functions - 1, 1) + 2

    def num_parameters(self, num_frames: int) -> int:
        """P = L * S for a clip of `num_frames` frames."""
        return self.num_functions(num_frames) * self.spatial_embedding().shape[2]

    def num_functions(self, num_frames: Any) -> Any:
        """L, the number of temporal functions of a clip of `num_frames` frames; or of several."""
        if self.temporal == "bspline":
            return num_control_points(num_frames, self.knot_spacing)
        return 0 * num_frames + self._degree + 1

    @property
    def _degree(self) -> int:
        if self.temporal == "constant":
            return 0
        return self.degree if self.degree is not None else 3 if self.temporal == "bspline" else 1

    def design(self, num_frames: int, height: int, width: int) -> np.ndarray:
        """The dense design matrix: `flow = design @ theta`. For tests and teaching.

        Args:
            num_frames: T, number of frames of the clip.
            height: H, number of rows.
            width: W, number of columns.

        Returns:
            The matrix, float64 `[T, H, W, 2, P]`.
        """
        x, y = coordinates(width), coordinates(height)
        monomials = np.stack([np.outer(y**b, x**a) for a, b in POWERS], axis=-1)
        spatial = np.einsum("hwj,cjs->hwcs", monomials, self.spatial_embedding())
        design = np.einsum("tl,hwcs->thwcls", self.temporal_basis(num_frames), spatial)
        return design.reshape(num_frames, height, width, 2, -1)


def _is_count(value: Any, least: int, most: int) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return bool(whole and least <= value <= most)


def checked_length(length: int, num_frames: int) -> int:
    """Gives the number of frames of all clips.

    Args:
        length: number of frames of the clips.
        num_frames: T, number of frames of the arrays, the largest length.

    Raises:
        ValueError: where the length is out of range.
    """
    if not 1 <= length <= num_frames:
        raise ValueError(
            f"lengths must be at least 1 and at most {num_frames}, the number of frames; "
            f"got {length}"
        )
    return int(length)
