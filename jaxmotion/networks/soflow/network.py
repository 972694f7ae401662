"""SoFlow: RAFT's iterated lookup at half the size of the frames, in local correlations.

There is no norm over the frame, so that a tile of a large frame gives what the frame does there:
pixels are normalized by the contrast of a small window, features by their own length.

References:
    Thesis, app. 7.4; Teed and Deng, RAFT, ECCV 2020.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.networks.raft.encoder import Block, conv
from jaxmotion.networks.raft.update import Mask, Update
from jaxmotion.networks.raft.upsampling import upsample_convex
from jaxmotion.networks.soflow.config import SoFlowConfig
from jaxmotion.networks.soflow.correlation import (
    expected_shift,
    local_correlation,
    lookup,
    smoothed,
)

# Contrast below which a window is taken to show noise, as a share of white.
_NOISE = 0.02


class SoFlow(nn.Module):
    """Flow from one frame to another.

    Attributes:
        config: sizes of the network.
        precision: precision of the convolutions; correlations are always `HIGHEST`.
    """

    config: SoFlowConfig = SoFlowConfig()
    precision: Any = jax.lax.Precision.HIGHEST

    def setup(self):
        """Two encoders, the update, the mask of the upsampling, and the start's sharpness."""
        c = self.config
        self.fnet = HalfEncoder(c.features, 2, self.precision)
        self.cnet = HalfEncoder(c.hidden + c.context, 1, self.precision)
        self.update = Update(
            hidden=c.hidden,
            correlation_features=(32,),
            flow_features=(16, 16),
            motion_features=c.hidden - 2,
            kernels=((3, 3),),
            head=32,
            precision=self.precision,
        )
        self.mask = Mask(32, self.precision, factor=2)
        self.sharpness = self.param("sharpness", nn.initializers.constant(3.0), ())

    def __call__(
        self, image0: jax.Array, image1: jax.Array, iterations: int | None = None
    ) -> jax.Array:
        """Estimates the flow.

        Args:
            image0: first frame, `[B, H, W, 3]` in 0..255; sides that are odd are continued by the
                pixels at the edge.
            image1: frame that the flow goes to, likewise.
            iterations: number of updates; None for that of the configuration; static.

        Returns:
            Flow `[B, H, W, 2]` in pixels.
        """
        height, width = image0.shape[1:3]
        missing = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
        image0, image1 = (jnp.pad(image, missing, mode="edge") for image in (image0, image1))
        flows, states = self.iterate(image0, image1, iterations=iterations)
        return upsample_convex(flows[-1], self.mask(states[-1]))[:, :height, :width]

    def all_flows(self, image0: jax.Array, image1: jax.Array) -> jax.Array:
        """The flow at the start and after each update, as the sequence loss takes it.

        Args:
            image0: first frame, `[B, H, W, 3]` in 0..255, of even sides.
            image1: frame that the flow goes to, likewise.

        Returns:
            `[iterations + 1, B, H, W, 2]`, pixels.
        """
        # Of a loop of convolutions XLA's gradient takes twenty times as long on a CPU.
        flows, states = self.iterate(image0, image1, unroll=True)
        number, batch = flows.shape[:2]
        logits = self.mask(states.reshape(-1, *states.shape[2:]))
        fine = upsample_convex(flows.reshape(-1, *flows.shape[2:]), logits)
        return fine.reshape(number, batch, *fine.shape[1:])

    def iterate(
        self,
        image0: jax.Array,
        image1: jax.Array,
        *,
        iterations: int | None = None,
        unroll: bool = False,
    ) -> tuple[jax.Array, jax.Array]:
        """Estimates the flow at half the size of the frames.

        Args:
            image0: first frame, `[B, H, W, 3]` in 0..255, of even sides.
            image1: frame that the flow goes to, likewise.
            iterations: number of updates; None for that of the configuration; static.
            unroll: whether the updates are compiled one by one, not as a loop; static.

        Returns:
            Flows and states, at the start and after each update, each
            `[iterations + 1, B, H / 2, W / 2, ...]`.
        """
        c = self.config
        image0, image1 = (normalized(image, c.contrast) for image in (image0, image1))
        features = self.fnet(jnp.concatenate([image0, image1]))
        features0, features1 = jnp.split(_of_one_length(features), 2)
        state, context = jnp.split(self.cnet(image0), [c.hidden], axis=-1)
        volumes = []
        for level in range(c.levels):
            if level:
                features1 = smoothed(features1, 2 ** (level - 1))
            volumes.append(local_correlation(features0, features1, c.radius, 2**level))
        prepared = self.update.prepare(nn.relu(context))

        def iterate(update: Update, carry: tuple[jax.Array, jax.Array], _):
            state, flow = carry
            flow = jax.lax.stop_gradient(flow)
            windows = [
                lookup(volume, flow / 2**level, c.lookup) for level, volume in enumerate(volumes)
            ]
            state, step = update(state, prepared, jnp.concatenate(windows, axis=-1), flow)
            carry = (state, flow + step)
            return carry, carry

        flow = expected_shift(volumes[0], self.sharpness)
        if c.start == "zero":
            flow = jnp.zeros_like(flow)
        start = (jnp.tanh(state), flow)
        scan = nn.scan(
            iterate,
            variable_broadcast="params",
            split_rngs={"params": False},
            length=c.iterations if iterations is None else iterations,
            unroll=(iterations or c.iterations) if unroll else 1,
        )
        _, (states, flows) = scan(self.update, start, None)
        flows = jnp.concatenate([start[1][None], flows])
        return flows, jnp.concatenate([start[0][None], states])


