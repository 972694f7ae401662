"""Segmenters: networks from a flow clip to the logits of K masks."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.motion.shapes import check_shapes
from jaxmotion.networks import parts
from jaxmotion.networks.decoders import DecoderConfig, Queries
from jaxmotion.networks.inputs import InputKind, network_input
from jaxmotion.networks.norm import known_share, shrink
from jaxmotion.networks.unet import UNet, pad_to_multiple
from jaxmotion.options import Meta, NotNegative, check_fields

Remat = Literal["none", "norms", "blocks"]
Width = Annotated[int, Meta(ge=1, le=65_536)]
Extent = Annotated[int, Meta(ge=1, le=99)]


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
        norm: ``"instance"`` (per channel, nothing learned) or ``"none"``.
        norm_frames: frames that share the statistics of the norm and the scale of the input: 1
            keeps frames apart (EM), 3 is the published ST-MS, 9 LT-MS (`norm.block_mean`).
        activation: ``"relu"``, ``"leaky_relu"`` or ``"gelu"``.
        padding: ``"zeros"`` or ``"reflect"``.
        favoured_bias: start value of the first mask's logit bias. With K = 2 a network that
            starts at 50/50 can stay split in two halves; a start that favours one mask, which
            then becomes the background, cures it.
        threshold_start: start value of the weight with which the length of the residual speaks
            against the first mask, through a shortcut from the input to the logits. It starts the
            network as a soft threshold on the residual; from masks that mean nothing, all motion
            models are alike and tell the network nothing. A network with a reach in time takes the
            mean over the frames of its kernel, so that an object that stops for one does not
            vanish. 0: no shortcut. Inputs without a residual have none.
        direction_start: start value of the weight with which, through the same shortcut, the
            direction of the residual speaks for the masks after the first, each for another one.
            Masks that start alike would not part later: the one that explains a little more takes
            all that moves. Of two masks only one is after the first, and no direction is its own.
        decoder: how masks come from the features.
        compute_dtype: type of the convolutions; parameters, norms and logits are float32.
        remat: what the backward pass computes again instead of keeping it: ``"none"``;
            ``"norms"``, norms and activations, which are cheap, but not convolutions;
            ``"blocks"``, all inside the left and right parts of the U-net.
    """

    num_masks: Annotated[int, Meta(ge=1, le=256)] = 2
    input: InputKind = "residual"
    widths: Annotated[tuple[Width, ...], Meta(min_length=1, max_length=10)] = (16, 32, 64, 128)
    stem: Literal[1, 2] = 2
    down: Literal["max_pool", "strided_conv"] = "max_pool"
    up: Literal["patch", "resize"] = "resize"
    kernel: tuple[Extent, Extent, Extent] = (1, 3, 3)
    norm: parts.Norm = "instance"
    norm_frames: Annotated[int, Meta(ge=1, le=10_000)] = 1
    activation: Literal["relu", "leaky_relu", "gelu"] = "relu"
    padding: parts.Padding = "zeros"
    favoured_bias: float = 2.0
    threshold_start: NotNegative = 2.0
    direction_start: float = 2.0
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    remat: Remat = "none"

    def __post_init__(self) -> None:
        check_fields(self, "network")
        if any(extent % 2 == 0 for extent in self.kernel):
            raise InputError(f"network.kernel {self.kernel}: expected odd numbers")


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

PUBLISHED_ST_MS = NetworkConfig(
    num_masks=4,
    input="raw",
    widths=(32, 64, 128),
    stem=1,
    down="strided_conv",
    up="patch",
    kernel=(3, 3, 3),
    norm_frames=3,
    favoured_bias=0.0,
)
"""The ST-MS network of the thesis (ch. 3): a 3D U-net of 1.336 M parameters."""

PUBLISHED_LT_MS = replace(
    PUBLISHED_ST_MS,
    norm_frames=9,
    decoder=DecoderConfig(
        kind="transformer", layers=5, feed_forward=2048, dropout=0.1, linear_start=False
    ),
)
"""The LT-MS network of the thesis (ch. 4): that U-net and a mask decoder, 4.638 M parameters."""


class Segmentation(NamedTuple):
    """What a segmenter returns.

    Attributes:
        logits: ``[B, T, H, W, K]`` float32; their softmax over K are the masks.
        embedding: latent vector of each pixel ``[B, T, h, w, E]``, at the size behind the stem.
        bottleneck: the coarsest features ``[B, T, h', w', D]``.
        queries: descriptor of each segment ``[B, K, D]``; None without a decoder.
    """

    logits: jax.Array
    embedding: jax.Array
    bottleneck: jax.Array
    queries: jax.Array | None

    @property
    def masks(self) -> jax.Array:
        """Probabilities ``[B, T, H, W, K]``."""
        return jax.nn.softmax(self.logits, axis=-1)


