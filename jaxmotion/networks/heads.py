"""Heads: from the features of a backbone to the output of a network."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.networks import parts
from jaxmotion.networks.attention import Attention
from jaxmotion.networks.backbone import BackboneOutput
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.networks.decoders import Queries
from jaxmotion.networks.inputs import needs_residual
from jaxmotion.networks.time_shift import beside


class Segmentation(NamedTuple):
    """Output of a segmenter.

    Attributes:
        logits: `[B, T, H, W, K]` float32; their softmax over K are the masks.
        embedding: latent vector of each pixel `[B, T, h, w, E]`, at the size behind the stem.
        bottleneck: coarsest features `[B, T, h', w', D]`.
        queries: descriptor of each segment `[B, K, D]`; None without a decoder.
        attention: weights of frames and regions, read from the bottleneck; None without a gate.
    """

    logits: jax.Array
    embedding: jax.Array
    bottleneck: jax.Array
    queries: jax.Array | None
    attention: Attention | None = None

    @property
    def masks(self) -> jax.Array:
        """Probabilities `[B, T, H, W, K]`."""
        return jax.nn.softmax(self.logits, axis=-1)


class MaskHead(nn.Module):
    """Masks as linear maps of pixel features, and of the network's own input.

    A map is learned, the same for every clip, or comes from the descriptor that a decoder has read
    of each segment of this one, or is the sum of both (`DecoderConfig.linear_start`).

    Attributes:
        config: architecture of the network.
        decoder: makes the module that reads the descriptors; None for the learned maps alone.
    """

    config: NetworkConfig
    decoder: Callable[..., Queries] | None

    @nn.compact
    def __call__(
        self, features: jax.Array, encoded: BackboneOutput, *, deterministic: bool = True
    ) -> Segmentation:
        """Reads masks from features.

        Args:
            features: input of the backbone, `[B, T, H, W, C]`.
            encoded: output of the backbone for them.
            deterministic: whether dropout is off.

        Returns:
            The `Segmentation`, its logits at the size of the features.
        """
        config = self.config
        queries = None
        if self.decoder is not None:
            decoder = self.decoder(name="decoder")
            queries = decoder(encoded.bottleneck, encoded.known, deterministic)
        start = nn.initializers.normal(0.01)
        logits = self._logits("head", encoded.pixels, queries, start, self._favor)
        if config.stem > 1:
            height, width = features.shape[2:4]
            logits = parts.enlarge(logits, config.stem)[:, :, :height, :width]
        if config.threshold_start > 0 and needs_residual(config.input):
            # Straight from the input, at first a threshold on the residual's length.
            around = beside(features, config.kernel[0] // 2)
            logits += self._logits("shortcut", around, queries, self._threshold)
        return Segmentation(logits, encoded.pixels, encoded.bottleneck, queries, encoded.attention)

    def _logits(
        self,
        name: str,
        features: jax.Array,
        queries: jax.Array | None,
        kernel_init: nn.initializers.Initializer,
        bias_init: nn.initializers.Initializer | None = None,
    ) -> jax.Array:
        """Features `[B, T, h, w, C]` to `[B, T, h, w, K]`.

        Args:
            name: name of the parameters.
            features: features of the pixels, `[B, T, h, w, C]`.
            queries: descriptors `[B, K, D]`, whose linear maps are weighed with the features too;
                None for none.
            kernel_init: start values of the linear part.
            bias_init: start values of its bias; None for no bias.
        """
        config, decoder = self.config, self.config.decoder
        # With slots K is open, so all masks but the first, the background, share one set.
        num_sets = 2 if decoder.kind == "slots" else config.num_masks
        logits = jnp.zeros(())
        if decoder.linear_start:
            linear = nn.Dense(
                num_sets,
                use_bias=bias_init is not None,
                kernel_init=kernel_init,
                bias_init=bias_init or nn.initializers.zeros,
                name=name,
            )
            logits = linear(features)
            if decoder.kind == "slots":
                logits = logits[..., np.minimum(np.arange(config.num_masks), 1)]
        if queries is not None:
            start = nn.initializers.zeros if decoder.linear_start else nn.linear.default_kernel_init
            weights = nn.Dense(features.shape[-1], kernel_init=start, name=f"{name}_of_queries")
            logits += jnp.einsum("bthwc,bkc->bthwk", features, weights(queries))
        return logits

    def _favor(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jnp.zeros(shape, dtype).at[0].set(self.config.favoured_bias)

    def _threshold(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Start values: the residual's length against the first mask, a direction for each other.

        The residual's u, v and length are the last three channels of a frame (`needs_residual`).
        """
        config, moving = self.config, shape[1] - 1
        start = np.zeros((config.kernel[0], shape[0] // config.kernel[0], shape[1]))
        start[:, -1, 0] = -config.threshold_start
        if moving > 1:
            angle = 2 * np.pi * np.arange(moving) / moving
            start[:, -3:-1, 1:] = config.direction_start * np.array([np.cos(angle), np.sin(angle)])
        return jnp.asarray(start.reshape(shape) / config.kernel[0], dtype)
