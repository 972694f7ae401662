"""`MotionModel`: a spatial model times a temporal basis, and the flow that its parameters give."""

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.spatial import POWERS, SPATIAL_MODELS, coordinates, spatial_embedding
from jaxmotion.motion.temporal import KNOTS, TEMPORAL_MODELS, bspline_basis, polynomial_basis

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
      degree: of the polynomial (default 1) or of the spline (default 3).
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

    def temporal_basis(self, num_frames: int) -> np.ndarray:
        """`[T, L]`: the temporal functions at the frames."""
        if self.temporal == "constant":
            return np.ones((num_frames, 1))
        if self.temporal == "polynomial":
            return polynomial_basis(num_frames, 1 if self.degree is None else self.degree)
        degree = 3 if self.degree is None else self.degree
        return bspline_basis(num_frames, degree, self.knot_spacing, self.knots)

    def padded(self, frames: int) -> "MotionModel":
        """The same for clips of `frames` frames that are padded behind the last of them.

        Parameters are those of the clip without padding, and their flow is zero in it.

        Raises:
          ValueError: for fewer than 1 frame.
        """
        if frames < 1:
            raise ValueError(f"frames must be at least 1; got {frames}")
        return _PaddedModel(**dataclasses.asdict(self), frames=frames)

    def num_parameters(self, num_frames: int) -> int:
        """P = L * S for a clip of `num_frames` frames."""
        return self.temporal_basis(num_frames).shape[1] * self.spatial_embedding().shape[2]

    def design(self, num_frames: int, height: int, width: int) -> np.ndarray:
        """The dense design matrix: `flow = design @ theta`. For tests and teaching.

        Returns:
          float64 `[T, H, W, 2, P]`.
        """
        x, y = coordinates(width), coordinates(height)
        monomials = np.stack([np.outer(y**b, x**a) for a, b in POWERS], axis=-1)
        spatial = np.einsum("hwj,cjs->hwcs", monomials, self.spatial_embedding())
        design = np.einsum("tl,hwcs->thwcls", self.temporal_basis(num_frames), spatial)
        return design.reshape(num_frames, height, width, 2, -1)


def _is_count(value: Any, least: int, most: int) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return bool(whole and least <= value <= most)


@dataclasses.dataclass(frozen=True)
class _PaddedModel(MotionModel):
    """See `MotionModel.padded`."""

    frames: int = 1

    def padded(self, frames: int) -> MotionModel:
        """The same model: what is behind its frames is padding already."""
        self._check(frames)
        return self

    def _check(self, num_frames: int) -> None:
        if num_frames < self.frames:
            raise ValueError(
                f"a model padded behind {self.frames} frames needs as many; got {num_frames}"
            )

    def temporal_basis(self, num_frames: int) -> np.ndarray:
        self._check(num_frames)
        basis = super().temporal_basis(self.frames)
        return np.pad(basis, [(0, num_frames - self.frames), (0, 0)])


@functools.partial(jax.jit, static_argnums=(0, 2))
def parametric_flow(model: MotionModel, theta: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
    """The flow of a motion model, evaluated separably (no design matrix).

    Args:
      model: the motion model.
      theta: `[..., P]`, usually `[B, K, P]`.
      shape: (T, H, W).

    Returns:
      `[..., T, H, W, 2]`, in the flow's units (pixels per frame).

    Raises:
      ValueError: where theta's last axis is not the model's parameter count for T frames, or the
        shape is no three sizes.
    """
    if len(shape) != 3:
        raise ValueError(f"shape must be (T, H, W); got {shape}")
    num_frames, height, width = shape
    basis, embedding = model.temporal_basis(num_frames), model.spatial_embedding()
    if theta.shape[-1] != model.num_parameters(num_frames):
        raise ValueError(
            f"theta must have {model.num_parameters(num_frames)} parameters per segment for "
            f"{num_frames} frames of {model}; got shape {theta.shape}"
        )
    coefficients = frame_coefficients(
        theta.reshape(*theta.shape[:-1], basis.shape[1], -1), basis, embedding
    )
    x = jnp.asarray(coordinates(width), theta.dtype)
    y = jnp.asarray(coordinates(height), theta.dtype)
    return jnp.moveaxis(evaluate_quadratic(coefficients, x, y), -3, -1)


def frame_coefficients(theta: jax.Array, basis: np.ndarray, embedding: np.ndarray) -> jax.Array:
    """Quadratic coefficients of every frame.

    Args:
      theta: `[..., L, S]`.
      basis: `[T, L]`.
      embedding: `[C, 6, S]`.

    Returns:
      `[..., T, C, 6]`.
    """
    return jnp.einsum(
        "...ls,tl,cjs->...tcj",
        theta,
        jnp.asarray(basis, theta.dtype),
        jnp.asarray(embedding, theta.dtype),
        precision=jax.lax.Precision.HIGHEST,
    )


def evaluate_quadratic(coefficients: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    """Evaluate quadratics on a grid: `[..., 6]`, x `[W]`, y `[H]` -> `[..., H, W]`.

    Per row it is a parabola in x, so that a pixel costs two multiply-adds. x and y may carry the
    leading axes of the coefficients, for coordinates that differ between problems.
    """
    one, cx, cy, cxx, cxy, cyy = (c[..., None] for c in jnp.moveaxis(coefficients, -1, 0))
    at_row = (one + (cy + cyy * y) * y)[..., None]
    slope = (cx + cxy * y)[..., None]
    x = x[..., None, :]
    return at_row + (slope + cxx[..., None] * x) * x
