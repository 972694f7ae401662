"""How a video is segmented and scored: cuts, selection, upsampling, official measures."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from jaxmotion.data.transforms import resize_masks
from jaxmotion.errors import InputError
from jaxmotion.evaluation.scores import boundary_f, jaccard, sequence_statistics
from jaxmotion.evaluation.selection import RULES, select_foreground

Predictor = Callable[[np.ndarray], np.ndarray]
"""Flow [T, h, w, 2] to masks [T, h, w, K]."""


@dataclass(frozen=True)
class Protocol:
    """What is segmented at once and what counts.

    Attributes:
        select: Rule that reads the segments as one foreground, see `select_foreground`.
        cut: Frames given to the predictor at once, and for which the foreground is selected
            together; 0 takes the whole sequence. The last cut may be shorter.
        frames: `"flow"` scores every frame that has a flow, all but the last. `"official"` leaves
            out the first as well, as the DAVIS 2016 benchmark and the published scores do.
    """

    select: str = "except_largest"
    cut: int = 0
    frames: Literal["flow", "official"] = "flow"

    def __post_init__(self):
        if self.select not in RULES:
            raise InputError(f"--select {self.select}: unknown rule, expected {', '.join(RULES)}")
        if self.cut < 0:
            raise InputError(f"--cut {self.cut}: expected a number of frames, or 0 for all")

    def cuts(self, num_frames: int) -> Iterator[slice]:
        """The runs of frames that are segmented together."""
        step = self.cut or num_frames
        for start in range(0, num_frames, step):
            yield slice(start, min(start + step, num_frames))

    def scored(self, num_frames: int) -> slice:
        """The frames that count; at least one."""
        return slice(1 if self.frames == "official" and num_frames > 1 else 0, num_frames)


@dataclass(frozen=True)
class SequenceScores:
    """Official measures of one sequence.

    Attributes:
        jaccard: float64 `[T]`, per scored frame.
        boundary_f: float64 `[T]`.
    """

    jaccard: np.ndarray
    boundary_f: np.ndarray

    def statistics(self) -> dict[str, float]:
        """`J_mean`, `J_recall`, `J_decay`, `F_mean`, `F_recall`, `F_decay`."""
        names = ("mean", "recall", "decay")
        values = {}
        for measure, scores in (("J", self.jaccard), ("F", self.boundary_f)):
            for name, value in zip(names, sequence_statistics(scores), strict=True):
                values[f"{measure}_{name}"] = value
        return values


def segment(predict: Predictor, flow: np.ndarray, gt: np.ndarray, protocol: Protocol):
    """Segments a sequence cut by cut and selects its foreground.

    Args:
        predict: Flow `[T, h, w, 2]` to masks `[T, h, w, K]`.
        flow: `[T, h, w, 2]`.
        gt: bool `[T, H, W]`, for the rules that look at it, and for the size.
        protocol: Cuts and selection.

    Returns:
        labels uint8 `[T, H, W]` and foreground bool `[T, H, W]`, both at the size of `gt`: the
        probabilities are upsampled bilinearly before each pixel takes its likeliest segment.
    """
    labels = np.empty(gt.shape, np.uint8)
    foreground = np.empty(gt.shape, bool)
    for cut in protocol.cuts(len(flow)):
        masks = np.asarray(predict(flow[cut]), np.float32)
        if masks.ndim != 4 or masks.shape[:-1] != flow[cut].shape[:-1]:
            raise ValueError(f"predictor gave masks {masks.shape} for flow {flow[cut].shape}")
        labels[cut] = _upsampled_labels(masks, gt.shape[1:])
        foreground[cut] = select_foreground(labels[cut], gt[cut], protocol.select)
    return labels, foreground


def upsample_foreground(foreground: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Foreground probability [T, h, w] to bool [T, H, W]: bilinear, then above one half."""
    return _per_frame(lambda frame: _resize_plane(frame, size) > 0.5, foreground)


def shrink_ground_truth(gt: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Share of every pixel of a smaller grid that the object covers: [T, H, W] -> [T, h, w]."""
    return _per_frame(
        lambda frame: cv2.resize(
            frame.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_AREA
        ),
        gt,
    )


def score(foreground: np.ndarray, gt: np.ndarray, protocol: Protocol) -> SequenceScores:
    """Scores a foreground [T, H, W] against the ground truth with the official measures."""
    counted = protocol.scored(len(gt))
    pairs = list(zip(gt[counted], foreground[counted], strict=True))
    both = _per_frame(lambda pair: np.stack([jaccard(*pair), boundary_f(*pair)]), pairs)
    return SequenceScores(jaccard=both[:, 0], boundary_f=both[:, 1])


def _upsampled_labels(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return _per_frame(lambda frame: resize_masks(frame, size).argmax(-1).astype(np.uint8), masks)


def _resize_plane(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return resize_masks(plane[..., None], size)[..., 0]


def _per_frame(function, frames) -> np.ndarray:
    """Maps frames in threads: OpenCV and numpy leave the interpreter lock alone."""
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(function, frames)))
