"""Tubes: the parts of a clip that are hidden from a network, the same squares in many frames."""

import jax
import jax.numpy as jnp

from jaxmotion.data.augmentation import known_only
from jaxmotion.losses.photometric import warp
from jaxmotion.tasks.masked_config import TubesConfig


def draw_tubes(key: jax.Array, flow: jax.Array, valid: jax.Array, config: TubesConfig) -> jax.Array:
    """Draws what is hidden of each clip.

    A grid of squares, at a place of its own in each clip, has just so many hidden ones. In some
    clips the squares stay where they are, in the others each pixel of them goes where the flow
    takes it.

    Args:
        key: PRNG key of the random draws.
        flow: `[B, T, H, W, 2]`, pixels per frame; what is not valid does not move.
        valid: `[B, T, H, W]` in {0, 1}, where the flow is known.
        config: size, length, share and kind of the tubes.

    Returns:
        bool `[B, T, H, W]`. Frames behind the end of a clip change nothing in those before.
    """
    batch, frames, height, width = valid.shape
    share_key, order_key, place_key, kind_key = jax.random.split(key, 4)
    low, high = config.share
    share = jax.random.uniform(share_key, (batch,), minval=low, maxval=high)
    # One square more than there is room for; those that leave the frame come in again elsewhere.
    grid = tuple(-(-side // config.size) + 1 for side in (height, width))
    bouts = -(-frames // config.frames) if config.frames else 1
    order = jax.random.uniform(order_key, (bouts, batch, grid[0] * grid[1]))
    rank = jnp.argsort(jnp.argsort(order, axis=-1), axis=-1)
    pattern = rank < jnp.round(share[:, None] * grid[0] * grid[1])

    begin = jax.random.uniform(place_key, (batch, 2), maxval=config.size)
    follows = jax.random.bernoulli(kind_key, config.following, (batch,))
    moved = origins(flow, valid) * follows[:, None, None, None, None]
    x, y = jnp.meshgrid(jnp.arange(width), jnp.arange(height))
    place = jnp.stack([x, y], axis=-1) + moved + begin[:, None, None, None]
    column, row = jnp.moveaxis(jnp.floor(place / config.size).astype(jnp.int32), -1, 0)
    cell = (row % grid[0]) * grid[1] + column % grid[1]

    bout = jnp.arange(frames) // config.frames if config.frames else jnp.zeros(frames, int)
    of_frames = pattern[bout].swapaxes(0, 1)  # [B, T, cells]
    hidden = jnp.take_along_axis(of_frames, cell.reshape(batch, frames, -1), axis=2)
    return hidden.reshape(valid.shape)


def origins(flow: jax.Array, valid: jax.Array) -> jax.Array:
    """The way back along the flow from each pixel of each frame to its place in the first frame.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        valid: `[B, T, H, W]` in {0, 1}, where it is known; elsewhere nothing moves.

    Returns:
        `[B, T, H, W, 2]`, pixels; zero in the first frame.
    """
    flow, _ = known_only(flow, valid)

    def step(way: jax.Array, field: jax.Array) -> tuple[jax.Array, jax.Array]:
        following = warp(way, -field)[0] - field
        return following, way

    _, ways = jax.lax.scan(step, jnp.zeros_like(flow[:, 0]), flow.swapaxes(0, 1))
    return jax.lax.stop_gradient(ways.swapaxes(0, 1))
