"""The encoder of a frame: six residual blocks, down to an eighth of the size."""

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

Norm = Literal["instance", "batch", "none"]


class Encoder(nn.Module):
    """A frame to features at an eighth of its size.

    Attributes:
        widths: number of channels of each of the three pairs of blocks.
        features: number of channels of the result.
        norm: norm after each convolution but the last.
        bottleneck: whether blocks are of three convolutions at a quarter of the width (the small
            network) instead of two at the full width.
        precision: precision of the convolutions.
    """

    widths: tuple[int, int, int]
    features: int
    norm: Norm
    bottleneck: bool
    precision: Any = jax.lax.Precision.HIGHEST

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """Encodes `[B, H, W, 3]` in -1..1 to `[B, H/8, W/8, features]`."""
        x = conv(self.widths[0], 7, 2, self.precision, name="conv1")(image)
        x = nn.relu(Normalize(self.norm, name="norm1")(x))
        for pair, width in enumerate(self.widths, start=1):
            for index in range(2):
                stride = 2 if pair > 1 and index == 0 else 1
                name = f"layer{pair}_{index}"
                x = Block(width, stride, self.norm, self.bottleneck, self.precision, name=name)(x)
        return conv(self.features, 1, 1, self.precision, name="conv2")(x)


class Block(nn.Module):
    """A residual block; its input is projected where the size changes.

    Attributes:
        width: number of channels of the result.
        stride: stride of one of its convolutions.
        norm: norm after each convolution.
        bottleneck: whether it is of three convolutions at a quarter of the width, not of two at the
            full width.
        precision: precision of the convolutions.
    """

    width: int
    stride: int
    norm: Norm
    bottleneck: bool
    precision: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`[B, H, W, C]` to `[B, H / stride, W / stride, width]`."""
        narrow = self.width // 4
        plan = [(self.width, 3, self.stride), (self.width, 3, 1)]
        if self.bottleneck:
            plan = [(narrow, 1, 1), (narrow, 3, self.stride), (self.width, 1, 1)]
        y = x
        for number, (width, kernel, stride) in enumerate(plan, start=1):
            y = conv(width, kernel, stride, self.precision, name=f"conv{number}")(y)
            y = nn.relu(Normalize(self.norm, name=f"norm{number}")(y))
        if self.stride > 1:
            x = conv(self.width, 1, self.stride, self.precision, name="downsample")(x)
            x = Normalize(self.norm, name="downsample_norm")(x)
        return nn.relu(x + y)


class Normalize(nn.Module):
    """The norm by name: of each channel of each frame, by kept statistics, or none.

    Attributes:
        norm: name of the norm.
    """

    norm: Norm

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalizes `[B, H, W, C]`."""
        if self.norm == "instance":
            mean = x.mean(axis=(1, 2), keepdims=True)
            variance = jnp.square(x - mean).mean(axis=(1, 2), keepdims=True)
            return (x - mean) * jax.lax.rsqrt(variance + 1e-5)
        if self.norm == "batch":
            # The statistics of the weight file; the published fine-tuning freezes them too.
            return nn.BatchNorm(use_running_average=True, epsilon=1e-5, name="statistics")(x)
        return x


def conv(
    features: int,
    kernel: int | tuple[int, int],
    stride: int,
    precision: Any,
    *,
    bias: bool = True,
    name: str | None = None,
) -> nn.Conv:
    """A convolution padded by half of its kernel on every side, as the published weights expect.

    Args:
        features: number of output channels.
        kernel: extent of the kernel, or (in y, in x); odd.
        stride: stride in both directions.
        precision: precision of the products.
        bias: whether to add a bias.
        name: name of the module; None for the one that linen gives.

    Returns:
        The module.
    """
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    return nn.Conv(
        features,
        (height, width),
        strides=(stride, stride),
        padding=((height // 2, height // 2), (width // 2, width // 2)),
        use_bias=bias,
        precision=precision,
        name=name,
    )
