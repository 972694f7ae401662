"""RAFT: flow by iterated lookup in the correlations of all pairs of pixels.

References:
    Teed and Deng, RAFT: recurrent all-pairs field transforms for optical flow, ECCV 2020.
"""

from dataclasses import dataclass
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.networks.raft.correlation import LEVELS, AllPairs, OnDemand
from jaxmotion.networks.raft.encoder import Encoder, Norm
from jaxmotion.networks.raft.update import Mask, Update
from jaxmotion.networks.raft.upsampling import upsample_bilinear, upsample_convex

Correlation = Literal["all_pairs", "on_demand"]
CORRELATIONS = {"all_pairs": AllPairs, "on_demand": OnDemand}

SMALLEST_SIDE = 8 * 2 ** (LEVELS - 1)  # the coarsest level then has one pixel


@dataclass(frozen=True)
class Architecture:
    """Sizes and kinds that differ between the two published networks.

    Attributes:
        widths: number of channels of the encoders' three pairs of blocks.
        bottleneck: whether the encoders' blocks are of three convolutions, as `Encoder` has it.
        features: number of channels of the frames' features, which are correlated.
        context: number of channels of the context.
        context_norm: norm in the encoder of the context.
        hidden: number of channels of the recurrent state.
        radius: radius of the windows of the lookup.
        correlation_features: numbers of channels of the convolutions of the correlations.
        flow_features: numbers of channels of the two convolutions of the flow.
        motion_features: number of channels of the convolution of the two together.
        kernels: extents in y and x of the recurrent units, which follow one another.
        head: number of channels inside the head that gives the step of the flow.
        mask: number of channels inside the mask of the convex upsampling; 0 for bilinear
            upsampling.
    """

    widths: tuple[int, int, int]
    bottleneck: bool
    features: int
    context: int
    context_norm: Norm
    hidden: int
    radius: int
    correlation_features: tuple[int, ...]
    flow_features: tuple[int, int]
    motion_features: int
    kernels: tuple[tuple[int, int], ...]
    head: int
    mask: int


LARGE = Architecture(
    widths=(64, 96, 128),
    bottleneck=False,
    features=256,
    context=128,
    context_norm="batch",
    hidden=128,
    radius=4,
    correlation_features=(256, 192),
    flow_features=(128, 64),
    motion_features=126,
    kernels=((1, 5), (5, 1)),
    head=256,
    mask=256,
)
SMALL = Architecture(
    widths=(32, 64, 96),
    bottleneck=True,
    features=128,
    context=64,
    context_norm="none",
    hidden=96,
    radius=3,
    correlation_features=(96,),
    flow_features=(64, 32),
    motion_features=80,
    kernels=((3, 3),),
    head=128,
    mask=0,
)


class RAFT(nn.Module):
    """Flow from one frame to another.

    Samples of a batch are independent: with the batch sharded over the devices of a mesh, each
    device works on its own.

    Attributes:
        architecture: sizes of the network, `LARGE` or `SMALL`.
        correlation: way to correlate, "all_pairs" (fast; memory grows with the square of the number
            of pixels) or "on_demand" (for large frames); the result is the same.
        precision: precision of the convolutions. `HIGHEST` gives the published figures on every
            machine; `DEFAULT` is faster on GPUs (TF32) and TPUs (bfloat16). Correlations are always
            `HIGHEST`.
    """

    architecture: Architecture = LARGE
    correlation: Correlation = "all_pairs"
    precision: Any = jax.lax.Precision.HIGHEST

    def setup(self):
        """The two encoders, the update and, in the large network, the mask."""
        a = self.architecture

        def encoder(features: int, norm: Norm) -> Encoder:
            return Encoder(a.widths, features, norm, a.bottleneck, self.precision)

        self.fnet = encoder(a.features, "instance")
        self.cnet = encoder(a.hidden + a.context, a.context_norm)
        self.update = Update(
            a.hidden,
            a.correlation_features,
            a.flow_features,
            a.motion_features,
            a.kernels,
            a.head,
            self.precision,
        )
        if a.mask:
            self.mask = Mask(a.mask, self.precision)

    def __call__(self, image0: jax.Array, image1: jax.Array, iterations: int = 20) -> jax.Array:
        """Estimates the flow.

        Args:
            image0: first frame, `[B, H, W, 3]` in 0..255, of any size; sides that are not a
                multiple of 8, or below 64, are continued by the pixels at the edge.
            image1: frame that the flow goes to, likewise.
            iterations: number of times that the flow is improved; static.

        Returns:
            Flow `[B, H, W, 2]` in pixels.
        """
        height, width = image0.shape[1:3]
        before = [_padding(side) for side in (height, width)]
        image0, image1 = (
            2.0 * jnp.pad(image, ((0, 0), *before, (0, 0)), mode="edge") / 255.0 - 1.0
            for image in (image0.astype(jnp.float32), image1.astype(jnp.float32))
        )
        flow = self.flow_of_padded(image0, image1, iterations)
        (top, _), (left, _) = before
        return flow[:, top : top + height, left : left + width]

    def flow_of_padded(self, image0: jax.Array, image1: jax.Array, iterations: int) -> jax.Array:
        """Estimates the flow of frames whose sides are multiples of 8, at least 64.

        Args:
            image0: first frame, `[B, H, W, 3]` in -1..1.
            image1: frame that the flow goes to, likewise.
            iterations: number of times that the flow is improved; static.
        """
        features0 = self.fnet(image0)
        features1 = self.fnet(_after(image1, features0))
        both = self.cnet(_after(image0, features1))
        state, context = jnp.split(both, [self.architecture.hidden], axis=-1)
        correlate = CORRELATIONS[self.correlation]
        correlation = correlate(features0, features1, self.architecture.radius)
        prepared = self.update.prepare(nn.relu(context))
        batch, height, width, _ = state.shape
        y, x = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
        grid = jnp.stack([x, y], axis=-1).astype(jnp.float32)

        def iterate(update: Update, carry: tuple[jax.Array, jax.Array], _):
            state, flow = carry
            state, step = update(state, prepared, correlation(grid + flow), flow)
            return (state, flow + step), None

        start = (jnp.tanh(state), jnp.zeros((batch, height, width, 2), jnp.float32))
        scan = nn.scan(
            iterate, variable_broadcast="params", split_rngs={"params": False}, length=iterations
        )
        (state, flow), _ = scan(self.update, start, None)
        if self.architecture.mask:
            return upsample_convex(flow, self.mask(state))
        return upsample_bilinear(flow)


def _after(x: jax.Array, first: jax.Array) -> jax.Array:
    """`x`, but not computed with before `first` is there.

    The encoders work at half of the frame's size, where memory peaks; side by side, which is how a
    compiler would have them, they take three times as much. A product with zero is what compilers
    may not take away, unlike an optimization barrier.
    """
    return x + 0.0 * first[:, :1, :1, :1]


def _padding(side: int) -> tuple[int, int]:
    """Pixels before and after, as even as possible, that make a side one the network takes."""
    missing = max(-side % 8, SMALLEST_SIDE - side)
    return missing // 2, missing - missing // 2
