"""Losses of what happens when: is there an event, and where are its two ends. Nothing is reduced.

References:
    Lin et al., Focal loss for dense object detection, ICCV 2017; Zheng et al., Distance-IoU loss,
    AAAI 2020, here on a line, as in Zhang, Wu and Li, ActionFormer, ECCV 2022.
"""

import jax
import jax.numpy as jnp

from jaxmotion.motion.shapes import promoted

__all__ = ["focal", "span_distance"]


def focal(
    logits: jax.Array, targets: jax.Array, *, alpha: float = 0.25, gamma: float = 2.0
) -> jax.Array:
    """Cross entropy of yes or no, in which what is clear already weighs little.

    Args:
        logits: `[...]`, above 0 for yes.
        targets: `[...]`, above 0 where yes is right.
        alpha: weight of yes; that of no is 1 - alpha.
        gamma: power of the probability of the wrong answer by which each is weighed.

    Returns:
        `[...]`: -w (1 - p)^gamma log p, p the probability of the right answer.

    Raises:
        ValueError: for shapes that do not belong together.
    """
    if targets.shape != logits.shape:
        raise ValueError(f"targets must have shape {logits.shape} of logits; got {targets.shape}")
    (logits,) = promoted(logits)
    right = jnp.where(targets > 0, logits, -logits)
    weight = jnp.where(targets > 0, alpha, 1 - alpha)
    # (1 - p)^gamma from its logarithm: its gradient is finite where p is 1.
    return weight * jnp.exp(-gamma * jax.nn.softplus(right)) * jax.nn.softplus(-right)


def span_distance(found: jax.Array, true: jax.Array) -> jax.Array:
    """How far spans are from the true ones: 1 - IoU + (distance of their middles / hull)².

    The hull is the shortest span that holds both. The second part draws spans nearer that share
    nothing yet.

    Args:
        found: `[..., 2]`, start and stop, start < stop.
        true: `[..., 2]`, the same.

    Returns:
        `[...]`, from 0 to 2.

    Raises:
        ValueError: for shapes that do not belong together.
    """
    if found.shape != true.shape or found.shape[-1] != 2:
        raise ValueError(f"spans of shapes {found.shape} and {true.shape}: expected [..., 2] twice")
    found, true = promoted(found, true)
    shared = jnp.minimum(found[..., 1], true[..., 1]) - jnp.maximum(found[..., 0], true[..., 0])
    shared = jnp.maximum(shared, 0)
    lengths = [jnp.maximum(spans[..., 1] - spans[..., 0], 0) for spans in (found, true)]
    either = lengths[0] + lengths[1] - shared
    hull = jnp.maximum(found[..., 1], true[..., 1]) - jnp.minimum(found[..., 0], true[..., 0])
    apart = (found.sum(axis=-1) - true.sum(axis=-1)) / 2
    tiny = jnp.finfo(found.dtype).tiny ** 0.5
    return 1 - shared / jnp.maximum(either, tiny) + (apart / jnp.maximum(hull, tiny)) ** 2
