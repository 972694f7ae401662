"""The configuration of a network, and those that were published. All names of choices are here."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from jaxmotion.errors import InputError
from jaxmotion.options import Meta, NotNegative, check_fields

InputKind = Literal["raw", "scaled", "residual", "raw_and_residual"]
Padding = Literal["zeros", "reflect"]
Norm = Literal["instance", "none"]
Differentiation = Literal["unroll", "implicit", "one_step"]
Remat = Literal["none", "norms", "blocks"]
Width = Annotated[int, Meta(ge=1, le=65_536)]
Extent = Annotated[int, Meta(ge=1, le=99)]

_OF_MASKS = ("num_masks", "favoured_bias", "threshold_start", "direction_start", "decoder")


@dataclass(frozen=True)
class DecoderConfig:
    """Options of the decoder, which makes masks of the features of the U-net.

    Attributes:
        kind: kind of the decoder. ``"linear"``: a 1×1 convolution, the same for every clip (EM,
            ST-MS); ``"transformer"``: K learned queries that read the bottleneck of the whole clip,
            so that a mask is one segment from the first frame to the last (LT-MS); ``"slots"``:
            slot attention with Gaussian queries, for any K at test time (LT-MS-SA).
        layers: number of layers of the transformer.
        heads: number of heads of each attention of the transformer.
        feed_forward: hidden width of the feed-forward part of the transformer, or of the residual
            MLP of the slots.
        dropout: dropout rate of the transformer, in training.
        iterations: number of iterations of slot attention.
        differentiation: gradient of slot attention: ``"unroll"``, through all iterations,
            ``"implicit"`` at its fixed point, or ``"one_step"``, through the last iteration alone
            (`SlotAttention`).
        linear_start: whether to keep a linear start. True keeps the 1×1 convolution beside the
            decoder, which starts at zero: training starts from the masks of a trained linear
            network, and the decoder adapts them to the clip. False, as published, leaves the
            decoder alone with masks that mean nothing yet.
    """

    kind: Literal["linear", "transformer", "slots"] = "linear"
    layers: Annotated[int, Meta(ge=1, le=100)] = 2
    heads: Annotated[int, Meta(ge=1, le=1_000)] = 2
    feed_forward: Annotated[int, Meta(ge=1, le=100_000)] = 256
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    iterations: Annotated[int, Meta(ge=1, le=100)] = 5
    differentiation: Differentiation = "unroll"
    linear_start: bool = True

    def __post_init__(self) -> None:
        check_fields(self, "network.decoder")
        if self.kind == "linear" and not self.linear_start:
            raise InputError(
                "network.decoder.linear_start False: expected True for the kind 'linear', which is "
                "the linear start itself"
            )


@dataclass(frozen=True)
class AttentionConfig:
    """Options of the attention over space and time, which every network may have.

    Attributes:
        layers: number of layers of attention at the bottleneck, over time and then over space; 0
            for none. They start by changing nothing (`SpaceTimeAttention`).
        heads: number of heads of each attention; a divisor of the width of the bottleneck.
        gate: whether weights of regions and frames, read from the bottleneck, multiply what passes
            the transits (`RegionFrameGate`).
    """

    layers: Annotated[int, Meta(ge=0, le=100)] = 0
    heads: Annotated[int, Meta(ge=1, le=1_000)] = 4
    gate: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "network.attention")


@dataclass(frozen=True)
class NetworkConfig:
    """Options that decide the architecture of a segmenter.

    Attributes:
        num_masks: K, the number of segments.
        input: kind of the features of the flow, the `kind` of `network_features`.
        widths: channels of each level of the U-net, finest first.
        stem: factor by which the stem makes the frames smaller. 2 lets the U-net work at half the
            size behind a strided convolution, its logits enlarged bilinearly: a quarter of the
            cost; 1 works at full size.
        down: kind of the steps to half the size, ``"max_pool"`` or ``"strided_conv"``.
        up: kind of the steps to twice the size, ``"patch"`` (a transposed convolution of kernel
            and stride 2) or ``"resize"``.
        kernel: extent of the convolutions in (time, y, x).
        norm: norm after each convolution, ``"instance"`` (per channel, nothing learned) or
            ``"none"``.
        norm_frames: frames that share the statistics of the norm and the scale of the input: 1
            keeps frames apart (EM), 3 is the published ST-MS, 9 LT-MS (`norm.block_mean`).
        activation: activation after each norm, ``"relu"``, ``"leaky_relu"`` or ``"gelu"``.
        padding: padding of the convolutions in space, ``"zeros"`` or ``"reflect"``.
        favoured_bias: start value of the first mask's logit bias. With K = 2 a network that
            starts at 50/50 can stay split in two halves; a start that favors one mask, which
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
        known_channel: whether the stem, which has to be 2 then, sees beside the features which
            pixels are known. An unknown one enters as 0, like one that rests.
        attention: options of the attention over space and time at the bottleneck.
        decoder: options of the decoder, which makes masks of the features.
        compute_dtype: type of the convolutions; parameters, norms and logits are float32.
        remat: part that the backward pass computes again instead of keeping it: ``"none"``;
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
    norm: Norm = "instance"
    norm_frames: Annotated[int, Meta(ge=1, le=10_000)] = 1
    activation: Literal["relu", "leaky_relu", "gelu"] = "relu"
    padding: Padding = "zeros"
    favoured_bias: float = 2.0
    threshold_start: NotNegative = 2.0
    direction_start: float = 2.0
    known_channel: bool = False
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    remat: Remat = "none"

    def __post_init__(self) -> None:
        check_fields(self, "network")
        if any(extent % 2 == 0 for extent in self.kernel):
            raise InputError(f"network.kernel {self.kernel}: expected odd numbers")
        if self.known_channel and self.stem == 1:
            raise InputError("network.known_channel True: expected with network.stem 2 only")
        if self.attention.layers and self.widths[-1] % self.attention.heads:
            raise InputError(
                f"network.attention.heads {self.attention.heads}: expected a divisor of the last "
                f"of network.widths, {self.widths[-1]}"
            )

    @property
    def reduction(self) -> int:
        """Number of pixels of a side that become one cell at the coarsest level."""
        return self.stem * 2 ** (len(self.widths) - 1)

    def with_num_masks(self, num_masks: int) -> "NetworkConfig":
        """This network, trained already, for another number of masks.

        Args:
            num_masks: number of masks.

        Raises:
            InputError: where only training could change it.
        """
        if num_masks != self.num_masks and (self.decoder.kind != "slots" or num_masks < 1):
            raise InputError(
                f"segments into {self.num_masks}, not {num_masks}; only a network with slots "
                "takes another number than in training, from 1 on"
            )
        return replace(self, num_masks=num_masks)


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


def check_makes_no_masks(config: NetworkConfig, kind: str) -> None:
    """Checks that what a configuration says of masks is as it is by default.

    Args:
        config: architecture of a network that makes no masks.
        kind: kind of the network, in words.

    Raises:
        InputError: it says something of masks.
    """
    plain = NetworkConfig()
    if replace(config, **{name: getattr(plain, name) for name in _OF_MASKS}) != config:
        raise InputError(
            f"network.{', network.'.join(_OF_MASKS)}: expected as they are; {kind} makes no masks"
        )
