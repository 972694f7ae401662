"""Layers of a flow field: affine motions peeled off one after the other, the widest first."""

import functools
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.motion import MotionModel, fit, global_residual, parametric_flow

INLIER = 1.6
"""Greatest mean deviation of an inlier, in root mean squares of the residual (β, thesis §5.2.2)."""

LEAST_PIXELS = 50
"""Number of pixels that are left over as the last layer."""

_AFFINE = MotionModel(spatial="affine")
_DELTA = 1.35  # of Huber's penalty, in standard deviations: 95 % efficient for Gaussian errors
_SPOT_BLUR = 0.7  # pixels
_SPOT_LEVEL = 0.15  # of the greatest relevance of a frame, above which there is a spot
_SPOT_COSINE = 0.7  # least cosine between the flow of a pixel and that of a spot
_SPOT_SHARE = 0.3  # of the relevance of the connected part that has most of it
_AT_ONCE = 16  # frames of one call of the compiled program
_MOST_LAYERS = 254


class LayerFit(NamedTuple):
    """One affine motion of a part of each frame.

    Attributes:
        motion: `[T, H, W, 2]`, extended over the frame, pixels per frame.
        inlier: bool `[T, H, W]`, the pixels of the part that it explains.
    """

    motion: jax.Array
    inlier: jax.Array


