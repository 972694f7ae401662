"""Fills of hidden flow that need no training: by the frame's motion, by place, and by time."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from jaxmotion.motion import FRAME_MOTION, inpaint

Fill = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]
"""From flow `[T, H, W, 2]`, what of it is hidden, bool `[T, H, W]`, and where it is known, `[T, H,
W]` in {0, 1} or None for everywhere, to the flow with its hidden pixels filled."""


def fill_by_motion(
    flow: np.ndarray, hidden: np.ndarray, valid: np.ndarray | None = None
) -> np.ndarray:
    """Fills each frame with its robust quadratic motion.

    A frame without a pixel that is seen takes the motion of the nearest one in time that has some.

    Args:
        flow: `[T, H, W, 2]`, pixels per frame.
        hidden: bool `[T, H, W]`; what the flow holds there does not matter.
        valid: `[T, H, W]` in {0, 1}, where it is known; None for everywhere.

    Returns:
        float32 `[T, H, W, 2]`.
    """
    seen, flow = _seen(flow, hidden, valid)
    weights = jnp.asarray(seen, jnp.float32)[None]
    everywhere = jnp.ones(seen.shape)[None]
    motion = inpaint(jnp.asarray(flow)[None], everywhere, FRAME_MOTION, support=weights)
    motion = np.asarray(motion[0])[_nearest(np.any(seen, axis=(1, 2)))]
    return np.where(hidden[..., None], motion, flow)


def fill_by_place(
    flow: np.ndarray, hidden: np.ndarray, valid: np.ndarray | None = None
) -> np.ndarray:
    """Fills each pixel with the nearest one of its frame that is seen; arguments as above.

    A frame without any takes the nearest frame in time that has some.
    """
    seen, flow = _seen(flow, hidden, valid)
    filled = flow.copy()
    for field, known in zip(filled, seen, strict=True):
        if known.any() and not known.all():
            nearest = np.empty((2, *known.shape), np.int32)
            ndimage.distance_transform_edt(
                ~known, return_distances=False, return_indices=True, indices=nearest
            )
            field[...] = field[nearest[0], nearest[1]]
    filled = filled[_nearest(np.any(seen, axis=(1, 2)))]
    return np.where(hidden[..., None], filled, flow)


def fill_by_time(
    flow: np.ndarray, hidden: np.ndarray, valid: np.ndarray | None = None
) -> np.ndarray:
    """Fills each pixel linearly between the frames before and after that see it; as above.

    Before the first of them and after the last its flow stays. A pixel that no frame sees is filled
    by place.
    """
    seen, flow = _seen(flow, hidden, valid)
    frame = np.arange(len(flow))[:, None, None]
    before = np.maximum.accumulate(np.where(seen, frame, -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, frame, len(flow))[::-1], axis=0)[::-1]
    before, after = (
        np.where(before < 0, after, before),
        np.where(after == len(flow), before, after),
    )
    never = before == len(flow)
    before, after = (np.where(never, 0, index) for index in (before, after))
    share = (frame - before) / np.maximum(after - before, 1)
    first, last = (np.take_along_axis(flow, i[..., None], axis=0) for i in (before, after))
    filled = (first + share[..., None] * (last - first)).astype(np.float32)
    filled = np.where(never[..., None], fill_by_place(flow, hidden, valid), filled)
    return np.where(hidden[..., None], filled, flow)


FILLS: dict[str, Fill] = {"motion": fill_by_motion, "place": fill_by_place, "time": fill_by_time}
"""The fills by name."""


def hidden_error(filled: np.ndarray, flow: np.ndarray, hidden: np.ndarray) -> float:
    """Mean absolute error of the components of the hidden flow, pixels per frame.

    Args:
        filled: `[..., 2]`, what it was filled with.
        flow: `[..., 2]`, the truth.
        hidden: bool `[...]`; NaN where none is.
    """
    return float(np.abs(filled - flow)[hidden].mean()) if hidden.any() else float("nan")


def _seen(
    flow: np.ndarray, hidden: np.ndarray, valid: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """What is seen, bool `[T, H, W]`, and the flow, 0 elsewhere."""
    hidden = np.asarray(hidden, bool)
    if hidden.shape != flow.shape[:-1] or flow.ndim != 4:
        raise ValueError(f"flow {flow.shape} and hidden {hidden.shape}: expected [T, H, W]")
    seen = ~hidden if valid is None else ~hidden & (np.asarray(valid) > 0)
    return seen, np.where(seen[..., None], flow, 0).astype(np.float32)


def _nearest(some: np.ndarray) -> np.ndarray:
    """The number of the nearest frame that has something, of each frame `[T]`; itself if none."""
    frames = np.arange(len(some))
    if not some.any():
        return frames
    there = np.flatnonzero(some)
    return there[np.abs(frames[:, None] - there).argmin(axis=1)]
