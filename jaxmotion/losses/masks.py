"""Losses of masks alone: their entropy, and their share of foreground.

Shapes and types are those of `losses.segmentation`.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.shapes import check_shapes, promoted
from jaxmotion.motion.spatial import coordinates

__all__ = ["background_prior", "entropy"]


def entropy(masks: chex.Array, *, valid: chex.Array | None = None) -> jax.Array:
    """Mean entropy of the pixels' segment probabilities, in nats.

    Args:
        masks: `[B, T, H, W, K]`, probabilities of the segments.
        valid: optional `[B, T, H, W]` in {0, 1}; pixels at 0 do not count.

    Returns:
        `[B]`, between 0 and log K.
    """
    check_shapes(masks=(masks, "B T H W K"), valid=(valid, "B T H W"))
    (masks,) = promoted(masks)
    positive = masks > 0
    logs = jnp.log(jnp.where(positive, masks, 1.0))
    pixel = -jnp.sum(jnp.where(positive, masks * logs, 0.0), axis=-1)
    known = known_pixels(masks, valid)
    total = jnp.sum(jnp.where(known > 0, pixel, 0.0), axis=(1, 2, 3))
    return total / jnp.maximum(jnp.sum(known, axis=(1, 2, 3)), 1.0)


def background_prior(
    masks: chex.Array,
    *,
    foreground_cost: float | jax.Array = 0.0,
    border_cost: float | jax.Array = 0.0,
    valid: chex.Array | None = None,
) -> jax.Array:
    """Cost of the pixels outside the first mask, the background.

    A prior by which the background is more likely: a pixel leaves it only where another motion
    explains it better by this much. The cost may rise toward the border of the frame, with the
    fourth power of the distance from the center. Who films an object keeps it in the frame; water,
    ground and branches close to the camera reach over its border.

    Args:
        masks: `[B, T, H, W, K]`, probabilities; the first is the background.
        foreground_cost: cost of a pixel outside the background, wherever it is, in the unit of the
            loss that it is added to.
        border_cost: further cost on the border of the frame; none at its center.
        valid: optional `[B, T, H, W]` in {0, 1}; pixels at 0 do not count.

    Returns:
        `[B]`: the mean over valid pixels of cost * (1 - m_0). With a `foreground_cost` of 1 alone
        it is the share of the foreground.

    References:
        -log p(z) of thesis eq. 2.9, which has a uniform prior in the thesis.
    """
    check_shapes(
        masks=(masks, "B T H W K"),
        valid=(valid, "B T H W"),
        foreground_cost=(foreground_cost, ""),
        border_cost=(border_cost, ""),
    )
    (masks,) = promoted(masks)
    y, x = (np.abs(coordinates(size)) for size in masks.shape[2:4])
    distance = jnp.asarray(np.maximum(y[:, None], x), masks.dtype)
    cost = foreground_cost + border_cost * distance**4
    known = known_pixels(masks, valid)
    total = jnp.sum(jnp.where(known > 0, cost * (1 - masks[..., 0]), 0.0), axis=(1, 2, 3))
    return total / jnp.maximum(jnp.sum(known, axis=(1, 2, 3)), 1.0)


def known_pixels(like: chex.Array, valid: chex.Array | None) -> jax.Array:
    """Weights that are 1 where `valid` is positive, else 0.

    Args:
        like: `[..., C]`, an array of the type that is wanted.
        valid: `[...]`; None for 1 everywhere.

    Returns:
        The weights, `[...]`.
    """
    if valid is None:
        return jnp.ones(like.shape[:-1], like.dtype)
    return (jnp.asarray(valid) > 0).astype(like.dtype)