def motion_layers(flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Splits each frame into layers that an affine motion explains.

    A motion is fitted to what is left of the frame, its inliers become a layer, and so on until at
    most `LEAST_PIXELS` are left, which are the last layer. Each time at least 37.5 % are inliers
    (Markov's inequality), so that 128×224 pixels have at most 14 layers.

    Neither the unit of the flow nor an affine motion added to it changes the layers.

    Args:
        flow: `[T, H, W, 2]`, pixels per frame.
        valid: `[T, H, W]` in {0, 1}, where it is known; None for everywhere.

    Returns:
        Layers, uint8 `[T, H, W]`, from 0 on in the order they were found; 255 where the flow is not
        known.

    Raises:
        ValueError: for shapes that do not match.

    References:
        Thesis §5.2.2 and eq. 5.5, where the deviations are weighted by the standard deviations;
        right is by their inverse, or the unit of the flow decides.
    """
    flow = np.asarray(flow, np.float32)
    known = np.ones(flow.shape[:-1], bool) if valid is None else np.asarray(valid) > 0
    if flow.ndim != 4 or flow.shape[-1] != 2 or known.shape != flow.shape[:3]:
        raise ValueError(
            f"flow {flow.shape} and valid {known.shape}: expected [T, H, W, 2] and [T, H, W]"
        )
    layers = np.full(known.shape, 255, np.uint8)
    for start in range(0, len(flow), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        missing = _AT_ONCE - len(flow[part])
        fields = np.pad(flow[part], [(0, missing)] + [(0, 0)] * 3)
        rest = np.pad(known[part], [(0, missing)] + [(0, 0)] * 2)
        found = layers[part]
        for number in range(_MOST_LAYERS):
            count = rest.sum(axis=(1, 2))
            if not count.any():
                break
            inlier = rest.copy()
            if (count > LEAST_PIXELS).any():
                inlier = np.array(layer_fit(fields, rest).inlier)
                inlier[count <= LEAST_PIXELS] = rest[count <= LEAST_PIXELS]
            found[inlier[: len(found)]] = number
            rest = rest & ~inlier
    return layers


@jax.jit
def layer_fit(flow: jax.Array, part: jax.Array) -> LayerFit:
    """Fits an affine motion to a part of each frame, and tells which pixels it explains.

    Args:
        flow: `[T, H, W, 2]`, pixels per frame.
        part: bool `[T, H, W]`.
    """
    inside = part[..., None]
    flow = jnp.where(inside, flow, 0)
    first = _fitted(flow, part, "l1", 1.0)
    scale = 1.4826 * jnp.nanmedian(
        jnp.where(inside, jnp.abs(flow - first), jnp.nan), axis=(1, 2), keepdims=True
    )
    spread = jnp.sqrt(jnp.mean(jnp.square(flow), axis=(1, 2), keepdims=True))
    # An exact motion has no scale: anything below all others will do.
    scale = jnp.maximum(jnp.nan_to_num(scale), 1e-6 * spread + 1e-12)
    motion = scale * _fitted(flow / scale, part, "huber", _DELTA)
    residual = jnp.abs(flow - motion)
    count = jnp.maximum(jnp.sum(inside, axis=(1, 2), keepdims=True), 1)
    square = jnp.sum(jnp.where(inside, jnp.square(residual), 0), axis=(1, 2), keepdims=True)
    deviation = jnp.sqrt(square / count)
    # 0 / 0 is a pixel that is explained.
    relative = residual / jnp.maximum(deviation, 1e-5 * spread + 1e-30)
    return LayerFit(motion, part & (jnp.mean(relative, axis=-1) < INLIER))


@functools.partial(jax.jit, static_argnames="penalty")
def _fitted(flow: jax.Array, part: jax.Array, penalty: str, delta: float) -> jax.Array:
    """The affine motion `[T, H, W, 2]` of a part of each frame."""
    masks = part[:, None, ..., None].astype(flow.dtype)
    theta = fit(
        flow[:, None],
        masks,
        _AFFINE,
        penalty=penalty,  # pyright: ignore[reportArgumentType]
        huber_delta=delta,
        passes=8,
    ).theta
    return parametric_flow(_AFFINE, theta, (1, *flow.shape[1:3]))[:, 0, 0]


def alike(
    flow: np.ndarray,
    relevance: np.ndarray,
    valid: np.ndarray | None = None,
    *,
    least: float = -0.5,
    most: float = 4.0,
    remove_global_motion: bool = True,
) -> np.ndarray:
    """The pixels whose flow is like the flow of what is relevant: the light second step.

    Args:
        flow: `[T, H, W, 2]`, pixels per frame.
        relevance: `[T, H, W]`, not negative.
        valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.
        least: least `w · w' / |w'|² - 1` for the flow w of a pixel and the mean w' (α₁).
        most: its greatest value (α₂).
        remove_global_motion: whether flow is that without the motion of the frame. As published it
            is not, and ``least`` is -0.01: a camera that moves then changes the answer, and half of
            a region that moves as one lies below its own mean.

    Returns:
        bool `[T, H, W]`.

    References:
        Thesis §5.2.2, the crowd.
    """
    flow = np.asarray(flow, np.float32)
    known = np.ones(flow.shape[:-1], np.float32) if valid is None else np.asarray(valid > 0)
    if remove_global_motion:
        flow = _residuals(flow, known)
    weight = np.square(relevance) * known
    total = weight.sum(axis=(1, 2))
    mean = (weight[..., None] * flow).sum(axis=(1, 2)) / np.maximum(total, 1e-30)[:, None]
    square = (mean**2).sum(axis=-1)[:, None, None]
    along = (flow * mean[:, None, None]).sum(axis=-1) / np.maximum(square, 1e-30) - 1
    return (along > least) & (along < most) & (known > 0) & (square > 0)


def alike_spots(
    flow: np.ndarray,
    relevance: np.ndarray,
    valid: np.ndarray | None = None,
    *,
    least: float = -0.5,
    most: float = 4.0,
) -> np.ndarray:
    """The pixels around each spot of relevance whose flow is like that of the spot.

    Of several things that move, each in its own direction, the mean flow of all that is relevant
    (`alike`) is the flow of none. Here each spot has its mean, of the flow without the motion of
    the frame, and what is alike counts where it is connected with the spot.

    Args:
        flow: `[T, H, W, 2]`, pixels per frame.
        relevance: `[T, H, W]`, not negative.
        valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.
        least: least `w · w' / |w'|² - 1` for the flow w of a pixel and the mean w' of the spot.
        most: its greatest value.

    Returns:
        bool `[T, H, W]`.
    """
    flow = np.asarray(flow, np.float32)
    known = np.ones(flow.shape[:-1], np.float32) if valid is None else np.asarray(valid > 0)
    flow, found = _residuals(flow, known), np.zeros(flow.shape[:-1], bool)
    for t, frame in enumerate(flow):
        weight = np.asarray(relevance[t], np.float32) * known[t]
        blurred = cv2.GaussianBlur(weight, (0, 0), _SPOT_BLUR)
        spots = (blurred > _SPOT_LEVEL * blurred.max()).astype(np.uint8)
        count, numbers = cv2.connectedComponents(spots, connectivity=8)
        length = np.linalg.norm(frame, axis=-1)
        for number in range(1, count):
            spot = numbers == number
            share = np.where(spot, weight, 0) ** 2
            if not share.sum() > 0:
                continue
            mean = np.tensordot(share, frame, 2) / share.sum()
            square, along = float(mean @ mean), frame @ mean
            part = along / max(square, 1e-30) - 1
            like = (part > least) & (part < most) & (along > _SPOT_COSINE * length * square**0.5)
            _, regions = cv2.connectedComponents((like & (known[t] > 0)).astype(np.uint8))
            evidence = np.bincount(regions[spot], weight[spot], regions.max() + 1)
            evidence[0] = 0
            kept = np.flatnonzero(evidence > max(_SPOT_SHARE * evidence.max(), 0))
            found[t] |= np.isin(regions, kept)
    return found


def _residuals(flow: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The flow `[T, H, W, 2]` without the motion of each frame, one frame at a time."""
    known = np.asarray(known, np.float32)
    frames = [_residual(flow[t : t + 1, None], known[t : t + 1, None]) for t in range(len(flow))]
    return np.concatenate([np.asarray(frame)[0] for frame in frames])


_residual = jax.jit(global_residual)
