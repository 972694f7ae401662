"""Sums over time with a temporal basis, in blocks: what a frame costs does not grow with the clip.

At a frame only as many functions of a spline are not zero as its degree plus one, and they are
neighbors. In blocks of as many functions as the degree, a frame therefore meets one block and the
next. What is kept of the basis, and what is computed with it, is linear in the number of frames; a
matrix of all frames and functions would grow with its square.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.banded import rounded
from jaxmotion.motion.lengths import Lengths
from jaxmotion.motion.model import MotionModel

_einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


@dataclasses.dataclass(frozen=True, eq=False)
class Blocks:
    """The temporal functions of a model in N blocks of g neighbors; the last blocks may be empty.

    A clip of few functions is one block. The arrays are numpy's where all clips have the same
    functions; where each has its own, they have a leading axis B.

    Attributes:
        first: `[T]`: the first function that may not be zero at a frame.
        near: `[T, W]`: the functions from there on.
        frames: `[N, F]`: the frames whose first function is in each block, F being enough for all;
            None where there is one block.
        values: `[N, F, 2 g]`: at these frames, the functions of this block and of the next; zero
            where a block has fewer frames. Of one block `[1, T, g]`.
        count: L, number of functions.
        group: g, number of functions of a block.
    """

    first: np.ndarray | jax.Array
    near: np.ndarray | jax.Array
    frames: np.ndarray | jax.Array | None
    values: np.ndarray | jax.Array
    count: int
    group: int

    @staticmethod
    def of(model: MotionModel, num_frames: int, lengths: Lengths = None) -> "Blocks":
        """The blocks of a model's functions.

        Args:
            model: model of the motion of a segment.
            num_frames: T, number of frames of the arrays.
            lengths: number of frames that count, of all clips or of each, `[B]`; T where it is
                None.
        """
        length = num_frames
        if lengths is None or isinstance(lengths, int | np.integer):
            length = num_frames if lengths is None else int(lengths)
            basis = model.local_basis(num_frames, length)
            first, near, count = basis.first, basis.near, basis.count
        else:
            whole = model.temporal_basis(num_frames, lengths)
            count, width = whole.shape[-1], model.most_near(num_frames)
            first = jnp.minimum(jnp.argmax(whole != 0, axis=-1), count - width)
            near = jnp.take_along_axis(whole, first[..., None] + np.arange(width), axis=-1)
        group = max(near.shape[-1] - 1, 1)
        if count <= 2 * group:  # one larger matrix is quicker than several in turn
            values = model.temporal_basis(num_frames, lengths)[..., None, :, :]
            return Blocks(first, near, None, values, count, count)
        if isinstance(first, np.ndarray):
            most = int(np.bincount(first[:length] // group).max())
            frames, values = _blocks(np, first, near, length, count, most)
        else:
            most = min(model.most_frames(group), num_frames)
            of_clip = functools.partial(_blocks, jnp, count=count, most=most)
            frames, values = jax.vmap(of_clip)(first, near, jnp.asarray(lengths))
        return Blocks(first, near, frames, values, count, group)

    @property
    def constant(self) -> bool:
        """Whether the only function is one at every frame: sums with it are sums."""
        one = self.count == 1 and isinstance(self.values, np.ndarray)
        return bool(one and (self.values == 1).all())

    def spread(self, x: jax.Array) -> jax.Array:
        """Combinations of the functions at every frame, `[B, L, M]` -> `[B, T, M]`."""
        if self.constant:
            return jnp.repeat(x, self.values.shape[-2], axis=1)
        x = jax.lax.optimization_barrier(x)
        if self.frames is None:
            return _einsum("btl,blm->btm", _of_clips(self.values[..., 0, :, :], 2, x), x)
        function = self.first[..., None] + np.arange(self.near.shape[-1])
        return jnp.sum(_of_clips(self.near, 2, x)[..., None] * _rows(x, function), axis=2)

    def gather(self, x: jax.Array) -> jax.Array:
        """Sums over time with every function, `[B, T, M]` -> `[B, L, M]`."""
        if self.constant:
            return x.sum(1, keepdims=True)
        sums = _einsum("bcfw,bcfm->bcwm", _of_clips(self.values, 3, x), self._by_block(x))
        sums = jax.lax.optimization_barrier(sums)
        own = sums[:, :, : self.group]
        if self.frames is not None:
            own = own + jnp.pad(sums[:, :-1, self.group :], [(0, 0), (1, 0), (0, 0), (0, 0)])
        return own.reshape(x.shape[0], -1, x.shape[-1])[:, : self.count]

    def products(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Sums over time with every product of two functions that overlap.

        Args:
            x: values of every frame, `[B, T, M]`.

        Returns:
            Products within the blocks, `[N, g, g, B, M]`, and of their functions with those of the
            next block, `[N, g, g, B, M]`; the last of them are zero.
        """
        if self.constant:
            sums = x.sum(1)[None, None, None]
            return sums, jnp.zeros_like(sums)
        own, after = self.values[..., : self.group], self.values[..., self.group :]
        pairs = [(own, own), (own, after), (after, after)]
        pairs = pairs[:1] if self.frames is None else pairs
        table = [left[..., :, None] * right[..., None, :] for left, right in pairs]
        table = (np.stack if isinstance(own, np.ndarray) else jnp.stack)(table, axis=-3)
        sums = _einsum("bcfpij,bcfm->pcijbm", _of_clips(table, 5, x), self._by_block(x))
        sums = jax.lax.optimization_barrier(sums)
        if self.frames is None:
            return sums[0], jnp.zeros_like(sums[0])
        return sums[0] + jnp.pad(sums[2, :-1], [(1, 0)] + [(0, 0)] * 4), sums[1]

    def _by_block(self, x: jax.Array) -> jax.Array:
        """`[B, T, M]` -> `[B, N, F, M]`."""
        return x[:, None] if self.frames is None else _rows(x, self.frames)


def _of_clips(table: np.ndarray | jax.Array, axes: int, x: jax.Array) -> jax.Array:
    """A table of so many axes for every clip of `x`, in its type.

    With the clip as the batch axis of every product XLA finds a form of it for every device.
    """
    return jnp.broadcast_to(jnp.asarray(table, x.dtype), (x.shape[0], *table.shape[-axes:]))


def _rows(x: jax.Array, index: np.ndarray | jax.Array) -> jax.Array:
    """`[B, T, M]` -> `[B, i, j, M]`: rows `[i, j]`, the same of all clips, or `[B, i, j]`."""
    return x[:, index] if index.ndim == 2 else jax.vmap(lambda rows, i: rows[i])(x, index)


def _blocks(xp: Any, first, near, length, count: int, most: int) -> tuple:
    """`frames` and `values` of a clip of `length` frames, made with numpy or its like in JAX."""
    num_frames, width = near.shape
    group = max(width - 1, 1)
    blocks = xp.arange(rounded(-(-count // group)))[:, None]
    # A frame behind the clip is in no block.
    inside = (first // group == blocks) & (xp.arange(num_frames) < length)
    start, size = inside.argmax(1, keepdims=True), inside.sum(1, keepdims=True)
    index = xp.arange(most)
    frames = xp.minimum(start + index, num_frames - 1)
    function = xp.arange(2 * group) - (first[frames] - group * blocks)[..., None]
    known = (function >= 0) & (function < width) & (index < size)[..., None]
    values = xp.take_along_axis(near[frames], xp.clip(function, 0, width - 1), axis=2)
    return frames, xp.where(known, values, 0.0)
