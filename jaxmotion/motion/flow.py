"""The flow that the parameters of a motion model give, evaluated without a design matrix."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.lengths import Lengths, check_lengths
from jaxmotion.motion.model import MotionModel
from jaxmotion.motion.shapes import check_shapes
from jaxmotion.motion.spatial import coordinates


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
    if lengths is not None:
        check_shapes(theta=(theta, " ".join(["B", *"CDEFG"[: theta.ndim - 2], "P"])))
        check_shapes(lengths=(lengths, str(theta.shape[0])))
    embedding = jnp.asarray(model.spatial_embedding(), theta.dtype)
    theta = theta.reshape(*theta.shape[:-1], -1, embedding.shape[-1])
    einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    if lengths is not None:
        basis = model.temporal_basis(num_frames, lengths).astype(theta.dtype)
        return einsum("b...ls,btl,cjs->b...tcj", theta, basis, embedding)
    basis = model.local_basis(num_frames, length)
    width = basis.near.shape[1]
    if basis.count <= 2 * width:
        dense = jnp.asarray(basis.dense(), theta.dtype)
        return einsum("...ls,tl,cjs->...tcj", theta, dense, embedding)
    # A matrix of all frames and functions would grow with the square of the clip.
    theta = theta[..., basis.first[:, None] + np.arange(width), :]
    theta = jnp.sum(theta * jnp.asarray(basis.near, theta.dtype)[:, :, None], axis=-2)
    return einsum("...ts,cjs->...tcj", theta, embedding)


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
