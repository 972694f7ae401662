"""Correlation of two frames' features, and its lookup around where each pixel is thought to go.

The lookup reads, at every level of a pyramid, a window of `(2 radius + 1)²` correlations between
a feature of the first frame and those of the second around the pixel's current match. All windows
of a level lie at integer distances from one another, so one pixel's whole window needs
`(2 radius + 2)²` correlations and four weights.

Two ways give the same numbers. `AllPairs` computes every correlation once: fast, but its memory
grows with the square of the number of pixels. `OnDemand` keeps the features and correlates the
windows at each lookup: more work, memory that grows with the number of pixels.

References:
    Teed and Deng, RAFT: recurrent all-pairs field transforms for optical flow, ECCV 2020, sect.
    3.2.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

LEVELS = 4
_CHUNK = 64  # pixels that `OnDemand` correlates at a time: their windows fit a cache

Level = tuple[jax.Array, tuple[int, ...]]  # what belongs to a level, and its (height, width)


def pyramid_bytes(height: int, width: int) -> int:
    """Memory of the all-pairs correlations of a pair of frames.

    Args:
        height: number of rows of the frames.
        width: number of columns of the frames.

    Returns:
        Bytes, float32, of all levels.
    """
    height, width = -(-height // 8), -(-width // 8)
    levels = sum((height >> level) * (width >> level) for level in range(LEVELS))
    return 4 * height * width * levels


class AllPairs:
    """Every correlation of one frame's features with those of the other, at four scales."""

    def __init__(self, features0: jax.Array, features1: jax.Array, radius: int):
        """Correlates the features.

        Args:
            features0: features of the first frame, `[B, H, W, C]`.
            features1: features of the second frame, `[B, H, W, C]`; at least 8 x 8.
            radius: radius of the windows, in pixels of each level.
        """
        self.radius = radius
        queries = _flat(features0)
        # Pooling the features and then correlating is pooling the correlations, for less work.
        self.levels: list[Level] = [
            (_correlate("bnc,bmc->bnm", queries, _flat(pooled)), pooled.shape[1:3])
            for pooled in _pyramid(features1)
        ]

    def __call__(self, match: jax.Array) -> jax.Array:
        """Looks the windows up.

        Args:
            match: position in the second frame of each pixel of the first, (x, y), `[B, H, W, 2]`.

        Returns:
            `[B, H, W, levels * (2 radius + 1)²]`, in each window x outermost; zero outside.
        """
        matches = match.reshape(match.shape[0], -1, 2)

        def look_up(correlations: jax.Array, window: _Window) -> jax.Array:
            index = window.index.reshape(*window.index.shape[:2], -1)
            found = jnp.take_along_axis(correlations, index, axis=2, mode="promise_in_bounds")
            return found.reshape(window.index.shape)

        windows = [
            _interpolate(look_up(correlations, window), window)
            for correlations, window in _windows(self.levels, matches, self.radius)
        ]
        return jnp.concatenate(windows, axis=-1).reshape(*match.shape[:3], -1)


class OnDemand:
    """Correlations of the windows only, computed at each lookup and in small pieces.

    The numbers are those of `AllPairs`.
    """

    def __init__(self, features0: jax.Array, features1: jax.Array, radius: int):
        """Keeps the features; the arguments are those of `AllPairs`."""
        self.radius = radius
        self.queries = _flat(features0)
        self.levels: list[Level] = [
            (_flat(pooled), pooled.shape[1:3]) for pooled in _pyramid(features1)
        ]

    def __call__(self, match: jax.Array) -> jax.Array:
        """Correlates and looks up; argument and result are those of `AllPairs.__call__`."""
        batch, height, width, _ = match.shape
        num_pixels = height * width
        num_chunks = math.ceil(num_pixels / _CHUNK)

        def chunked(x: jax.Array) -> jax.Array:
            x = jnp.pad(x, ((0, 0), (0, num_chunks * _CHUNK - num_pixels), (0, 0)))
            return jnp.moveaxis(x.reshape(batch, num_chunks, _CHUNK, -1), 1, 0)

        def look_up(features: jax.Array, window: _Window, queries: jax.Array) -> jax.Array:
            found = jax.vmap(lambda kept, index: kept.at[index].get(mode="promise_in_bounds"))(
                features, window.index
            )
            return _correlate("bnyxc,bnc->bnyx", found, queries)

        def look_up_chunk(chunk: tuple[jax.Array, jax.Array]) -> jax.Array:
            queries, matches = chunk
            windows = [
                _interpolate(look_up(features, window, queries), window)
                for features, window in _windows(self.levels, matches, self.radius)
            ]
            return jnp.concatenate(windows, axis=-1)

        chunks = (chunked(self.queries), chunked(match.reshape(batch, num_pixels, 2)))
        found = jnp.moveaxis(jax.lax.map(look_up_chunk, chunks), 0, 1)
        found = found.reshape(batch, num_chunks * _CHUNK, -1)[:, :num_pixels]
        return found.reshape(batch, height, width, -1)


