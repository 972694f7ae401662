"""Segmenters: networks from the features of a clip to the logits of K masks."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.networks.backbone import Backbone, build_backbone
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.networks.decoders import Queries
from jaxmotion.networks.heads import MaskHead, Segmentation


class UNetSegmenter(nn.Module):
    """Features of a clip to masks (thesis §2.4.1, §3.3.2, §4.2.3).

    The names of both parts' parameters stand side by side, as if they were one module.

    Attributes:
        backbone: module that makes features of the pixels.
        mask_head: module that makes masks of them.
    """

    backbone: Backbone
    mask_head: MaskHead

    def setup(self) -> None:
        """Puts the parameters of both into the scope of this module."""
        nn.share_scope(self, self.backbone)
        nn.share_scope(self, self.mask_head)

    def __call__(
        self, features: jax.Array, valid: jax.Array | None = None, *, deterministic: bool = True
    ) -> Segmentation:
        """Segments clips of any length and size.

        Args:
            features: `[B, T, H, W, C]`, as `networks.network_features` gives them.
            valid: `[B, T, H, W]` in {0, 1}, where the flow is known; None for all known. Frames at
                the end of a clip that are nowhere valid are padding: they change nothing in the
                others.
            deterministic: whether dropout is off; otherwise the ``dropout`` rng is needed.

        Returns:
            The `Segmentation`.

        Raises:
            ValueError: for shapes that do not belong together, or features of another number of
                channels than the configuration's ``input`` has.
        """
        encoded = self.backbone(features, valid)
        return self.mask_head(features, encoded, deterministic=deterministic)


def build_segmenter(config: NetworkConfig) -> UNetSegmenter:
    """The linen module that a `NetworkConfig` describes."""
    decoder = None
    if config.decoder.kind != "linear":
        dtype = jnp.dtype(config.compute_dtype)
        decoder = partial(Queries, config.decoder, config.num_masks, dtype)
    return UNetSegmenter(build_backbone(config), MaskHead(config, decoder))
