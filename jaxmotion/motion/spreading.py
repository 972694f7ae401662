"""`nearest_known`: what is known of a frame, spread over what is not."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.shapes import check_shapes

_NOWHERE = 1e6  # coordinates of a pixel that has found none yet


@jax.jit
def nearest_known(values: jax.Array, known: jax.Array) -> jax.Array:
    """Gives every unknown pixel the values of the nearest known one of its frame.

    It is found by jump flooding: each pixel asks eight others, at half the distance each time, for
    the nearest one that they know of. Some pixels get one a little farther than the nearest. There
    is no gather, and frames may be shared by devices.

    Args:
        values: `[B, T, H, W, C]`; what they are where they are not known does not matter.
        known: `[B, T, H, W]`, above 0 where they are known.

    Returns:
        `[B, T, H, W, C]` float32; 0 in a frame of which nothing is known.

    Raises:
        ValueError: for shapes that do not belong together.

    References:
        Rong and Tan, Jump flooding in GPU with applications to Voronoi diagram and distance
        transform, I3D 2006.
    """
    check_shapes(values=(values, "B T H W C"), known=(known, "B T H W"))
    height, width = values.shape[-3:-1]
    place = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"), axis=-1)
    place = jnp.broadcast_to(place.astype(jnp.float32), (*known.shape, 2))
    inside = known[..., None] > 0
    found = jnp.concatenate(
        [jnp.where(inside, place, _NOWHERE), jnp.where(inside, values, 0)], axis=-1
    ).astype(jnp.float32)

    def distance(found: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(found[..., :2] - place), axis=-1, keepdims=True)

    def ask(found: jax.Array, step: jax.Array) -> tuple[jax.Array, None]:
        for down, right in np.ndindex(3, 3):
            # Around the edge: what is known there is far away, and loses.
            other = jnp.roll(found, (step * (down - 1), step * (right - 1)), axis=(2, 3))
            found = jnp.where(distance(other) < distance(found), other, found)
        return found, None

    longest = int(np.ceil(np.log2(max(height, width, 2))))
    steps = jnp.asarray([*(2**k for k in reversed(range(longest))), 1])
    found, _ = jax.lax.scan(ask, found, steps)
    return found[..., 2:]
