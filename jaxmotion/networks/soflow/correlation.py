"""Correlation of each pixel's features with those around its place in the other frame.

The volume has one correlation for each shift of at most R pixels in each direction. It is computed
row shift by row shift: for one of these, 16 neighboring pixels need a common window of 16 + 2R
columns, which is a matrix product, and their correlations lie on the diagonals of its result. The
shifted copies that the plain form makes, one for each of (2R + 1)² shifts, never exist, and
checkpointing keeps differentiation from saving them.

References:
    Thesis, eq. 7.43-7.45; Teed and Deng, ECCV 2020, for the lookup.
"""

import math

import jax
import jax.numpy as jnp

_BLOCK = 16  # neighboring pixels that share a window of columns
_HIGHEST = jax.lax.Precision.HIGHEST


def local_correlation(
    features0: jax.Array, features1: jax.Array, radius: int, spacing: int = 1
) -> jax.Array:
    """Correlates each pixel with the square around its place in the other frame.

    Args:
        features0: features of the first frame, `[B, H, W, C]`.
        features1: features of the second frame, `[B, H, W, C]`.
        radius: greatest shift R, in steps; static.
        spacing: pixels from one shift to the next; static.

    Returns:
        Scalar products over the root of C, `[B, H, W, (2R + 1)²]`, row by row: the first is that
        of the shift to the upper left, the middle one that of no shift. Zero outside the frame.

    Raises:
        ValueError: shapes that differ, or are not `[B, H, W, C]`.
    """
    if features0.ndim != 4 or features0.shape != features1.shape:
        raise ValueError(
            f"features of {features0.shape} and {features1.shape}: expected [B, H, W, C] twice"
        )
    if spacing == 1:
        return _by_rows(features0, features1, radius)
    # Pixels that are whole steps apart are a picture of their own.
    height, width = features0.shape[1:3]
    volume = _by_rows(_phases(features0, spacing), _phases(features1, spacing), radius)
    return _from_phases(volume, spacing)[:, :height, :width]


