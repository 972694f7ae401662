"""Losses of flow that a network does not see, and of the vector that it is decoded from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmotion.motion.global_motion import global_flow

_LEAST_SCALE = 0.01  # pixels per frame: below, errors are those of the flow, and count as such


class HiddenFlowErrors(NamedTuple):
    """Errors of reconstructed clips, each `[B]`, in mean values of the clip.

    Attributes:
        flow: mean absolute error of the hidden flow, over the mean absolute residual of the clip.
        camera: mean absolute error of the coefficients of all frames, over the mean absolute flow.
        unfilled: ``flow`` of a network that takes each frame to move as a whole.
    """

    flow: jax.Array
    camera: jax.Array
    unfilled: jax.Array


def errors(
    residual: jax.Array,
    camera: jax.Array,
    flow: jax.Array,
    valid: jax.Array,
    hidden: jax.Array,
    theta: jax.Array,
) -> HiddenFlowErrors:
    """Compares flow that was found with the truth.

    Args:
        residual: `[B, T, H, W, 2]`, flow without the motion of its frame, as it was found.
        camera: `[B, T, 12]`, theta of the motion of each frame, as it was found.
        flow: `[B, T, H, W, 2]`, true flow, pixels per frame.
        valid: `[B, T, H, W]` in {0, 1}, where it is known.
        hidden: bool `[B, T, H, W]`, where the network did not see it.
        theta: `[B, T, 12]`, true motion of the frames.
    """
    height, width = flow.shape[2:4]
    true, axes = flow - global_flow(theta, height, width), (1, 2, 3)

    def mean(vectors: jax.Array, weight: jax.Array) -> jax.Array:
        total = jnp.sum(jnp.mean(jnp.abs(vectors), axis=-1) * weight, axis=axes)
        return total / jnp.maximum(jnp.sum(weight, axis=axes), 1)

    hidden = hidden.astype(flow.dtype)
    scale = jnp.maximum(mean(true, valid), _LEAST_SCALE)
    speed = jnp.maximum(mean(flow, valid), _LEAST_SCALE)
    frames = jnp.any(valid > 0, axis=(2, 3)).astype(flow.dtype)
    off = jnp.sum(jnp.mean(jnp.abs(camera - theta), axis=-1) * frames, axis=1)
    return HiddenFlowErrors(
        mean(residual - true, hidden) / scale,
        off / jnp.maximum(jnp.sum(frames, axis=1), 1) / speed,
        mean(true, hidden) / scale,
    )


def divergences(mean: jax.Array, log_variance: jax.Array) -> jax.Array:
    """Kullback-Leibler divergence of normal distributions from the standard one.

    Args:
        mean: means, of any shape.
        log_variance: logarithms of the variances, of that shape.

    Returns:
        Nats, of that shape.

    References:
        Kingma and Welling, Auto-encoding variational Bayes, ICLR 2014, appendix B.
    """
    return 0.5 * (jnp.exp(log_variance) + jnp.square(mean) - 1 - log_variance)
