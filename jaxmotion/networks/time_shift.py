"""Frames beside each other: the view of a network with a reach in time on the frames around."""

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from jaxmotion.motion.sharding import devices_along


def shift_time(x: jax.Array, step: int) -> jax.Array:
    """The frame ``step`` later of `[B, T, ...]`, for every frame; 0 past the ends.

    Where devices share the frames, each hands ``abs(step)`` of them to its neighbor, and nothing
    else moves. This is said explicitly: of a rotation or a slice, XLA for TPU makes an exchange of
    all frames among all devices.

    Args:
        x: features of the frames, `[B, T, ...]`.
        step: number of frames to look ahead, or back where negative.
    """
    devices = devices_along("time", x.shape[1])
    if devices > 1 and 0 < abs(step) <= x.shape[1] // devices:
        clips = "data" if devices_along("data", x.shape[0]) > 1 else None
        spec = PartitionSpec(clips, "time")
        exchange = jax.shard_map(
            lambda part: _shift_with_neighbor(part, step, devices), in_specs=spec, out_specs=spec
        )
        return exchange(x)
    return _shift(x, step)


def _shift(x: jax.Array, step: int) -> jax.Array:
    """`shift_time` on one device."""
    if not isinstance(x.shape[1], int):  # of an exported program that is for many lengths
        reach = abs(step)
        wide = jnp.pad(x, [(0, 0), (reach, reach)] + [(0, 0)] * (x.ndim - 2))
        return jax.lax.slice_in_dim(wide, reach + step, reach + step + x.shape[1], axis=1)
    step = max(-x.shape[1], min(step, x.shape[1]))
    widths = [(0, 0, 0)] * x.ndim
    widths[1] = (-step, step, 0)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), widths)


def _shift_with_neighbor(part: jax.Array, step: int, devices: int) -> jax.Array:
    """`shift_time` of the frames of one device of many; the outermost receive zeros."""
    frames = part.shape[1]
    if step > 0:
        given = jax.lax.slice_in_dim(part, 0, step, axis=1)
        to = [(device, device - 1) for device in range(1, devices)]
    else:
        given = jax.lax.slice_in_dim(part, frames + step, frames, axis=1)
        to = [(device, device + 1) for device in range(devices - 1)]
    received = jax.lax.ppermute(given, "time", to)
    if step > 0:
        kept = jax.lax.slice_in_dim(part, step, frames, axis=1)
        return jnp.concatenate([kept, received], axis=1)
    kept = jax.lax.slice_in_dim(part, 0, frames + step, axis=1)
    return jnp.concatenate([received, kept], axis=1)


def beside(x: jax.Array, reach: int) -> jax.Array:
    """Features of each frame with those of the frames around it, earliest first, 0 past the ends.

    Args:
        x: features `[B, T, H, W, C]`.
        reach: number of frames to each side.

    Returns:
        The features side by side, `[B, T, H, W, (2 * reach + 1) * C]`.
    """
    if reach == 0:
        return x
    shifted = [shift_time(x, step) for step in range(-reach, reach + 1)]
    return jnp.concatenate(shifted, axis=-1)
