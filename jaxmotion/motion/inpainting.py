"""`inpaint`: the flow as it would be without what a mask covers; `frame_motion`, for one frame."""

import functools

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxmotion.motion.fitting import Adjoint, fit
from jaxmotion.motion.flow import parametric_flow
from jaxmotion.motion.model import MotionModel
from jaxmotion.motion.names import PenaltyName
from jaxmotion.motion.penalty import Penalty
from jaxmotion.motion.shapes import check_shapes

# A fill is looked at, not only differentiated: within 0.01 % of the least objective (see `fit`).
_PASSES = 8

FRAME_MOTION = MotionModel(spatial="quadratic")
"""What a camera makes of most scenes in one frame."""


@functools.partial(jax.jit, static_argnames=("model", "penalty", "adjoint"))
def inpaint(
    flow: jax.Array,
    mask: jax.Array,
    model: MotionModel | None = None,
    *,
    support: jax.Array | None = None,
    penalty: Penalty | PenaltyName = "l1",
    valid: jax.Array | None = None,
    adjoint: Adjoint = "stop",
) -> jax.Array:
    """Fills masked flow with the motion of the rest of its frame.

    A motion model is fitted to the support, each frame by itself, and takes the place of the flow
    in proportion to the mask: `(1 - mask) * flow + mask * fitted`. With a mask of zeros the flow
    comes back as it is. With a mask of ones there is no support, and the fill is zero.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        mask: `[B, T, H, W]` in [0, 1], share of each pixel that is filled.
        model: motion model of a frame (static); affine where it is None. Its temporal part is
            not used.
        support: `[B, T, H, W]`, non-negative weights of the pixels that the model is fitted to;
            `1 - mask` where it is None.
        penalty: distance that the fit minimizes, a name of `residual_penalty` or a `Penalty`.
        valid: optional `[B, T, H, W]` in {0, 1}. Pixels at 0 are in no support, whatever the flow
            holds there, and are filled like masked ones.
        adjoint: kind of the gradient of the fitted motion, as in `fit`. "stop" leaves that of the
            blend alone. The fill depends on the mask through the fit as well, so "implicit" is the
            exact gradient.

    Returns:
        `[B, T, H, W, 2]`, in the flow's unit.

    Raises:
        ValueError: for shapes that do not match, or an unknown option.

    References:
        Thesis eq. 6.7-6.10.
    """
    check_shapes(
        flow=(flow, "B T H W 2"),
        mask=(mask, "B T H W"),
        support=(support, "B T H W"),
        valid=(valid, "B T H W"),
    )
    model = MotionModel(spatial="affine") if model is None else model
    model = MotionModel(spatial=model.spatial)
    support = 1 - mask if support is None else support
    if valid is not None:
        flow = jnp.where(valid[..., None] > 0, flow, 0)
        support = jnp.where(valid > 0, support, 0)
        mask = jnp.where(valid > 0, mask, 1)

    def frames(array: jax.Array) -> jax.Array:  # each a clip of its own
        return array.reshape(-1, 1, *array.shape[2:])

    theta = fit(
        frames(flow),
        frames(support)[..., None],
        model,
        penalty=penalty,
        passes=_PASSES,
        adjoint=adjoint,
    ).theta
    fitted = parametric_flow(model, theta, (1, *flow.shape[2:4])).reshape(flow.shape)
    return (1 - mask[..., None]) * flow + mask[..., None] * fitted


def frame_motion(flow: ArrayLike, support: ArrayLike) -> jax.Array:
    """Computes the robust quadratic motion of a part of one frame, extended over the frame.

    Frames go through it one at a time, so that one compiled program serves all who need it, in
    whatever numbers.

    Args:
        flow: `[H, W, 2]`, pixels per frame.
        support: `[H, W]`, non-negative weights of the pixels that count; zeros give no motion.

    Returns:
        `[H, W, 2]`, pixels per frame.

    Raises:
        ValueError: for shapes that do not match.
    """
    frames, weights = (jnp.asarray(array, jnp.float32)[None, None] for array in (flow, support))
    everywhere = jnp.ones(frames.shape[:-1])
    return inpaint(frames, everywhere, FRAME_MOTION, support=weights, valid=everywhere)[0, 0]
