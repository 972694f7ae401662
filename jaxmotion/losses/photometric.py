"""Losses of flow by the frames that it is between: unsupervised, and one value per pair `[B]`.

A flow is right where the second frame, brought back along it, looks like the first (`census`,
`ssim`); where that says nothing it changes little from a pixel to the next (`smoothness`), and
most of the frame moves with the camera (`sparsity`). What is hidden in the second frame looks like
nothing there (`visible`).

Images are `[B, H, W, C]` in 0..1, flow `[B, H, W, 2]` in pixels, `valid` `[B, H, W]` in {0, 1} or
None for everywhere.
"""

import jax
import jax.numpy as jnp

from jaxmotion.motion.global_motion import global_residual
from jaxmotion.motion.shapes import check_shapes

__all__ = ["census", "sequence", "smoothness", "sparsity", "ssim", "visible", "warp"]

# A flow and the one back agree where |f + b|² < 0.01 (|f|² + |b|²) + 0.5.
_RELATIVE, _ABSOLUTE = 0.01, 0.5


def warp(
    image: jax.Array, flow: jax.Array, origin: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Brings a frame back along the flow that leads to it, bilinearly.

    Differentiable in the flow. The flow may be of a part of the frame, so that what leaves the part
    still has its match.

    Args:
        image: frame that the flow goes to (or flow there), `[B, H, W, C]`.
        flow: `[B, h, w, 2]`, pixels.
        origin: place (x, y) of the flow's first pixel in the frame, `[B, 2]`; None for (0, 0).

    Returns:
        `[B, h, w, C]`, zero where there is no match, and float32 `[B, h, w]`, 1 where there is one.
    """
    check_shapes(image=(image, "B H W C"), flow=(flow, "B h w 2"))
    batch, height, width, channels = image.shape
    y, x = jnp.meshgrid(*(jnp.arange(float(size)) for size in flow.shape[1:3]), indexing="ij")
    place = jnp.stack([x, y], axis=-1) + flow
    if origin is not None:
        place = place + origin[:, None, None]
    last = jnp.array([width - 1.0, height - 1.0])
    inside = jnp.all((place >= 0) & (place <= last), axis=-1)
    place = jnp.where(inside[..., None], place, 0.0)
    corner = jnp.clip(jnp.floor(place), 0, jnp.maximum(last - 1, 0))
    fraction = place - corner
    left, top = corner[..., 0].astype(jnp.int32), corner[..., 1].astype(jnp.int32)
    right, bottom = jnp.minimum(left + 1, width - 1), jnp.minimum(top + 1, height - 1)
    flat = image.reshape(batch, height * width, channels)

    def pixels(rows: jax.Array, columns: jax.Array) -> jax.Array:
        index = (rows * width + columns).reshape(batch, -1, 1)
        found = jnp.take_along_axis(flat, index, axis=1, mode="promise_in_bounds")
        return found.reshape(*rows.shape, channels)

    across, down = fraction[..., :1], fraction[..., 1:]
    above = (1 - across) * pixels(top, left) + across * pixels(top, right)
    below = (1 - across) * pixels(bottom, left) + across * pixels(bottom, right)
    warped = (1 - down) * above + down * below
    return jnp.where(inside[..., None], warped, 0.0), inside.astype(jnp.float32)


def census(
    image0: jax.Array,
    image1: jax.Array,
    *,
    window: int = 7,
    noise: float = 0.9,
    valid: jax.Array | None = None,
) -> jax.Array:
    """Difference of two frames by the soft census transform of their gray values.

    Each pixel is told by which of its neighbors are brighter, d / √(noise² + d²) of their gray
    difference d; two pixels differ by the mean over the neighbors of e² / (0.1 + e²), where e is
    the difference of what tells them. Gain and offset change little.

    Args:
        image0: `[B, H, W, C]` in 0..1.
        image1: likewise, brought back to the first frame.
        window: side of the neighborhood in pixels, odd; static.
        noise: gray levels of 0..255 by which neighbors differ for sure.
        valid: `[B, H, W]`; a pixel counts with those neighbors that are valid too, as it is.

    Returns:
        `[B]`, mean over valid pixels, from 0 to 1.

    References:
        Meister, Hur and Roth, UnFlow, AAAI 2018; Jonschkowski et al., UFlow, ECCV 2020.
    """
    check_shapes(image0=(image0, "B H W C"), image1=(image1, "B H W C"), valid=(valid, "B H W"))
    gray0, gray1 = (255.0 * jnp.mean(image, axis=-1) for image in (image0, image1))
    known = jnp.ones_like(gray0) if valid is None else valid.astype(gray0.dtype)
    _, height, width = gray0.shape
    reach = window // 2
    wide0, wide1, wide_known = (
        jnp.pad(x, ((0, 0), (reach, reach), (reach, reach))) for x in (gray0, gray1, known)
    )

    def told(wide: jax.Array, gray: jax.Array, y: int, x: int) -> jax.Array:
        apart = wide[:, y : y + height, x : x + width] - gray
        return apart * jax.lax.rsqrt(noise**2 + jnp.square(apart))

    total, count = jnp.zeros_like(gray0), jnp.zeros_like(gray0)
    for y in range(window):
        for x in range(window):
            if (y, x) == (reach, reach):
                continue
            square = jnp.square(told(wide0, gray0, y, x) - told(wide1, gray1, y, x))
            there = wide_known[:, y : y + height, x : x + width]
            total += there * square / (0.1 + square)
            count += there
    return _mean(total / jnp.maximum(count, 1.0), known)


def ssim(
    image0: jax.Array, image1: jax.Array, *, window: int = 3, valid: jax.Array | None = None
) -> jax.Array:
    """Structural dissimilarity of two frames, (1 - SSIM) / 2, with means over a square.

    Args:
        image0: `[B, H, W, C]` in 0..1.
        image1: likewise, brought back to the first frame.
        window: side of the square in pixels, odd; static.
        valid: `[B, H, W]`; a square counts where all of its pixels are valid.

    Returns:
        `[B]`, mean over the squares inside of the frame and over the channels, from 0 to 1.

    References:
        Thesis eq. 7.37; Wang et al., Image quality assessment, TIP 2004.
    """
    check_shapes(image0=(image0, "B H W C"), image1=(image1, "B H W C"), valid=(valid, "B H W"))
    if valid is None:
        valid = jnp.ones(image0.shape[:3], image0.dtype)

    def mean(x: jax.Array) -> jax.Array:
        for axis in (1, 2):
            size = x.shape[axis] - window + 1
            x = sum(  # pyright: ignore[reportAssignmentType]
                jax.lax.slice_in_dim(x, start, start + size, axis=axis) for start in range(window)
            )
        return x / window**2

    mean0, mean1 = mean(image0), mean(image1)
    # Of what is left of the whole mean: single precision then does not cancel.
    variance0 = mean(jnp.square(image0)) - jnp.square(mean0)
    variance1 = mean(jnp.square(image1)) - jnp.square(mean1)
    covariance = mean(image0 * image1) - mean0 * mean1
    small, smaller = 0.01**2, 0.03**2
    likeness = (2 * mean0 * mean1 + small) * (2 * covariance + smaller)
    likeness /= (mean0**2 + mean1**2 + small) * (variance0 + variance1 + smaller)
    apart = jnp.clip((1 - jnp.mean(likeness, axis=-1)) / 2, 0.0, 1.0)
    whole = (mean(valid.astype(image0.dtype)) > 1 - 0.5 / window**2).astype(image0.dtype)
    return _mean(apart, whole)


def smoothness(flow: jax.Array, image: jax.Array, *, edge: float) -> jax.Array:
    """Differences of neighboring vectors, which weigh less across edges of the frame.

    Args:
        flow: `[B, H, W, 2]`, pixels.
        image: frame that the flow starts from, `[B, H, W, C]` in 0..1.
        edge: α; a step of 1 / α in the frame's mean color divides the weight by e.

    Returns:
        `[B]`: Σ over x and y of the mean of (|∂u| + |∂v|) exp(-α |∂I|), each along its direction.

    References:
        Thesis eq. 7.39, with both components across the same edge.
    """
    check_shapes(flow=(flow, "B H W 2"), image=(image, "B H W C"))
    total = jnp.zeros(len(flow), flow.dtype)
    for axis in (1, 2):
        steps = jnp.sum(jnp.abs(jnp.diff(flow, axis=axis)), axis=-1)
        weights = jnp.exp(-edge * jnp.mean(jnp.abs(jnp.diff(image, axis=axis)), axis=-1))
        total += jnp.mean(steps * weights, axis=(1, 2))
    return total


def sparsity(
    flow: jax.Array, image0: jax.Array, image1: jax.Array, *, change: float, window: int = 3
) -> jax.Array:
    """Length of what is left of the flow without the motion of the whole frame.

    It weighs less where the frame changes otherwise than by that motion: there something moves. The
    motion is a robust quadratic one, and a constant to the gradient.

    Args:
        flow: `[B, H, W, 2]`, pixels.
        image0: frame that the flow starts from, `[B, H, W, C]` in 0..1.
        image1: frame that the flow goes to, likewise.
        change: α; a change of 1 / α in the color divides the weight by e.
        window: side of the square over which the change is a mean, odd; static.

    Returns:
        `[B]`, mean over the pixels, in pixels.

    References:
        Thesis eq. 7.41 and 7.42, there for a camera that does not move.
    """
    check_shapes(flow=(flow, "B H W 2"), image0=(image0, "B H W C"), image1=(image1, "B H W C"))
    fixed = jax.lax.stop_gradient(flow)
    motion = fixed - global_residual(fixed[:, None])[:, 0]
    moved, inside = warp(image1, motion)
    apart = jnp.sum(jnp.abs(moved - image0), axis=-1) * inside
    sides = (1, window, window)
    total, count = (
        jax.lax.reduce_window(x, 0.0, jax.lax.add, sides, (1, 1, 1), "SAME")
        for x in (apart, inside)
    )
    weights = jnp.exp(-change * total / jnp.maximum(count, 1.0))
    square = jnp.sum(jnp.square(flow - motion), axis=-1)
    # The length has no gradient at 0, where it is least.
    length = jnp.sqrt(jnp.where(square > 0, square, 1.0)) * (square > 0)
    return jnp.mean(length * weights, axis=(1, 2))


def visible(flow: jax.Array, backward: jax.Array) -> jax.Array:
    """Tells where a pixel is visible in the other frame: the flow back leads to it again.

    Args:
        flow: `[B, H, W, 2]`, pixels.
        backward: flow of the other frame to this one, likewise.

    Returns:
        float32 `[B, H, W]`, 1 where |f + b|² < 0.01 (|f|² + |b|²) + 0.5, and where the match lies
        outside, of which nothing is known; else 0. No gradient passes through it.

    References:
        Sundaram, Brox and Keutzer, ECCV 2010; Meister, Hur and Roth, UnFlow, AAAI 2018.
    """
    check_shapes(flow=(flow, "B H W 2"), backward=(backward, "B H W 2"))
    flow, backward = jax.lax.stop_gradient((flow, backward))
    back, inside = warp(backward, flow)
    apart = jnp.sum(jnp.square(flow + back), axis=-1)
    lengths = jnp.sum(jnp.square(flow) + jnp.square(back), axis=-1)
    agrees = apart < _RELATIVE * lengths + _ABSOLUTE
    return (agrees | (inside == 0)).astype(jnp.float32)


def sequence(losses: jax.Array, decay: float) -> jax.Array:
    """The losses of all iterations as one, in which later ones weigh more.

    Args:
        losses: `[M, B]`, the loss of each iteration.
        decay: γ; the last one weighs 1, each one before it γ times as much as the next.

    Returns:
        `[B]`, the weighted sum.

    References:
        Thesis eq. 7.36, with γ^(M - k).
    """
    number = len(losses)
    weights = decay ** jnp.arange(number - 1, -1, -1, dtype=losses.dtype)
    return jnp.sum(weights[:, None] * losses, axis=0)


def _mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighted means over the pixels `[B, H, W]`; 0 where nothing counts."""
    total = jnp.sum(weights * values, axis=(1, 2))
    return total / jnp.maximum(jnp.sum(weights, axis=(1, 2)), 1.0)
