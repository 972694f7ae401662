"""Features that a network sees of a flow field: named choices of input normalization.

Arithmetic alone; the residual that some of them need is prepared beforehand
(`jaxmotion.tasks.observation`).
"""

import jax
import jax.numpy as jnp

from jaxmotion.motion.shapes import check_shapes
from jaxmotion.networks.config import InputKind
from jaxmotion.networks.norm import block_mean

INPUT_CHANNELS: dict[InputKind, int] = {
    "raw": 2,
    "scaled": 2,
    "residual": 3,
    "raw_and_residual": 5,
}
"""Channels of the features that each kind of input gives."""


def needs_residual(kind: InputKind) -> bool:
    """Whether the features hold the residual of a global motion, as their last three channels."""
    return kind in ("residual", "raw_and_residual")


def network_features(
    flow: jax.Array,
    kind: InputKind,
    *,
    residual: jax.Array | None = None,
    valid: jax.Array | None = None,
    frames: int = 1,
) -> jax.Array:
    """Prepares flow for a network. No gradient passes through it.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        kind: kind of the features. ``"raw"``: pixels per frame, as published (thesis §2.4.1);
            ``"scaled"``: over its mean absolute value, so that speed does not matter;
            ``"residual"``: minus a robust (L1) quadratic fit to each whole frame, then scaled, so
            that adding any global quadratic motion changes nothing either (theorem 1, exactly);
            with vectors compressed to a length of log(1 + length), and that length as the last
            channel: it is the length, not the direction, that tells what moves by itself;
            ``"raw_and_residual"``: both scaled ones, 5 channels.
        residual: `[B, T, H, W, 2]`, the flow without that fit (`motion.global_residual`); the
            first two kinds do without.
        valid: `[B, T, H, W]` in {0, 1}, None for all known; unknown pixels enter as 0 and count in
            no scale.
        frames: number of frames that share one scale (`norm.block_mean`).

    Returns:
        `[B, T, H, W, C]` float32; C is 2, 3 or 5 (`INPUT_CHANNELS`).

    Raises:
        ValueError: for an unknown kind, a residual that is missing, or shapes that do not belong
            together.
    """
    if kind not in INPUT_CHANNELS:
        raise ValueError(f"network input {kind!r}: expected one of {', '.join(INPUT_CHANNELS)}")
    check_shapes(
        flow=(flow, "B T H W 2"), residual=(residual, "B T H W 2"), valid=(valid, "B T H W")
    )
    if valid is not None:
        valid = (valid > 0).astype(jnp.float32)
    if not needs_residual(kind):
        flow = _known(flow, valid)
        return flow if kind == "raw" else _scaled(flow, valid, frames)
    if residual is None:
        raise ValueError(f"network input {kind!r}: expected the residual of the flow as well")
    features = _with_length(_scaled(_known(residual, valid), valid, frames))
    if kind == "raw_and_residual":
        features = jnp.concatenate([_scaled(_known(flow, valid), valid, frames), features], axis=-1)
    return features


def _known(flow: jax.Array, valid: jax.Array | None) -> jax.Array:
    """Flow as a constant, 0 where it is not known."""
    flow = jax.lax.stop_gradient(flow.astype(jnp.float32))
    # Not a product: 0 * NaN is NaN.
    return flow if valid is None else jnp.where(valid[..., None] > 0, flow, 0)


def mean_absolute(flow: jax.Array, valid: jax.Array, frames: int) -> jax.Array:
    """The scale of flow: the mean absolute value of the components over a block of frames.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame; finite everywhere.
        valid: float32 `[B, T, H, W]` in {0, 1}, where it is known.
        frames: number of frames that share one scale (`norm.block_mean`).

    Returns:
        `[B, T, 1]`, pixels per frame; 0 for a block of which nothing is known.
    """
    count = jnp.sum(valid, axis=(2, 3))[..., None]
    absolute = jnp.sum(jnp.mean(jnp.abs(flow), axis=-1) * valid, axis=(2, 3))[..., None]
    return block_mean(absolute / jnp.maximum(count, 1), count, frames)


def _scaled(flow: jax.Array, valid: jax.Array | None, frames: int) -> jax.Array:
    """Flow over the mean absolute value of its block of frames (a still one stays 0)."""
    if valid is None:
        valid = jnp.ones(flow.shape[:-1])
    mean = mean_absolute(flow, valid, frames)
    return flow / jnp.maximum(mean, 1e-6)[:, :, None, None]


def _with_length(flow: jax.Array) -> jax.Array:
    """Flow with its lengths compressed by log(1 + length), and these lengths as a last channel."""
    length = jnp.linalg.norm(flow, axis=-1, keepdims=True)
    compressed = jnp.log1p(length)
    return jnp.concatenate([flow * compressed / jnp.maximum(length, 1e-6), compressed], axis=-1)
