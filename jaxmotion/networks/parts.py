"""The replaceable parts of a U-net: down, left and right convolutions, transit, up.

Every part is a linen module that maps `[B, T, H, W, C]` to `[B, T, H', W', C']`; convolutions
are also told how much of each pixel is known (`norm.known_share`), so that padded frames and
unknown pixels change nothing elsewhere. Convolutions are 2D ones with time folded into the batch,
over time a sum of them, which CPUs run several times faster than a 3D convolution
(`benchmarks/convolution.py`).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax.ad_checkpoint import checkpoint_name
from jax.image import resize
from jax.lax import slice_in_dim

from jaxmotion.motion.shapes import check_shapes
from jaxmotion.motion.sharding import fold_time, unfold_time
from jaxmotion.networks.config import Norm, Padding
from jaxmotion.networks.norm import normalize, present
from jaxmotion.networks.time_shift import shift_time

CONVOLUTION = "convolution"
"""Name of what a block's convolutions give, for `jax.checkpoint_policies`."""

# PyTorch's default slope, which the published networks use.
leaky_relu: Callable[[jax.Array], jax.Array] = lambda x: nn.leaky_relu(x, 0.01)  # noqa: E731
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "leaky_relu": leaky_relu,
    "gelu": nn.gelu,
}


class Conv(nn.Module):
    """A convolution that keeps the size, over space (kernel time extent 1) or space-time.

    Attributes:
        features: number of output channels.
        kernel: extent in (time, y, x); odd.
        padding: kind of the padding, ``"zeros"``, or ``"reflect"`` in space (time is always
            zero-padded; a side too short to reflect repeats its edge).
        dtype: compute type; parameters stay float32.
    """

    features: int
    kernel: tuple[int, int, int] = (1, 3, 3)
    padding: Padding = "zeros"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        """Convolves `[B, T, H, W, C]` to `[B, T, H, W, features]`.

        Frames without a known pixel in `weight`, `[B, T, H, W, 1]`, count as zeros over time.
        """
        time, height, width = self.kernel
        same = [(height // 2, height // 2), (width // 2, width // 2)]
        if self.padding == "reflect" and (height > 1 or width > 1):
            x = reflect_pad(x, height // 2, width // 2)
            same = [(0, 0), (0, 0)]
        if time == 1:
            conv = nn.Conv(self.features, (height, width), padding=same, dtype=self.dtype)
            return unfold_time(conv(fold_time(x)), x.shape[1])
        if weight is not None:
            x = x * present(weight).astype(x.dtype)
        conv = _ConvOverTime(self.features, self.kernel, same, self.dtype, name="Conv_0")
        return conv(x)


class _ConvOverTime(nn.Module):
    """A space-time convolution as the sum of a spatial one per step in time."""

    features: int
    kernel: tuple[int, int, int]
    padding: list[tuple[int, int]]
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (*self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        frames, reach = x.shape[1], self.kernel[0] // 2
        total = bias
        for step in range(self.kernel[0]):
            y = jax.lax.conv_general_dilated(
                fold_time(shift_time(x, step - reach)),
                kernel[step],
                window_strides=(1, 1),
                padding=self.padding,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            total = total + unfold_time(y, frames)
        return total


def reflect_pad(x: jax.Array, rows: int, columns: int) -> jax.Array:
    """Pads H and W of `[B, T, H, W, C]` by reflection (by the edge where too short).

    Args:
        x: features `[B, T, H, W, C]`.
        rows: number of rows added above and below.
        columns: number of columns added left and right.
    """
    for axis, amount in ((2, rows), (3, columns)):
        widths = [(0, 0)] * x.ndim
        widths[axis] = (amount, amount)
        x = jnp.pad(x, widths, mode="reflect" if x.shape[axis] > amount else "edge")
    return x


class DoubleConv(nn.Module):
    """Twice convolution, norm, activation: the left and right part of the published networks.

    Attributes:
        features: number of output channels.
        kernel: extent of the convolutions in (time, y, x).
        norm: kind of the norm, ``"instance"`` or ``"none"``.
        norm_frames: number of frames that share their statistics (`norm.normalize`).
        activation: name of the activation in `ACTIVATIONS`.
        padding: padding of the convolutions, as in `Conv`.
        dtype: compute type; parameters stay float32.
    """

    features: int
    kernel: tuple[int, int, int] = (1, 3, 3)
    norm: Norm = "instance"
    norm_frames: int = 1
    activation: str = "relu"
    padding: Padding = "zeros"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        """Maps `[B, T, H, W, C]` with known shares `[B, T, H, W, 1]` to ``features``."""
        check_shapes(x=(x, "B T H W C"), weight=(weight, "B T H W 1"))
        for _ in range(2):
            x = Conv(self.features, self.kernel, self.padding, self.dtype)(x, weight)
            x = checkpoint_name(x, CONVOLUTION)
            if self.norm == "instance":
                x = normalize(x, weight, self.norm_frames)
            x = ACTIVATIONS[self.activation](x)
        return x


class MaxPool(nn.Module):
    """Down: the maximum over 2×2 pixels, time untouched. H and W must be even."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[B, T, H, W, C]` to `[B, T, H/2, W/2, C]`."""
        return nn.max_pool(x, (1, 2, 2), strides=(1, 2, 2))


class StridedConv(nn.Module):
    """Down, or a stem: a learned projection of each patch of ``stride``×``stride`` pixels."""

    features: int
    stride: int = 2
    dtype: Any = jnp.float32
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.linear.default_kernel_init

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[B, T, H, W, C]` to `[B, T, H/stride, W/stride, features]`."""
        window = (self.stride, self.stride)
        conv = nn.Conv(
            self.features,
            window,
            strides=window,
            padding="VALID",
            dtype=self.dtype,
            use_bias=self.use_bias,
            kernel_init=self.kernel_init,
        )
        return unfold_time(conv(fold_time(x)), x.shape[1])


class Skip(nn.Module):
    """Transit: hands the left features to the right unchanged."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns ``x``."""
        return x


class PatchUp(nn.Module):
    """Up: each pixel becomes 2×2 pixels through a linear map, as a transposed convolution would.

    A transposed convolution whose kernel equals its stride has no overlap, so it is a dense layer
    followed by depth-to-space: the same parameters, and no gather when space or time is sharded.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[B, T, H, W, C]` to `[B, T, 2H, 2W, features]`."""
        b, t, h, w, c = x.shape
        kernel = self.param(
            "kernel", nn.initializers.lecun_normal(), (c, 2, 2, self.features), jnp.float32
        )
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = jnp.einsum("bthwc,cijf->bthiwjf", x, kernel) + bias
        return y.reshape(b, t, 2 * h, 2 * w, self.features)


class ResizeUp(nn.Module):
    """Up: bilinear enlargement in space, then a 1×1 convolution to ``features`` channels."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps `[B, T, H, W, C]` to `[B, T, 2H, 2W, features]`."""
        # The 1×1 convolution commutes with the enlargement and costs a quarter before it.
        x = Conv(self.features, (1, 1, 1), dtype=self.dtype)(x)
        return enlarge(x, 2)


def enlarge(x: jax.Array, factor: int) -> jax.Array:
    """Bilinear enlargement in space by a whole factor, as `jax.image.resize` does it.

    What that takes, products with matrices, is best on TPUs alone. Sums of shifted features are
    less work on CPUs, and for some of the products XLA's compiler for GPUs finds no tiles.

    Args:
        x: features `[B, T, H, W, C]`.
        factor: factor of H and W.

    Returns:
        Features `[B, T, factor*H, factor*W, C]`; beyond the outer pixel centers the edge goes on.
    """
    by_shifts = lambda x: _enlarge_axis(_enlarge_axis(x, 3, factor), 2, factor)  # noqa: E731
    b, t, h, w, c = x.shape
    by_products = lambda x: resize(x, (b, t, h * factor, w * factor, c), "linear")  # noqa: E731
    return jax.lax.platform_dependent(x, tpu=by_products, default=by_shifts)


def _enlarge_axis(x: jax.Array, axis: int, factor: int) -> jax.Array:
    """Linear enlargement of one axis."""
    size = x.shape[axis]
    first, last = (slice_in_dim(x, i, i + 1, axis=axis) for i in (0, size - 1))
    before = jnp.concatenate([first, slice_in_dim(x, 0, size - 1, axis=axis)], axis)
    after = jnp.concatenate([slice_in_dim(x, 1, size, axis=axis), last], axis)
    new = []
    for i in range(factor):
        way = (i + 0.5) / factor - 0.5  # from the center of the old pixel to that of the new one
        new.append((1 - abs(way)) * x + abs(way) * (before if way < 0 else after))
    shape = (*x.shape[:axis], factor * size, *x.shape[axis + 1 :])
    return jnp.stack(new, axis + 1).reshape(shape)
