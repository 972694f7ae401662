"""Strata: the frames of any annotated video in which something makes its objects hard to segment.

They are found from masks and flow alone, so that every data set has them, and tell what a mean over
all frames hides. A frame may be in several.
"""

from collections.abc import Mapping

import cv2
import numpy as np

from jaxmotion.motion import frame_motion

STRATA: dict[str, str] = {
    "occluded": "less than half of the object's usual area is visible, away from the border",
    "at rest": "the flow of the object is that of the scene, to 0.3 px per frame",
    "fast": "the object's center moves by more than 3 % of the frame per frame",
    "several objects": "more than one annotated object",
    "shaking camera": "the motion of the scene changes by more than 0.5 % of the frame per frame",
}
"""What the frames of a stratum have in common, by its name."""

VISIBLE_SHARE = 0.5
REST = 0.3  # pixels per frame
FAST = 0.03  # of the frame, per frame
SHAKE = 0.005  # of the frame's width, per frame and frame
_USUAL = 25  # frames over which the area that is usual is a median

Strata = dict[str, tuple[bool, ...]]
"""Whether each scored frame is in a stratum, by the name of the stratum."""


def find_strata(
    labels: np.ndarray,
    frames: np.ndarray,
    flow: np.ndarray | None,
    valid: np.ndarray | None = None,
) -> Strata:
    """Sorts the annotated frames of a video into `STRATA`.

    Args:
        labels: annotated labels `[n, H, W]`, 0 for the background, at the size that the vectors of
            the flow are measured in.
        frames: index of each within the video `[n]`, ascending.
        flow: flow of the video `[T, h, w, 2]`, pixels per frame; None where there is none, which
            leaves out the strata of motion.
        valid: `[T, h, w]` in {0, 1}, where the flow is known; None for everywhere.

    Returns:
        The strata of which it can be told, each with a value per frame.
    """
    areas = (labels > 0).mean(axis=(1, 2))
    found = {
        "occluded": _is_occluded(labels, areas),
        "several objects": np.array([len(np.unique(frame[frame > 0])) > 1 for frame in labels]),
        "fast": _is_fast(labels, frames),
    }
    if flow is not None and len(labels):
        known = np.ones(flow.shape[:3], bool) if valid is None else np.asarray(valid) > 0
        flow = np.where(known[..., None], flow, 0).astype(np.float32)
        inside = [_shrunk(frame > 0, flow.shape[1:3]) for frame in labels]
        scene = _scene(flow, known, dict(zip(frames.tolist(), inside, strict=True)))
        found["at rest"] = np.zeros(len(labels), bool)
        for i, t in enumerate(frames):
            if t < len(flow) and (there := inside[i] & known[t]).any():
                apart = np.linalg.norm(flow[t] - scene[t], axis=-1)[there]
                found["at rest"][i] = np.median(apart) < REST
        shaken = _is_shaken(scene, labels.shape[2])
        found["shaking camera"] = shaken[np.minimum(frames, len(flow) - 1)]
    return {name: tuple(found[name].tolist()) for name in STRATA if name in found}


def recovery(scores: np.ndarray, inside: Mapping[str, tuple[bool, ...]], name: str) -> list[float]:
    """Frames until the score of a video is above one half again, after each stay in a stratum.

    Args:
        scores: score of each scored frame `[n]`.
        inside: the strata of these frames.
        name: name of the stratum.

    Returns:
        A number for each stay that ends before the video does: scored frames from its end to the
        first with a score above 0.5, 0 where it is the next one; infinite where there is none.
    """
    member = np.array(inside.get(name, ()), bool)
    ends = np.flatnonzero(member[:-1] & ~member[1:]) + 1
    waits = []
    for end in ends:
        above = np.flatnonzero(scores[end:] > 0.5)
        waits.append(float(above[0]) if len(above) else float("inf"))
    return waits


def _is_occluded(labels: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Frames with little of the usual area, of which none lies on the border of the frame."""
    reach = _USUAL // 2
    usual = np.array(
        [np.median(areas[max(0, t - reach) : t + reach + 1]) for t in range(len(areas))]
    )
    border = np.ones(labels.shape[1:], bool)
    border[1:-1, 1:-1] = False
    leaves = (labels[:, border] > 0).any(axis=1)
    return (areas < VISIBLE_SHARE * usual) & ~leaves


def _is_fast(labels: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Frames whose center of all objects has come a long way since the annotated frame before."""
    height, width = labels.shape[1:]
    is_fast, last = np.zeros(len(labels), bool), None
    for i, frame in enumerate(labels):
        y, x = np.nonzero(frame)
        center = np.array([y.mean() / height, x.mean() / width]) if len(y) else None
        if center is not None and last is not None:
            steps = frames[i] - frames[i - 1]
            is_fast[i] = np.linalg.norm(center - last) / max(steps, 1) > FAST
        last = center
    return is_fast


def _scene(flow: np.ndarray, known: np.ndarray, inside: dict[int, np.ndarray]) -> np.ndarray:
    """The motion of the scene `[T, h, w, 2]`: the robust motion of what is no annotated object."""
    nothing = np.zeros(flow.shape[1:3], bool)
    motions = [
        frame_motion(frame, known[t] & ~inside.get(t, nothing)) for t, frame in enumerate(flow)
    ]
    return np.stack([np.asarray(motion) for motion in motions])


def _is_shaken(scene: np.ndarray, width: int) -> np.ndarray:
    """Frames `[T]` of which the scene's mean motion is far from that of the frame before."""
    mean = scene.mean(axis=(1, 2), dtype=np.float64)
    jumps = np.linalg.norm(np.diff(mean, axis=0), axis=-1)
    return np.concatenate([[False], jumps > SHAKE * width])


def _shrunk(mask: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A mask at another size, `[h, w]`."""
    return cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA) > 0.5
