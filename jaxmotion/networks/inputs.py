"""What a network sees of a flow field: named choices of input normalisation."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from jaxmotion.motion import MotionModel, fit, parametric_flow
from jaxmotion.motion.shapes import check_shapes
from jaxmotion.networks.norm import block_mean
from jaxmotion.networks.parts import fold_time, unfold_time

InputKind = Literal["raw", "scaled", "residual", "raw_and_residual"]
INPUT_KINDS: tuple[str, ...] = get_args(InputKind)

_GLOBAL_MOTION = MotionModel(spatial="quadratic", temporal="constant")


def network_input(
    flow: jax.Array, kind: InputKind, valid: jax.Array | None = None, frames: int = 1
) -> jax.Array:
    """Prepares flow for a network. No gradient passes through it.

    Args:
        flow: ``[B, T, H, W, 2]``, pixels per frame.
        kind: ``"raw"``: pixels per frame, as published (thesis §2.4.1);
            ``"scaled"``: over its mean absolute value, so that speed does not matter;
            ``"residual"``: minus a robust (L1) quadratic fit to each whole frame, then scaled, so
            that adding any global quadratic motion changes nothing either (theorem 1, exactly);
            with vectors compressed to a length of log(1 + length), and that length as the last
            channel: it is the length, not the direction, that tells what moves by itself;
            ``"raw_and_residual"``: both scaled ones, 5 channels.
        valid: ``[B, T, H, W]`` in {0, 1}; unknown pixels enter as 0 and count in no scale.
        frames: frames that share one scale (`norm.block_mean`).

    Returns:
        ``[B, T, H, W, C]`` float32; C is 2, 3 or 5.

    Raises:
        ValueError: for an unknown kind, or shapes that do not belong together.
    """
    check_shapes(flow=(flow, "B T H W 2"), valid=(valid, "B T H W"))
    flow = jax.lax.stop_gradient(flow.astype(jnp.float32))
    if valid is not None:  # not a product: 0 * NaN is NaN
        valid = (valid > 0).astype(jnp.float32)
        flow = jnp.where(valid[..., None] > 0, flow, 0)
    match kind:
        case "raw":
            return flow
        case "scaled":
            return _scaled(flow, valid, frames)
        case "residual":
            return _with_length(_scaled(global_residual(flow, valid), valid, frames))
        case "raw_and_residual":
            residual = _with_length(_scaled(global_residual(flow, valid), valid, frames))
            return jnp.concatenate([_scaled(flow, valid, frames), residual], axis=-1)
    raise ValueError(f"network input {kind!r}: expected one of {', '.join(INPUT_KINDS)}")


def global_residual(flow: jax.Array, valid: jax.Array | None = None) -> jax.Array:
    """Flow minus the robust (L1) quadratic motion of each whole frame; 0 where not valid.

    Args:
        flow: ``[B, T, H, W, 2]``; what it holds where it is not valid does not matter.
        valid: ``[B, T, H, W]`` in {0, 1}.

    Returns:
        ``[B, T, H, W, 2]``.

    Raises:
        ValueError: for shapes that do not belong together.
    """
    check_shapes(flow=(flow, "B T H W 2"), valid=(valid, "B T H W"))
    num_frames, height, width = flow.shape[1:4]
    frames = fold_time(flow)[:, None]
    frame_valid = None if valid is None else fold_time(valid)[:, None]
    everything = jnp.ones((*frames.shape[:-1], 1), flow.dtype)
    theta = fit(frames, everything, _GLOBAL_MOTION, penalty="l1", valid=frame_valid).theta
    residual = frames - parametric_flow(_GLOBAL_MOTION, theta, (1, height, width))[:, 0]
    residual = jax.lax.stop_gradient(unfold_time(residual[:, 0], num_frames))
    return residual if valid is None else jnp.where(valid[..., None] > 0, residual, 0)


def _scaled(flow: jax.Array, valid: jax.Array | None, frames: int) -> jax.Array:
    """Flow over the mean absolute value of its block of frames (a still one stays 0)."""
    if valid is None:
        valid = jnp.ones(flow.shape[:-1])
    count = jnp.sum(valid, axis=(2, 3))[..., None]
    absolute = jnp.sum(jnp.mean(jnp.abs(flow), axis=-1) * valid, axis=(2, 3))[..., None]
    mean = block_mean(absolute / jnp.maximum(count, 1), count, frames)
    return flow / jnp.maximum(mean, 1e-6)[:, :, None, None]


def _with_length(flow: jax.Array) -> jax.Array:
    """Flow with its lengths compressed by log(1 + length), and these lengths as a last channel."""
    length = jnp.linalg.norm(flow, axis=-1, keepdims=True)
    compressed = jnp.log1p(length)
    return jnp.concatenate([flow * compressed / jnp.maximum(length, 1e-6), compressed], axis=-1)
