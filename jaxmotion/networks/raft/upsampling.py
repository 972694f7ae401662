"""Coarse flow to flow at the full size, with vectors longer by as much."""

import jax
import jax.numpy as jnp

_HIGHEST = jax.lax.Precision.HIGHEST


def upsample_convex(flow: jax.Array, logits: jax.Array) -> jax.Array:
    """Enlarges flow; a fine vector is a convex combination of the nine coarse ones around it.

    Args:
        flow: coarse flow, `[B, H, W, 2]`, in coarse pixels.
        logits: logits of the weights, `[B, H, W, 9, s, s]`: neighbors row by row, then y and x
            inside.

    Returns:
        `[B, s H, s W, 2]`, in fine pixels.

    References:
        Teed and Deng, ECCV 2020, sect. 3.3.
    """
    batch, height, width, _ = flow.shape
    factor = logits.shape[-1]
    padded = jnp.pad(factor * flow, ((0, 0), (1, 1), (1, 1), (0, 0)))
    around = [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    weights = jax.nn.softmax(logits, axis=3)
    # Written as nine terms: a contraction over nine is poor work for a matrix unit.
    fine = sum(weights[:, :, :, k, ..., None] * around[k][..., None, None, :] for k in range(9))
    return jnp.swapaxes(fine, 2, 3).reshape(batch, factor * height, factor * width, 2)


def upsample_bilinear(flow: jax.Array) -> jax.Array:
    """Enlarges flow bilinearly, corner on corner, as the small network was trained.

    Args:
        flow: coarse flow, `[B, H, W, 2]`, in coarse pixels.

    Returns:
        `[B, 8 H, 8 W, 2]`, in fine pixels.
    """
    rows, columns = (_bilinear_matrix(size) for size in flow.shape[1:3])
    fine = jnp.einsum("yh,bhwc->bywc", rows, 8.0 * flow, precision=_HIGHEST)
    return jnp.einsum("xw,bywc->byxc", columns, fine, precision=_HIGHEST)


def _bilinear_matrix(size: int) -> jax.Array:
    """Weights `[8 size, size]` of coarse samples in fine ones; first and last ones coincide."""
    place = jnp.arange(8 * size) * (size - 1) / (8 * size - 1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(place[:, None] - jnp.arange(size)))