class HalfEncoder(nn.Module):
    """A frame to features at half of its size.

    Attributes:
        features: number of channels of the result.
        blocks: number of residual blocks.
        precision: precision of the convolutions.
    """

    features: int
    blocks: int
    precision: Any

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """`[B, H, W, 3]` to `[B, H / 2, W / 2, features]`."""
        x = nn.relu(conv(self.features, 5, 2, self.precision, name="conv1")(image))
        for index in range(self.blocks):
            x = Block(self.features, 1, "none", False, self.precision, name=f"block{index}")(x)
        return conv(self.features, 1, 1, self.precision, name="conv2")(x)


def normalized(image: jax.Array, radius: int) -> jax.Array:
    """A frame less the mean around each pixel, over the contrast there.

    Gain and offset of a camera, of the whole frame or of a region, change nothing.

    Args:
        image: `[B, H, W, 3]` in 0..255.
        radius: radius of the window, in pixels.

    Returns:
        `[B, H, W, 3]`, of contrast about 1; less where there is little to see.
    """
    image = image.astype(jnp.float32) / 255.0
    mean = _box(image, radius)
    apart = image - mean
    variance = _box(jnp.mean(jnp.square(apart), axis=-1, keepdims=True), radius)
    return apart * jax.lax.rsqrt(variance + _NOISE**2)


def _box(image: jax.Array, radius: int) -> jax.Array:
    """Means over a window, of what lies inside of the frame."""
    for axis in (1, 2):
        window = tuple(2 * radius + 1 if other == axis else 1 for other in range(4))
        image = jax.lax.reduce_window(image, 0.0, jax.lax.add, window, (1,) * 4, "SAME")
        place = np.arange(image.shape[axis])
        count = 1 + np.minimum(place, radius) + np.minimum(place[::-1], radius)
        image = image / np.expand_dims(
            count.astype(np.float32), (0, 2, 3) if axis == 1 else (0, 1, 3)
        )
    return image


def _of_one_length(features: jax.Array) -> jax.Array:
    """Features less their mean over the channels, with a mean square of 1."""
    features = features - jnp.mean(features, axis=-1, keepdims=True)
    square = jnp.mean(jnp.square(features), axis=-1, keepdims=True)
    return features * jax.lax.rsqrt(square + 1e-4)