class UNetSegmenter(nn.Module):
    """Flow clip to masks: a U-net and a mask decoder (thesis §2.4.1, §3.3.2, §4.2.3).

    Attributes:
        config: the architecture.
        unet: the backbone.
        stem: brings the input to the size the backbone works at.
    """

    config: NetworkConfig
    unet: UNet
    stem: nn.Module | None

    @nn.compact
    def __call__(
        self, flow: jax.Array, valid: jax.Array | None = None, *, deterministic: bool = True
    ) -> Segmentation:
        """Segments clips of any length and size.

        Args:
            flow: ``[B, T, H, W, 2]``, pixels per frame.
            valid: ``[B, T, H, W]`` in {0, 1}. Frames at the end of a clip that are nowhere valid
                are padding: they change nothing in the others.
            deterministic: without dropout; otherwise the ``dropout`` rng is needed.

        Returns:
            The `Segmentation`.

        Raises:
            ValueError: for shapes that do not belong together.
        """
        check_shapes(flow=(flow, "B T H W 2"), valid=(valid, "B T H W"))
        config = self.config
        height, width = flow.shape[2:4]
        seen = x = network_input(flow, config.input, valid, config.norm_frames)
        weight = known_share(valid)
        if self.stem is not None:
            x = self.stem(pad_to_multiple(x, config.stem))
            if weight is not None:
                weight = shrink(pad_to_multiple(weight, config.stem), config.stem)
        x, bottleneck, weight = self.unet(x, weight)
        x = x.astype(jnp.float32)
        queries = None
        if config.decoder.kind != "linear":
            dtype = jnp.dtype(config.compute_dtype)
            decoder = Queries(config.decoder, config.num_masks, dtype, name="decoder")
            queries = decoder(bottleneck, weight, deterministic)

        logits = self._logits("head", x, queries, nn.initializers.normal(0.01), self._favour)
        if self.stem is not None:
            logits = parts.enlarge(logits, config.stem)[:, :, :height, :width]
        if config.threshold_start > 0 and "residual" in config.input:
            # Straight from the input, at first a threshold on the residual's length.
            seen = beside(seen, config.kernel[0] // 2)
            logits += self._logits("shortcut", seen, queries, self._threshold)
        return Segmentation(logits, x, bottleneck, queries)

    def _logits(
        self,
        name: str,
        features: jax.Array,
        queries: jax.Array | None,
        kernel_init: nn.initializers.Initializer,
        bias_init: nn.initializers.Initializer | None = None,
    ) -> jax.Array:
        """Features ``[B, T, h, w, C]`` to ``[B, T, h, w, K]``.

        Args:
            name: of the parameters.
            features: of pixels.
            queries: ``[B, K, D]``, whose linear maps are weighed with the features too.
            kernel_init: start of the linear part.
            bias_init: start of its bias; None for no bias.
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

    def _favour(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jnp.zeros(shape, dtype).at[0].set(self.config.favoured_bias)

    def _threshold(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Against the first mask the residual's length, for each other one a direction of its own.

        The residual's u, v and length are the last three channels of each frame (`network_input`).
        """
        config, moving = self.config, shape[1] - 1
        start = np.zeros((config.kernel[0], shape[0] // config.kernel[0], shape[1]))
        start[:, -1, 0] = -config.threshold_start
        if moving > 1:
            angle = 2 * np.pi * np.arange(moving) / moving
            start[:, -3:-1, 1:] = config.direction_start * np.array([np.cos(angle), np.sin(angle)])
        return jnp.asarray(start.reshape(shape) / config.kernel[0], dtype)


def beside(x: jax.Array, reach: int) -> jax.Array:
    """Features of each frame with those of the frames around it, earliest first, 0 past the ends.

    Args:
        x: ``[B, T, H, W, C]``.
        reach: frames to each side.

    Returns:
        ``[B, T, H, W, (2 * reach + 1) * C]``.
    """
    if reach == 0:
        return x
    shifted = [parts.shift_time(x, step) for step in range(-reach, reach + 1)]
    return jnp.concatenate(shifted, axis=-1)


def build_segmenter(config: NetworkConfig) -> UNetSegmenter:
    """The linen module that a `NetworkConfig` describes."""
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
    return UNetSegmenter(config, unet, stem)
