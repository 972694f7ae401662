"""Embedders: networks from the features of a clip to a vector and a seed of each pixel."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.networks import parts
from jaxmotion.networks.attention import Attention
from jaxmotion.networks.backbone import Backbone, BackboneOutput, build_backbone
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.networks.squeeze_expand import SqueezeExpandDecoder


class Embedded(NamedTuple):
    """Output of an embedder.

    Attributes:
        raw: `[B, T, H, W, E]` float32, the embedding before coordinates are mixed in.
        log_bandwidth: `[B, T, H, W, E - F]` float32, logarithm of a tenth of the bandwidth of each
            channel that is not free.
        seed: `[B, T, H, W]` float32 in (0, 1), how surely a pixel stands for its whole object.
        attention: weights of frames and regions, read from the bottleneck; None without a gate.
    """

    raw: jax.Array
    log_bandwidth: jax.Array
    seed: jax.Array
    attention: Attention | None = None


class EmbeddingHead(nn.Module):
    """Three linear maps of the features of each pixel, or of what a decoder makes of these.

    Attributes:
        channels: E, number of channels of the embedding.
        free: F, number of these whose bandwidth is fixed.
        stem: factor by which the features are smaller than the frames.
        decoder: module that makes features of features of four sizes, which are means over ever
            larger squares of pixels; None for none.
    """

    channels: int
    free: int
    stem: int
    decoder: SqueezeExpandDecoder | None = None

    @nn.compact
    def __call__(self, features: jax.Array, encoded: BackboneOutput) -> Embedded:
        """Reads embeddings from features.

        Args:
            features: input of the backbone, `[B, T, H, W, C]`.
            encoded: output of the backbone for them.

        Returns:
            What it says of each pixel, at the size of the features.
        """
        height, width = features.shape[2:4]
        pixels = encoded.pixels
        if self.decoder is not None:
            pixels = self.decoder(_pyramid(pixels))
        small = nn.initializers.normal(0.01)
        maps = [
            nn.Dense(self.channels, use_bias=False, name="embedding")(encoded.pixels),
            nn.Dense(self.channels - self.free, kernel_init=small, name="bandwidth")(
                encoded.pixels
            ),
            nn.Dense(1, kernel_init=small, name="seed")(encoded.pixels),
        ]
        found = jnp.concatenate(maps, axis=-1)
        if self.stem > 1:
            found = parts.enlarge(found, self.stem)
        found = found[:, :, :height, :width]
        return split_maps(found, self.channels)._replace(attention=encoded.attention)


class UNetEmbedder(nn.Module):
    """Features of a clip to embeddings, by a U-net and linear maps.

    The names of both parts' parameters stand side by side, as if they were one module.

    Attributes:
        backbone: module that makes features of the pixels.
        head: module that makes embeddings of them.
    """

    backbone: Backbone
    head: nn.Module

    def setup(self) -> None:
        """Puts the parameters of both into the scope of this module."""
        nn.share_scope(self, self.backbone)
        nn.share_scope(self, self.head)

    def __call__(self, features: jax.Array, valid: jax.Array | None = None) -> Embedded:
        """Embeds clips of any length and size.

        Args:
            features: `[B, T, H, W, C]`, as `networks.network_features` gives them.
            valid: `[B, T, H, W]` in {0, 1}, where the flow is known; None for all known. Frames at
                the end of a clip that are nowhere valid are padding: they change nothing in the
                others.

        Raises:
            ValueError: for shapes that do not belong together.
        """
        return self.head(features, self.backbone(features, valid))


def build_embedder(
    config: NetworkConfig, channels: int, free: int, decoder_widths: tuple[int, ...] = ()
) -> UNetEmbedder:
    """The linen module of a backbone with linear maps.

    Args:
        config: architecture of the backbone; what it says of masks is of no meaning here.
        channels: E, number of channels of the embedding.
        free: F, number of these whose bandwidth is fixed.
        decoder_widths: channels of the branches of a `SqueezeExpandDecoder` between backbone and
            maps; empty for none.
    """
    decoder = SqueezeExpandDecoder(decoder_widths) if decoder_widths else None
    head = EmbeddingHead(channels, free, config.stem, decoder)
    return UNetEmbedder(build_backbone(config), head)


def _pyramid(pixels: jax.Array) -> list[jax.Array]:
    """Features of four sizes, coarsest first; at the border by the edge to full squares."""
    rows, columns = (-size % 8 for size in pixels.shape[2:4])
    sizes = [jnp.pad(pixels, [(0, 0), (0, 0), (0, rows), (0, columns), (0, 0)], mode="edge")]
    for _ in range(3):
        sizes.append(nn.avg_pool(sizes[-1], (1, 2, 2), strides=(1, 2, 2)))
    return sizes[::-1]


def split_maps(maps: jax.Array, channels: int) -> Embedded:
    """Takes the maps of a head apart.

    Args:
        maps: `[B, T, H, W, C]`: the embedding, the log-bandwidths, the seed before its sigmoid.
        channels: E, number of channels of the embedding.
    """
    maps = maps.astype(jnp.float32)
    seed = nn.sigmoid(maps[..., -1])
    return Embedded(maps[..., :channels], maps[..., channels:-1], seed)
