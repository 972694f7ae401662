"""Saliency maps: how much the flow of a region differs from what its surroundings would do."""

import jax
import jax.numpy as jnp

from jaxmotion.motion import MotionModel
from jaxmotion.motion.inpainting import inpaint


def saliency_map(
    flow: jax.Array,
    mask: jax.Array,
    model: MotionModel | None = None,
    *,
    rate: float = 0.15,
    valid: jax.Array | None = None,
) -> jax.Array:
    """Maps how far masked flow is from the motion of the rest of its frame.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        mask: `[B, T, H, W]` in [0, 1], the salient region.
        model: the motion model of the rest; affine where it is None.
        rate: saliency per pixel per frame. The default is that of the thesis, for flow of 854×480
            video; it belongs to a resolution and a frame rate.
        valid: optional `[B, T, H, W]` in {0, 1}; pixels at 0 have no saliency.

    Returns:
        `[B, T, H, W]` in [0, 1]: `mask * (1 - exp(-rate * |inpainted - flow|))`.

    Raises:
        ValueError: for shapes that do not match.

    References:
        Thesis eq. 5.6.
    """
    if valid is not None:
        flow = jnp.where(valid[..., None] > 0, flow, 0)
        mask = jnp.where(valid > 0, mask, 0)
    rest = inpaint(flow, jnp.ones_like(mask), model, support=1 - mask, valid=valid)
    return mask * (1 - jnp.exp(-rate * jnp.linalg.norm(rest - flow, axis=-1)))
