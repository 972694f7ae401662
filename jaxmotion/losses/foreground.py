"""Losses of a foreground by labels, one value per clip `[B]`."""

import jax
import jax.numpy as jnp

from jaxmotion.motion.shapes import check_shapes

__all__ = ["balanced_cross_entropy"]


def balanced_cross_entropy(
    logits: jax.Array, targets: jax.Array, *, valid: jax.Array | None = None
) -> jax.Array:
    """Cross entropy in which foreground and background weigh the same, however small one is.

    Args:
        logits: `[B, T, H, W]`, above 0 for foreground.
        targets: `[B, T, H, W]`, above 0 where it is foreground.
        valid: `[B, T, H, W]`; pixels at 0 do not count; None counts all.

    Returns:
        `[B]`: the mean of the means over the pixels of both kinds; of one kind alone, its mean; 0
        where no pixel counts.

    Raises:
        ValueError: for shapes that do not belong together.
    """
    axes = "B T H W"
    check_shapes(logits=(logits, axes), targets=(targets, axes), valid=(valid, axes))
    positive = targets > 0
    known = jnp.ones(logits.shape, bool) if valid is None else valid > 0
    entropy = jax.nn.softplus(jnp.where(positive, -logits, logits))
    total, kinds = jnp.zeros(len(logits), entropy.dtype), jnp.zeros(len(logits), entropy.dtype)
    for chosen in (known & positive, known & ~positive):
        count = jnp.sum(chosen, axis=(1, 2, 3), dtype=entropy.dtype)
        total += jnp.sum(jnp.where(chosen, entropy, 0), axis=(1, 2, 3)) / jnp.maximum(count, 1)
        kinds += count > 0
    return total / jnp.maximum(kinds, 1)
