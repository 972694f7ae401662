"""`MotionModel`: a spatial model times a temporal basis, and the flow that its parameters give."""

import dataclasses
import functools
from typing import Any, Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.shapes import check_shapes
from jaxmotion.motion.spatial import POWERS, SPATIAL_MODELS, coordinates, spatial_embedding
from jaxmotion.motion.temporal import (
    KNOTS,
    TEMPORAL_MODELS,
    LocalBasis,
    bspline_basis,
    bspline_basis_of,
    num_control_points,
    polynomial_basis,
    polynomial_basis_of,
)

# One number of frames for all clips, or an array `[B]` of those of each.
Lengths = int | np.ndarray | jax.Array | None

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

    def temporal_basis(self, num_frames: int, lengths: Lengths = None) -> Any:
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
        return self.local_basis(num_frames, lengths).dense()

    def local_basis(self, num_frames: int, lengths: Lengths = None) -> LocalBasis:
        """`temporal_basis`, as the few functions that are not zero at a frame.

        Args:
            num_frames: T, number of frames of the arrays.
            lengths: number of frames of the clip, or those of several, as of `temporal_basis`.

        Raises:
            ValueError: for a length out of range.
        """
        check_lengths(lengths, num_frames)
        spline = self.temporal == "bspline"
        if isinstance(lengths, jax.Array | np.ndarray):
            lengths = jnp.asarray(lengths)
            if spline:
                basis = bspline_basis_of(
                    lengths, num_frames, self._degree, self.knot_spacing, self.knots
                )
            else:
                basis = polynomial_basis_of(lengths, num_frames, self._degree)
            known = jnp.arange(num_frames) < lengths[:, None]
            basis = jnp.where(known[..., None], basis, 0.0)
            count = basis.shape[-1]
            width = min(self._degree + 1, count)
            first = jnp.minimum(jnp.argmax(basis != 0, axis=-1), count - width)
            near = jnp.take_along_axis(basis, first[..., None] + jnp.arange(width), axis=-1)
            return LocalBasis(first, near, count)
        length = num_frames if lengths is None else int(lengths)
        if spline:
            basis = bspline_basis(length, self._degree, self.knot_spacing, self.knots)
        else:
            powers = polynomial_basis(length, self._degree)
            basis = LocalBasis(np.zeros(length, int), powers, powers.shape[1])
        behind = (0, num_frames - length)
        first = np.pad(basis.first, behind, mode="edge")
        return LocalBasis(first, np.pad(basis.near, [behind, (0, 0)]), basis.count)

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


def check_lengths(lengths: Lengths, num_frames: int) -> None:
    """Checks the numbers of frames of clips.

    Args:
        lengths: number of frames of all clips, or of each, `[B]`; None for no check.
        num_frames: T, the largest length.

    Raises:
        ValueError: where one length of all clips is out of range, or several are no `[B]`.
    """
    if lengths is None:
        return
    if isinstance(lengths, int | np.integer):
        if not 1 <= lengths <= num_frames:
            raise ValueError(
                f"lengths must be at least 1 and at most {num_frames}, the number of frames; "
                f"got {lengths}"
            )
    else:
        check_shapes(lengths=(lengths, "B"))


def parametric_flow(
    model: MotionModel,
    theta: chex.Array,
    shape: tuple[int, ...],
    *,
    lengths: Lengths = None,
) -> jax.Array:
    """The flow of a motion model, evaluated separably (no design matrix).

    Args:
        model: model of the motion of a segment.
        theta: parameters of the motions, `[..., P]`, usually `[B, K, P]`.
        shape: number of frames, rows and columns, (T, H, W).
        lengths: number of frames of all clips, or those of each, `[B]`, of the first axis of
            theta; T where it is None. The flow behind them is zero.

    Returns:
        `[..., T, H, W, 2]`, in the flow's units (pixels per frame).

    Raises:
        ValueError: where theta's last axis is not the model's parameter count for T frames, or the
            shape is no three sizes.
    """
    if len(shape) != 3:
        raise ValueError(f"shape must be (T, H, W); got {shape}")
    num_frames, height, width = shape
    coefficients = frame_coefficients(model, theta, num_frames, lengths=lengths)
    x = jnp.asarray(coordinates(width), coefficients.dtype)
    y = jnp.asarray(coordinates(height), coefficients.dtype)
    return _flow(coefficients, x, y)