class _Window(NamedTuple):
    """The correlations that one level's windows need, S = 2 radius + 2 in each direction.

    Attributes:
        index: indices of the second frame's pixels, counted row by row, `[B, N, S (y), S (x)]`.
        inside: whether each of them exists, `[B, N, S, S]`; the others point at some pixel that
            does.
        fraction: fractional part of the match, (x, y) in [0, 1), `[B, N, 2]`.
    """

    index: jax.Array
    inside: jax.Array
    fraction: jax.Array


def _windows(
    levels: Sequence[Level], matches: jax.Array, radius: int
) -> list[tuple[jax.Array, _Window]]:
    """The windows of all levels around `matches` `[B, N, 2]`, beside what belongs to the level."""
    reach = jnp.arange(-radius, radius + 2)
    windows = []
    for level, (content, (height, width)) in enumerate(levels):
        place = matches / 2**level
        corner = jnp.floor(place)
        # A match may run away arbitrarily far, farther than an integer reaches.
        cell = jnp.clip(corner, -radius - 2, max(height, width) + radius).astype(jnp.int32)
        x, y = cell[..., 0, None] + reach, cell[..., 1, None] + reach
        inside_x, inside_y = (x >= 0) & (x < width), (y >= 0) & (y < height)
        x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
        window = _Window(
            index=y[..., :, None] * width + x[..., None, :],
            inside=inside_y[..., :, None] & inside_x[..., None, :],
            fraction=place - corner,
        )
        windows.append((content, window))
    return windows


def _interpolate(found: jax.Array, window: _Window) -> jax.Array:
    """Bilinear: `[B, N, S, S]` to `[B, N, (S - 1)²]`, x outermost as in the published weights."""
    found = jnp.where(window.inside, found, 0.0)
    x, y = window.fraction[..., 0, None, None], window.fraction[..., 1, None, None]
    found = (1 - y) * found[..., :-1, :] + y * found[..., 1:, :]
    found = (1 - x) * found[..., :-1] + x * found[..., 1:]
    return jnp.swapaxes(found, -1, -2).reshape(*found.shape[:2], -1)


def _pyramid(features: jax.Array) -> list[jax.Array]:
    """Means over 1, 2, 4 and 8 pixels squared; what is left over at the far sides is dropped."""
    pyramid = [features]
    for _ in range(LEVELS - 1):
        batch, height, width, channels = pyramid[-1].shape
        even = pyramid[-1][:, : height // 2 * 2, : width // 2 * 2]
        blocks = even.reshape(batch, height // 2, 2, width // 2, 2, channels)
        pyramid.append(blocks.mean(axis=(2, 4)))
    return pyramid


def _flat(features: jax.Array) -> jax.Array:
    """`[B, H, W, C]` to `[B, H·W, C]`."""
    return features.reshape(features.shape[0], -1, features.shape[-1])


def _correlate(contraction: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """Scalar products of features, over the root of their length."""
    products = jnp.einsum(contraction, a, b, precision=jax.lax.Precision.HIGHEST)
    return products / math.sqrt(a.shape[-1])