def lookup(volume: jax.Array, flow: jax.Array, radius: int) -> jax.Array:
    """Reads the correlations around where each pixel is thought to go, bilinearly.

    Without gathers: a window at any place is the volume between two matrices of hat functions.

    Args:
        volume: result of `local_correlation`, `[B, H, W, (2R + 1)²]`.
        flow: shifts (x, y) to read around, `[B, H, W, 2]`, in steps of the volume.
        radius: radius r of the windows, in steps; static.

    Returns:
        `[B, H, W, (2r + 1)²]`, row by row; zero outside the volume.

    Raises:
        ValueError: a volume whose last axis is not the square of an odd number.
    """
    side = math.isqrt(volume.shape[-1])
    if side * side != volume.shape[-1] or side % 2 == 0:
        raise ValueError(f"volume of {volume.shape}: expected [B, H, W, (2R + 1)²]")
    square = volume.reshape(*volume.shape[:-1], side, side)
    across, down = (_hats(flow[..., axis], radius, side // 2) for axis in (0, 1))
    rows = jnp.einsum("bhwyx,bhwjx->bhwyj", square, across, precision=_HIGHEST)
    found = jnp.einsum("bhwyj,bhwiy->bhwij", rows, down, precision=_HIGHEST)
    return found.reshape(*volume.shape[:-1], -1)


def expected_shift(volume: jax.Array, sharpness: jax.Array | float) -> jax.Array:
    """The mean shift, each weighted by the softmax of its correlation.

    Args:
        volume: result of `local_correlation`, `[B, H, W, (2R + 1)²]`.
        sharpness: factor of the correlations in the softmax.

    Returns:
        Shifts (x, y) `[B, H, W, 2]`, in steps of the volume.
    """
    side = math.isqrt(volume.shape[-1])
    steps = jnp.arange(side, dtype=volume.dtype) - side // 2
    weights = jax.nn.softmax(sharpness * volume, axis=-1)
    weights = weights.reshape(*volume.shape[:-1], side, side)
    x = jnp.sum(jnp.sum(weights, axis=-2) * steps, axis=-1)
    y = jnp.sum(jnp.sum(weights, axis=-1) * steps, axis=-1)
    return jnp.stack([x, y], axis=-1)


def smoothed(features: jax.Array, spacing: int) -> jax.Array:
    """Means with weights 1, 2, 1 in both directions over pixels that are `spacing` apart.

    Centered on each pixel, so that correlations at a wider spacing are not shifted by half a pixel,
    as those of means over 2 x 2 pixels are.

    Args:
        features: `[B, H, W, C]`; zero outside.
        spacing: pixels from one to the next; static.
    """
    for axis in (1, 2):
        before = [(0, 0)] * 4
        before[axis] = (spacing, spacing)
        wide, size = jnp.pad(features, before), features.shape[axis]
        parts = (
            jax.lax.slice_in_dim(wide, start, start + size, axis=axis)
            for start in (0, spacing, 2 * spacing)
        )
        first, middle, last = parts
        features = 0.25 * (first + last) + 0.5 * middle
    return features


def _hats(place: jax.Array, radius: int, reach: int) -> jax.Array:
    """Bilinear weights `[..., 2r + 1, 2R + 1]` of the steps of a volume around a place."""
    wanted = place[..., None] + jnp.arange(-radius, radius + 1)
    steps = jnp.arange(-reach, reach + 1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(wanted[..., None] - steps))


def _by_rows(features0: jax.Array, features1: jax.Array, radius: int) -> jax.Array:
    batch, height, width, channels = features0.shape
    side, window = 2 * radius + 1, _BLOCK + 2 * radius
    blocks, beyond = -(-width // _BLOCK), -(-2 * radius // _BLOCK)
    columns = (blocks + beyond) * _BLOCK
    queries = jnp.pad(features0, ((0, 0), (0, 0), (0, blocks * _BLOCK - width), (0, 0)))
    queries = queries.reshape(batch, height, blocks, _BLOCK, channels)
    around = jnp.pad(
        features1, ((0, 0), (radius, radius), (radius, columns - width - radius), (0, 0))
    )
    around = around.reshape(batch, height + 2 * radius, blocks + beyond, _BLOCK, channels)
    pieces = [around[:, :, start : start + blocks] for start in range(beyond + 1)]
    windows = jnp.concatenate(pieces, axis=3)[:, :, :, :window]

    @jax.checkpoint
    def of_row_shift(shift: jax.Array) -> jax.Array:
        shifted = jax.lax.dynamic_slice_in_dim(windows, shift, height, axis=1)
        products = jnp.einsum("bhnic,bhnjc->bhnij", queries, shifted, precision=_HIGHEST)
        # Rows of one more column bring the diagonal i, i + k to column k.
        flat = products.reshape(batch, height, blocks, _BLOCK * window)
        flat = jnp.pad(flat, ((0, 0), (0, 0), (0, 0), (0, _BLOCK)))
        skewed = flat.reshape(batch, height, blocks * _BLOCK, window + 1)
        return skewed[:, :, :width, :side]

    found = jnp.moveaxis(jax.lax.map(of_row_shift, jnp.arange(side)), 0, 3)
    return found.reshape(batch, height, width, side * side) / math.sqrt(channels)


def _phases(features: jax.Array, spacing: int) -> jax.Array:
    """`[B, H, W, C]` to `[B s², H / s, W / s, C]`, filled up with zeros."""
    batch, height, width, channels = features.shape
    missing = ((0, 0), (0, -height % spacing), (0, -width % spacing), (0, 0))
    wide = jnp.pad(features, missing)
    rows, columns = wide.shape[1] // spacing, wide.shape[2] // spacing
    split = wide.reshape(batch, rows, spacing, columns, spacing, channels)
    return split.transpose(0, 2, 4, 1, 3, 5).reshape(-1, rows, columns, channels)


def _from_phases(volume: jax.Array, spacing: int) -> jax.Array:
    _, rows, columns, shifts = volume.shape
    split = volume.reshape(-1, spacing, spacing, rows, columns, shifts)
    together = split.transpose(0, 3, 1, 4, 2, 5)
    return together.reshape(-1, rows * spacing, columns * spacing, shifts)