@jax.jit
def _flow(coefficients: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.moveaxis(evaluate_quadratic(coefficients, x, y), -3, -1)


def frame_coefficients(
    model: MotionModel, theta: chex.Array, num_frames: int, *, lengths: Lengths = None
) -> jax.Array:
    """The motion of every frame as one quadratic: what theta says of segment k at frame t.

    With x to the right and y down, both from -1 at the center of the first pixel to 1 at that of
    the last, the flow is `c[0] + c[1] x + c[2] y + c[3] x² + c[4] x y + c[5] y²`. The first three
    are its affine part; those of a smaller model than the quadratic are zero beyond it.

    Args:
        model: model of the motion of a segment.
        theta: parameters of the motions, `[..., P]`, such as `[B, K, P]` of `fit`.
        num_frames: T, number of frames.
        lengths: number of frames of all clips, or those of each, `[B]`, of the first axis of
            theta; T where it is None. The motion behind them is zero.

    Returns:
        `[..., T, 2, 6]`: frame, component (u, v), coefficient c of 1, x, y, x², xy, y², each in
        pixels per frame.

    Raises:
        ValueError: where theta's last axis is not the model's parameter count for T frames.
    """
    check_lengths(lengths, num_frames)
    if isinstance(lengths, int | np.integer):
        return _coefficients(model, num_frames, int(lengths), theta, None)
    return _coefficients(model, num_frames, None, theta, lengths)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _coefficients(
    model: MotionModel,
    num_frames: int,
    length: int | None,
    theta: jax.Array,
    lengths: jax.Array | None,
) -> jax.Array:
    count = model.num_parameters(num_frames if length is None else length)
    if theta.shape[-1:] != (count,):
        raise ValueError(
            f"theta must have {count} parameters per segment for {length or num_frames} frames of "
            f"{model}; got shape {theta.shape}"
        )
    if lengths is None:
        basis = jnp.asarray(model.temporal_basis(num_frames, length), theta.dtype)
    else:
        check_shapes(theta=(theta, " ".join(["B", *"CDEFG"[: theta.ndim - 2], "P"])))
        check_shapes(lengths=(lengths, str(theta.shape[0])))
        basis = model.temporal_basis(num_frames, lengths).astype(theta.dtype)
    embedding = jnp.asarray(model.spatial_embedding(), theta.dtype)
    theta = theta.reshape(*theta.shape[:-1], basis.shape[-1], -1)
    return jnp.einsum(
        "...ls,tl,cjs->...tcj" if lengths is None else "b...ls,btl,cjs->b...tcj",
        theta,
        basis,
        embedding,
        precision=jax.lax.Precision.HIGHEST,
    )


def evaluate_quadratic(coefficients: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Evaluates quadratics on a grid.

    Per row it is a parabola in x, so that a pixel costs two multiply-adds. x and y may carry the
    leading axes of the coefficients, for coordinates that differ between problems.

    Args:
        coefficients: coefficients of 1, x, y, x², xy, y², `[..., 6]`.
        x: positions of the columns, `[W]`.
        y: positions of the rows, `[H]`.

    Returns:
        The values `[..., H, W]`.
    """
    one, cx, cy, cxx, cxy, cyy = (c[..., None] for c in jnp.moveaxis(coefficients, -1, 0))
    at_row = (one + (cy + cyy * y) * y)[..., None]
    slope = (cx + cxy * y)[..., None]
    x = x[..., None, :]
    return at_row + (slope + cxx[..., None] * x) * x
