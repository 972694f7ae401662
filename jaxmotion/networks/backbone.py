"""The backbone that networks share, whatever their heads are."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.motion.shapes import check_shapes
from jaxmotion.networks import parts
from jaxmotion.networks.attention import Attention, RegionFrameGate, SpaceTimeAttention
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.networks.inputs import INPUT_CHANNELS
from jaxmotion.networks.norm import known_share, shrink
from jaxmotion.networks.unet import Part, UNet, pad_to_multiple


class BackboneOutput(NamedTuple):
    """Features that a backbone gives to the heads.

    Attributes:
        pixels: features of each pixel `[B, T, h, w, E]` float32, at the size behind the stem.
        bottleneck: coarsest features `[B, T, h', w', D]`.
        known: share of each cell of the bottleneck that is known `[B, T, h', w', 1]`; None for
            all of each.
        attention: weights of frames and regions that gated the features; None without a gate.
    """

    pixels: jax.Array
    bottleneck: jax.Array
    known: jax.Array | None
    attention: Attention | None = None


class Backbone(nn.Module):
    """Features of a clip to features of its pixels: a stem and a U-net.

    A network is a backbone and heads of its own. `flax.linen.share_scope` keeps the names and the
    start values of the backbone's parameters the same in all of them, so that one network can start
    from another (`networks.warm_start`).

    Attributes:
        channels: number of channels of the features that it is made for.
        stem: makes the module that brings them to the size the U-net works at; None for their
            own size.
        unet: makes the U-net that works at that size.
        known: makes the module whose output is added to the stem's: of the known share of each
            pixel, as if it were one more channel of the features. It has parameters of its own, so
            that networks with and without it can start from each other. None for none.
    """

    channels: int
    stem: Callable[..., parts.StridedConv] | None
    unet: Callable[..., UNet]
    known: Callable[..., parts.StridedConv] | None = None

    @nn.compact
    def __call__(self, features: jax.Array, valid: jax.Array | None = None) -> BackboneOutput:
        """Runs on clips of any length and size.

        Args:
            features: `[B, T, H, W, channels]`, as `networks.network_features` gives them.
            valid: `[B, T, H, W]` in {0, 1}, where the flow is known; None for all known. Frames at
                the end of a clip that are nowhere valid are padding: they change nothing in the
                others.

        Returns:
            The `BackboneOutput`.

        Raises:
            ValueError: for shapes that do not belong together.
        """
        check_shapes(features=(features, f"B T H W {self.channels}"), valid=(valid, "B T H W"))
        x, weight = features, known_share(valid)
        if self.stem is not None:
            stem = self.stem(name="stem")
            x = stem(pad_to_multiple(x, stem.stride))
            if self.known is not None:
                share = jnp.ones((*features.shape[:-1], 1)) if weight is None else weight
                x = x + self.known(name="known")(pad_to_multiple(share, stem.stride))
            if weight is not None:
                weight = shrink(pad_to_multiple(weight, stem.stride), stem.stride)
        found = self.unet(name="unet")(x, weight)
        return BackboneOutput(found.pixels.astype(jnp.float32), *found[1:])


def build_backbone(config: NetworkConfig, middle: Part | None = None) -> Backbone:
    """The backbone that a `NetworkConfig` describes.

    Args:
        config: architecture of the network.
        middle: makes the module at the bottleneck; None for the attention of the configuration.
    """
    dtype = jnp.dtype(config.compute_dtype)
    block = parts.DoubleConv
    if config.remat != "none":
        kept = (parts.CONVOLUTION,) if config.remat == "norms" else ()
        policy = jax.checkpoint_policies.save_only_these_names(*kept)
        block = nn.remat(block, policy=policy)
    convs = partial(
        block,
        kernel=config.kernel,
        norm=config.norm,
        norm_frames=config.norm_frames,
        activation=config.activation,
        padding=config.padding,
        dtype=dtype,
    )
    downs = {
        "max_pool": lambda features, name: parts.MaxPool(name=name),
        "strided_conv": partial(parts.StridedConv, dtype=dtype),
    }
    ups = {
        "patch": partial(parts.PatchUp, dtype=dtype),
        "resize": partial(parts.ResizeUp, dtype=dtype),
    }
    if middle is None and config.attention.layers:
        middle = partial(SpaceTimeAttention, config=config.attention, dtype=dtype)
    unet = partial(
        UNet,
        widths=config.widths,
        down=downs[config.down],
        left=convs,
        transit=lambda features, name: parts.Skip(name=name),
        middle=middle,
        right=convs,
        up=ups[config.up],
        weigh=RegionFrameGate if config.attention.gate else None,
    )
    stem = known = None
    if config.stem > 1:
        stem = partial(parts.StridedConv, config.widths[0], config.stem, dtype)
        if config.known_channel:
            known = partial(stem, use_bias=False, kernel_init=nn.initializers.zeros)
    return Backbone(INPUT_CHANNELS[config.input], stem, unet, known)
