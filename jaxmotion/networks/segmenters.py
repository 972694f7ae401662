"""Segmenters: networks from a flow clip to the logits of K masks."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.networks import parts
from jaxmotion.networks.inputs import INPUT_KINDS, InputKind, network_input
from jaxmotion.networks.unet import UNet, pad_to_multiple


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that decides the architecture of a segmenter.

    Attributes:
        num_masks: K, the number of segments.
        input: what the network sees of the flow (`network_input`).
        widths: channels of each level of the U-net, finest first.
        stem: 2 lets the U-net work at half the size behind a strided convolution, its logits
            enlarged bilinearly: a quarter of the cost; 1 works at full size.
        down: ``"max_pool"`` or ``"strided_conv"``.
        up: ``"patch"`` (a transposed convolution of kernel and stride 2) or ``"resize"``.
        kernel: extent of the convolutions in (time, y, x).
        norm: ``"instance"`` (per frame and channel, nothing learned) or ``"none"``.
        activation: ``"relu"``, ``"leaky_relu"`` or ``"gelu"``.
        padding: ``"zeros"`` or ``"reflect"``.
        favoured_bias: start value of the first mask's logit bias. With K = 2 a network that
            starts at 50/50 can stay split in two halves; a start that favours one mask, which
            then becomes the background, cures it.
        threshold_start: start value of the weight with which the length of the residual speaks
            against the first mask, through a shortcut from the input to the logits. It starts the
            network as a soft threshold on the residual; from masks that mean nothing, all motion
            models are alike and tell the network nothing. 0: no shortcut. Inputs without a
            residual have none.
        compute_dtype: type of the convolutions; parameters, norms and logits are float32.
    """

    num_masks: int = 2
    input: InputKind = "residual"
    widths: tuple[int, ...] = (16, 32, 64, 128)
    stem: Literal[1, 2] = 2
    down: Literal["max_pool", "strided_conv"] = "max_pool"
    up: Literal["patch", "resize"] = "resize"
    kernel: tuple[int, int, int] = (1, 3, 3)
    norm: parts.Norm = "instance"
    activation: Literal["relu", "leaky_relu", "gelu"] = "relu"
    padding: parts.Padding = "zeros"
    favoured_bias: float = 2.0
    threshold_start: float = 2.0
    compute_dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if self.num_masks < 1:
            raise ValueError(f"num_masks must be at least 1, got {self.num_masks}")
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths must name at least one level of channels, got {self.widths}")
        if any(extent < 1 or extent % 2 == 0 for extent in self.kernel):
            raise ValueError(f"kernel must be odd in time, y and x, got {self.kernel}")
        if self.input not in INPUT_KINDS:
            raise ValueError(f"input must be one of {', '.join(INPUT_KINDS)}, got {self.input!r}")


PUBLISHED_EM = NetworkConfig(
    input="raw",
    widths=(64, 128, 256, 512, 1024, 2048, 4096),
    stem=1,
    down="max_pool",
    up="patch",
    padding="reflect",
    favoured_bias=0.0,
)
"""The EM network of the thesis (ch. 2): seven levels, 497.7 M parameters at K = 2."""


class Segmentation(NamedTuple):
    """What a segmenter returns.

    Attributes:
        logits: ``[B, T, H, W, K]`` float32; their softmax over K are the masks.
        bottleneck: the coarsest features ``[B, T, h, w, C]``.
    """

    logits: jax.Array
    bottleneck: jax.Array

    @property
    def masks(self) -> jax.Array:
        """Probabilities ``[B, T, H, W, K]``."""
        return jax.nn.softmax(self.logits, axis=-1)


class UNetSegmenter(nn.Module):
    """Flow clip to masks through a U-net and a 1×1 output head (thesis §2.4.1, §3.3.2).

    Attributes:
        unet: the backbone.
        stem: brings the input to the size the backbone works at.
        stem_stride: the factor between the two sizes.
        num_masks: K.
        input: what the network sees (`network_input`).
        favoured_bias: start value of the first mask's logit bias.
        threshold_start: start weight of the residual's length against the first mask.
    """

    unet: UNet
    stem: nn.Module | None
    stem_stride: int
    num_masks: int
    input: InputKind
    favoured_bias: float
    threshold_start: float

    @nn.compact
    def __call__(self, flow: jax.Array, valid: jax.Array | None = None) -> Segmentation:
        """Segments clips of any length and size.

        Args:
            flow: ``[B, T, H, W, 2]``, pixels per frame.
            valid: ``[B, T, H, W]`` in {0, 1}.

        Returns:
            The `Segmentation`.
        """
        height, width = flow.shape[2:4]
        seen = x = network_input(flow, self.input, valid)
        if self.stem is not None:
            x = self.stem(pad_to_multiple(x, self.stem_stride))
        x, bottleneck = self.unet(x)
        bias = jnp.zeros(self.num_masks).at[0].set(self.favoured_bias)
        head = nn.Dense(
            self.num_masks,
            bias_init=lambda *_: bias,
            kernel_init=nn.initializers.normal(0.01),
            name="head",
        )
        logits = head(x.astype(jnp.float32))
        if self.stem is not None:
            logits = parts.enlarge(logits, self.stem_stride)[:, :, :height, :width]
        if self.threshold_start > 0:
            logits += self._shortcut(seen)
        return Segmentation(logits, bottleneck)

    def _shortcut(self, seen: jax.Array) -> jax.Array:
        """Logits straight from the input, at first a threshold on the residual's length."""

        def threshold(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
            return jnp.zeros(shape, dtype).at[-1, 0].set(-self.threshold_start)

        dense = nn.Dense(self.num_masks, use_bias=False, kernel_init=threshold, name="shortcut")
        return dense(seen)


def build_segmenter(config: NetworkConfig) -> UNetSegmenter:
    """The linen module that a `NetworkConfig` describes."""
    dtype = jnp.dtype(config.compute_dtype)
    convs = partial(
        parts.DoubleConv,
        kernel=config.kernel,
        norm=config.norm,
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
    unet = UNet(
        widths=config.widths,
        down=downs[config.down],
        left=convs,
        transit=lambda features, name: parts.Skip(name=name),
        right=convs,
        up=ups[config.up],
    )
    stem = None
    if config.stem > 1:
        stem = parts.StridedConv(config.widths[0], config.stem, dtype)
    return UNetSegmenter(
        unet=unet,
        stem=stem,
        stem_stride=config.stem,
        num_masks=config.num_masks,
        input=config.input,
        favoured_bias=config.favoured_bias,
        threshold_start=config.threshold_start if "residual" in config.input else 0.0,
    )
