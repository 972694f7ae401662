"""The frame classifier: does anything stand out in a flow field?

Blocks of convolution, max pooling, norm and ReLU, then the mean and the maximum of each channel
over the frame, and a dense layer (thesis §5.2.1). A mean alone tells little of what is small. The
norm is an instance norm without learned parameters. Its slope is therefore never negative, so that
it commutes with the maximum: convolution, norm, ReLU, pooling, with the statistics of the pooled
features, is the same function (eq. 5.1, 5.2), and there is no second order of layers for the
interpretation.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.motion.shapes import check_shapes
from jaxmotion.networks.classifier_config import ClassifierConfig, ClassifierInput
from jaxmotion.networks.inputs import INPUT_CHANNELS, network_features
from jaxmotion.networks.norm import known_share, normalize, shrink
from jaxmotion.networks.parts import Conv, MaxPool
from jaxmotion.networks.unet import pad_to_multiple

CHANNELS: dict[str, int] = {
    "residual": INPUT_CHANNELS["residual"],
    "raw_and_residual": INPUT_CHANNELS["raw_and_residual"],
    "directions": 6,
}
"""Channels of the features that each kind of input gives."""


def classifier_features(
    flow: jax.Array, residual: jax.Array, kind: ClassifierInput, valid: jax.Array
) -> jax.Array:
    """Prepares flow for a frame classifier.

    A gradient passes through ``"directions"`` alone, and is finite where nothing moves.

    Args:
        flow: `[B, T, H, W, 2]`, pixels per frame.
        residual: `[B, T, H, W, 2]`, the flow without its global motion (`motion.global_residual`).
        kind: kind of the features. ``"residual"`` and ``"raw_and_residual"`` are those of
            `network_features`. ``"directions"``: the residual, over its mean absolute value in the
            frame and compressed to a length of log(1 + length), by its parts along and across the
            global motion of the place, then along and across the mean residual of the frame; its
            length; and log(1 + length) of the global motion on the same scale. Where a camera
            moves through a still scene, near things move along the global motion, faster, and
            nothing moves across it; and in a crowd people move along what is common to them. A
            convolution cannot turn a vector by another one.
        valid: `[B, T, H, W]` in {0, 1}, where the flow is known; elsewhere features are 0.

    Returns:
        `[B, T, H, W, C]` float32, C as `CHANNELS` has it.

    Raises:
        ValueError: for shapes that do not belong together.
    """
    if kind != "directions":
        return network_features(flow, kind, residual=residual, valid=valid)
    check_shapes(
        flow=(flow, "B T H W 2"), residual=(residual, "B T H W 2"), valid=(valid, "B T H W")
    )
    known = (valid > 0)[..., None]
    flow, residual = (jnp.where(known, a.astype(jnp.float32), 0) for a in (flow, residual))

    def total(values: jax.Array) -> jax.Array:
        return jnp.sum(values, axis=(2, 3), keepdims=True)

    absolute = jnp.mean(jnp.abs(residual), axis=-1, keepdims=True)
    scale = jnp.maximum(total(absolute) / jnp.maximum(total(known), 1), 1e-6)
    motion, residual = (flow - residual) / scale, residual / scale
    speed, length = _length(motion), _length(residual)
    compressed = residual * jnp.log1p(length) / jnp.maximum(length, 1e-6)
    mean = total(length * residual)
    parts = []
    for direction in (motion, mean):
        x, y = jnp.split(direction / jnp.maximum(_length(direction), 1e-6), 2, axis=-1)
        u, v = jnp.split(compressed, 2, axis=-1)
        parts += [u * x + v * y, v * x - u * y]
    features = jnp.concatenate([*parts, jnp.log1p(length), jnp.log1p(speed)], axis=-1)
    return jnp.where(known, features, 0)


def _length(vectors: jax.Array) -> jax.Array:
    """Lengths `[..., 1]`, with a gradient of zero where they are zero."""
    square = jnp.sum(jnp.square(vectors), axis=-1, keepdims=True)
    there = square > 0
    return jnp.where(there, jnp.sqrt(jnp.where(there, square, 1)), 0)


class FrameNorm(nn.Module):
    """Zero mean and unit variance of each channel of a frame; nothing is learned."""

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        """Normalizes `[B, T, H, W, C]` with known shares `[B, T, H, W, 1]`."""
        return normalize(x, weight, 1)


class MeanPool(nn.Module):
    """The mean of each channel over the known part of a frame."""

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        """Maps `[B, T, H, W, C]` with known shares `[B, T, H, W, 1]` to `[B, T, C]`."""
        return jnp.sum(x * mean_weights(x, weight), axis=(2, 3))


def _peak(x: jax.Array) -> jax.Array:
    """The maximum of each channel over a frame, `[B, T, C]` of `[B, T, H, W, C]`.

    The derivative goes to the place where it is. That of `jnp.max` looks for the places that are
    equal to it; where XLA computes a value twice, and rounds it in two ways, there is none.
    """
    places = x.reshape(*x.shape[:2], -1, x.shape[-1])
    place = jnp.argmax(places, axis=2, keepdims=True)
    return jnp.take_along_axis(places, place, axis=2)[:, :, 0]


def mean_weights(x: jax.Array, weight: jax.Array | None) -> jax.Array:
    """The weights of pixels in the mean of a frame.

    Args:
        x: features `[B, T, H, W, C]`.
        weight: known share of each pixel, `[B, T, H, W, 1]`; None for all known.

    Returns:
        `[B, T, H, W, 1]`, which sum to 1 over each frame of which something is known.
    """
    if weight is None:
        return jnp.full((*x.shape[:4], 1), 1 / (x.shape[2] * x.shape[3]), x.dtype)
    return weight / jnp.maximum(jnp.sum(weight, axis=(2, 3), keepdims=True), 1e-6)


class FlowClassifier(nn.Module):
    """Features of frames to the logit that something in them moves on its own.

    Attributes:
        config: channels and extents of the blocks.
        dtype: compute type; parameters stay float32.
    """

    config: ClassifierConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array, valid: jax.Array | None = None) -> jax.Array:
        """Classifies frames, each by itself, of any size.

        Args:
            features: `[B, T, H, W, C]`, as `classifier_features` gives them.
            valid: `[B, T, H, W]` in {0, 1}, where the flow is known; None for all known.

        Returns:
            Logits `[B, T]` float32.

        Raises:
            ValueError: for shapes that do not belong together.
        """
        channels = CHANNELS[self.config.input]
        check_shapes(features=(features, f"B T H W {channels}"), valid=(valid, "B T H W"))
        multiple = 2 ** len(self.config.widths)
        x, weight = pad_to_multiple(features, multiple), known_share(valid)
        if weight is not None:
            weight = pad_to_multiple(weight, multiple)
        for width, extent in zip(self.config.widths, self.config.kernels, strict=True):
            x = Conv(width, (1, extent, extent), dtype=self.dtype)(x)
            x, weight = MaxPool()(x), shrink(weight, 2)
            x = nn.relu(FrameNorm()(x, weight))
        # No feature is negative, so that 0 is no more than what is there.
        peak = _peak(x if weight is None else jnp.where(weight > 0, x, 0))
        x = jnp.concatenate([MeanPool()(x, weight), peak], axis=-1)
        return nn.Dense(1, dtype=self.dtype)(x)[..., 0].astype(jnp.float32)


def build_classifier(config: ClassifierConfig) -> FlowClassifier:
    """The linen module that a `ClassifierConfig` describes."""
    return FlowClassifier(config)
