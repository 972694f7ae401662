"""Statistics of features over the known pixels of blocks of frames."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion.sharding import devices_along

# The root mean square of all pixels, known or not, in standard deviations of the known ones, above
# which these few are too much alike to say how large the others may be.
_MOST_SPREAD = 8.0


def known_share(valid: jax.Array | None) -> jax.Array | None:
    """`valid`, `[B, T, H, W]`, as the weight `[B, T, H, W, 1]` that goes along with features."""
    return None if valid is None else (valid > 0).astype(jnp.float32)[..., None]


def shrink(weight: jax.Array | None, factor: int) -> jax.Array | None:
    """The known share of each patch of pixels.

    Args:
        weight: known share of each pixel, `[B, T, H, W, 1]`; None for all known.
        factor: side of a patch, in pixels; H and W are multiples of it.

    Returns:
        `[B, T, H / factor, W / factor, 1]`, or None.
    """
    if weight is None or factor == 1:
        return weight
    # A mean over axes of a reshaped array is among the dearest kernels of a whole step on a TPU.
    patch = (1, 1, factor, factor, 1)
    sums = jax.lax.reduce_window(weight, 0.0, jax.lax.add, patch, patch, "VALID")
    return sums / factor**2


def present(weight: jax.Array) -> jax.Array:
    """Weights of frames, 1 with a known pixel and 0 for padding: `[B, T, 1, 1, 1]`."""
    return jnp.max(jnp.ceil(weight), axis=(2, 3), keepdims=True)


def normalize(
    x: jax.Array, weight: jax.Array | None, frames: int, epsilon: float = 1e-5
) -> jax.Array:
    """Zero mean and unit variance of each channel over a block of frames; nothing is learned.

    ``frames = 1`` is the instance norm of a 2D network, a block as long as the clip that of a 3D
    one, and blocks of 9 the published norm of LT-MS, which makes a clip of any length look like
    those of training. The statistics are float32 whatever the compute type.

    Args:
        x: features `[B, T, H, W, C]`.
        weight: known share of each pixel, `[B, T, H, W, 1]`; None for all known.
        frames: number of frames of a block (`block_mean`).
        epsilon: small number added to the variance.

    Returns:
        `[B, T, H, W, C]` in the type of ``x``; zeros in a block of which nothing is known.
    """
    y = x.astype(jnp.float32)
    mean_of_all = mean_of = lambda z: jnp.mean(z, axis=(2, 3))
    if weight is None:
        count = jnp.ones((*y.shape[:2], 1))
    else:
        count = jnp.sum(weight, axis=(2, 3))
        mean_of = lambda z: jnp.sum(z * weight, axis=(2, 3)) / jnp.maximum(count, 1e-6)  # noqa: E731
    # Of each frame about its own mean, of frames about the clip's: no cancellation in float32.
    mean = mean_of(y)
    squared = jnp.square(y - mean[:, :, None, None])
    variance, spread = mean_of(squared), mean_of_all(squared)
    known = count
    if frames > 1:
        total = jnp.maximum(jnp.sum(count, axis=1, keepdims=True), 1e-6)
        center = jnp.sum(mean * count, axis=1, keepdims=True) / total
        shift = mean - center
        some = jnp.sign(count)
        # One sum over blocks of all of it: where devices share the frames, each is an exchange.
        parts = [shift * count, (variance + jnp.square(shift)) * count, count]
        if weight is not None:
            parts += [(spread + jnp.square(shift)) * some, some]
        sums = _over_block(jnp.concatenate(parts, axis=-1), count, frames)
        ends = np.cumsum([part.shape[-1] for part in parts])[:-1]
        mean, variance, known, *others = jnp.split(sums, ends, axis=-1)
        mean = mean / jnp.maximum(known, 1e-6)
        variance = variance / jnp.maximum(known, 1e-6) - jnp.square(mean)
        if others:
            spread = others[0] / jnp.maximum(others[1], 1e-6)
        mean += center
    if weight is not None:
        # Divided by the deviation of a few pixels that are alike, the others would grow from layer
        # to layer without a bound. Infinite where none is known, which gives zeros. It is said of
        # the variance: where all is known, the compiled arithmetic stays as it is, bit by bit.
        variance = jnp.maximum(variance, spread / _MOST_SPREAD**2)
        variance = jnp.where(known > 0, variance, jnp.inf)
    scale = jax.lax.rsqrt(jnp.maximum(variance, 0) + epsilon)
    return ((y - mean[:, :, None, None]) * scale[:, :, None, None]).astype(x.dtype)


def block_mean(values: jax.Array, count: jax.Array, frames: int) -> jax.Array:
    """The mean of per-frame values over the block of frames that each frame belongs to.

    Blocks start at the first frame. Where the last one would be shorter than the others, its frames
    take the mean over the last ``frames`` frames of the clip instead, so that a clip of 10 does not
    end with a frame that stands for itself. The clip ends at its last frame with a known pixel:
    padding behind it changes nothing.

    Args:
        values: values of each frame, `[B, T, C]`.
        count: weight of each frame, `[B, T, 1]`; 0 for padding.
        frames: number of frames of a block.

    Returns:
        The mean at each frame, `[B, T, C]`.
    """
    if frames == 1:
        return values
    sums = _over_block(jnp.concatenate([values * count, count], axis=-1), count, frames)
    return sums[..., :-1] / jnp.maximum(sums[..., -1:], 1e-6)


def _over_block(x: jax.Array, count: jax.Array, frames: int) -> jax.Array:
    """The sum of `[B, T, C]` over the block of each frame, as `block_mean` has its blocks."""
    num_frames = x.shape[1]
    index = jnp.arange(num_frames)[None, :, None]
    length = jnp.max(jnp.where(count > 0, index + 1, 0), axis=1, keepdims=True)
    last = (index >= length - frames) & (index < length)
    short = index >= length // frames * frames
    if not isinstance(num_frames, int):
        # Of an exported program that is for many lengths: each frame fetches its block.
        start = jnp.arange(num_frames) // frames * frames
        block = start[:, None] + jnp.arange(frames)
        full = jnp.take(x, block, axis=1, mode="fill", fill_value=0).sum(axis=2)
    elif devices_along("time", num_frames) > 1:
        # Devices that share the frames add up what each knows of every block. To cut the frames
        # into blocks would move them, once for every block that lies on two devices.
        block = np.arange(num_frames) // frames
        member = jnp.asarray(block[:, None] == np.arange(block[-1] + 1))
        member = jnp.broadcast_to(member, (x.shape[0], *member.shape))
        member = jnp.concatenate([member, last], axis=-1).astype(x.dtype)
        exact = jax.lax.Precision.HIGHEST
        sums = jnp.einsum("btc,btn->bnc", x, member, precision=exact)
        return jnp.where(short, sums[:, -1:], sums[:, block])
    else:
        padded = jnp.pad(x, [(0, 0), (0, -num_frames % frames), (0, 0)])
        sums = padded.reshape(x.shape[0], -1, frames, x.shape[2]).sum(axis=2)
        full = jnp.repeat(sums, frames, axis=1)[:, :num_frames]
    return jnp.where(short, jnp.sum(jnp.where(last, x, 0), axis=1, keepdims=True), full)
