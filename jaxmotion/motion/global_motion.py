"""The motion of a whole frame, and what it leaves of the flow."""

import jax
import jax.numpy as jnp

from jaxmotion.motion.fitting import fit
from jaxmotion.motion.flow import parametric_flow
from jaxmotion.motion.model import MotionModel
from jaxmotion.motion.shapes import check_shapes
from jaxmotion.motion.sharding import fold_time, unfold_time

_GLOBAL_MOTION = MotionModel(spatial="quadratic", temporal="constant")


def fit_global_motion(flow: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    """Robust (L1) quadratic motion of each whole frame. No gradient passes through it.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame; what it holds where it is not valid does not
            matter.
        valid: `[B, T, H, W]` in {0, 1}; None for all known.

    Returns:
        `[B, T, 12]`, the theta of a quadratic `MotionModel` of one frame; zero for a frame of which
        nothing is known.

    Raises:
        ValueError: for shapes that do not belong together.
    """
    check_shapes(flow=(flow, "B T H W 2"), valid=(valid, "B T H W"))
    theta = _theta_of_frames(fold_time(flow)[:, None], valid)[:, 0]
    return jax.lax.stop_gradient(unfold_time(theta, flow.shape[1]))


def global_flow(theta: jax.Array, height: int, width: int) -> jax.Array:
    """Flow of the motion of whole frames.

    Args:
        theta: `[B, T, 12]`, as `fit_global_motion` gives it.
        height: number of rows.
        width: number of columns.

    Returns:
        `[B, T, H, W, 2]`, pixels per frame.
    """
    frames = fold_time(theta)[:, None]
    flow = parametric_flow(_GLOBAL_MOTION, frames, (1, height, width))[:, 0, 0]
    return unfold_time(flow, theta.shape[1])


def global_residual(flow: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    """Flow minus the robust (L1) quadratic motion of each whole frame; 0 where not valid.

    Adding any quadratic motion to a frame changes nothing. No gradient passes through it.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame; what it holds where it is not valid does not
            matter.
        valid: `[B, T, H, W]` in {0, 1}; None for all known.

    Returns:
        `[B, T, H, W, 2]`, pixels per frame.

    Raises:
        ValueError: for shapes that do not belong together.
    """
    check_shapes(flow=(flow, "B T H W 2"), valid=(valid, "B T H W"))
    num_frames, height, width = flow.shape[1:4]
    frames = fold_time(flow)[:, None]
    theta = _theta_of_frames(frames, valid)
    residual = frames - parametric_flow(_GLOBAL_MOTION, theta, (1, height, width))[:, 0]
    residual = jax.lax.stop_gradient(unfold_time(residual[:, 0], num_frames))
    return residual if valid is None else jnp.where(valid[..., None] > 0, residual, 0)


def _theta_of_frames(frames: jax.Array, valid: jax.Array | None) -> jax.Array:
    """Theta `[B·T, 1, 12]` of frames `[B·T, 1, H, W, 2]`, each a clip of its own."""
    frame_valid = None if valid is None else fold_time(valid)[:, None]
    everything = jnp.ones((*frames.shape[:-1], 1), frames.dtype)
    return fit(frames, everything, _GLOBAL_MOTION, penalty="l1", valid=frame_valid).theta
