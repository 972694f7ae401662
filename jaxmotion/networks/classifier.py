"""The frame classifier: does anything stand out in a flow field?

Blocks of convolution, max pooling, norm and ReLU, and a dense layer (thesis §5.2.1). The norm is an
instance norm without learned parameters. Its slope is therefore never negative, so that it commutes
with the maximum: convolution, norm, ReLU, pooling, with the statistics of the pooled features, is
the same function (eq. 5.1, 5.2), and there is no second order of layers for the interpretation.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.errors import InputError
from jaxmotion.motion.shapes import check_shapes
from jaxmotion.networks.config import Extent, Width
from jaxmotion.networks.inputs import INPUT_CHANNELS, InputKind
from jaxmotion.networks.norm import known_share, normalize, shrink
from jaxmotion.networks.parts import Conv, MaxPool
from jaxmotion.networks.unet import pad_to_multiple
from jaxmotion.options import Meta, check_fields


@dataclass(frozen=True)
class ClassifierConfig:
    """Options of a frame classifier.

    Attributes:
        input: kind of the features of the flow, the `kind` of `network_features`.
        widths: channels of each block, each of which halves the frame.
        kernels: extent of the convolution of each block, in pixels of a side.
    """

    input: InputKind = "raw_and_residual"
    widths: Annotated[tuple[Width, ...], Meta(min_length=1, max_length=8)] = (16, 32, 64)
    kernels: Annotated[tuple[Extent, ...], Meta(min_length=1, max_length=8)] = (5, 3, 3)

    def __post_init__(self) -> None:
        check_fields(self, "network")
        if len(self.kernels) != len(self.widths) or any(k % 2 == 0 for k in self.kernels):
            raise InputError(
                f"network.kernels {self.kernels}: expected an odd number for each of the "
                f"{len(self.widths)} blocks"
            )


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
            features: `[B, T, H, W, C]`, as `networks.network_features` gives them.
            valid: `[B, T, H, W]` in {0, 1}, where the flow is known; None for all known.

        Returns:
            Logits `[B, T]` float32.

        Raises:
            ValueError: for shapes that do not belong together.
        """
        channels = INPUT_CHANNELS[self.config.input]
        check_shapes(features=(features, f"B T H W {channels}"), valid=(valid, "B T H W"))
        multiple = 2 ** len(self.config.widths)
        x, weight = pad_to_multiple(features, multiple), known_share(valid)
        if weight is not None:
            weight = pad_to_multiple(weight, multiple)
        for width, extent in zip(self.config.widths, self.config.kernels, strict=True):
            x = Conv(width, (1, extent, extent), dtype=self.dtype)(x)
            x, weight = MaxPool()(x), shrink(weight, 2)
            x = nn.relu(FrameNorm()(x, weight))
        x = MeanPool()(x, weight)
        return nn.Dense(1, dtype=self.dtype)(x)[..., 0].astype(jnp.float32)


def build_classifier(config: ClassifierConfig) -> FlowClassifier:
    """The linen module that a `ClassifierConfig` describes."""
    return FlowClassifier(config)
