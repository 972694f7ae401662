"""From flow to labels at the size of the annotation, cut by cut."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from jaxmotion.data.transforms import resize_masks
from jaxmotion.evaluation.protocol import Protocol

Predictor = Callable[..., np.ndarray]
"""Flow [T, h, w, 2], and valid [T, h, w] where not all of it is known, to masks [T, h, w, K]."""


def predict_labels(
    predict: Predictor,
    flow: np.ndarray,
    size: tuple[int, int],
    protocol: Protocol,
    valid: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """Segments a sequence cut by cut.

    Args:
        predict: Gives the masks.
        flow: `[T, h, w, 2]`.
        size: Height and width of the annotation.
        protocol: Says how the sequence is cut.
        valid: bool `[T, h, w]`, where the flow is known; None for everywhere.

    Returns:
        Labels uint8 `[T, H, W]`, and K. The probabilities are upsampled bilinearly before each
        pixel takes its likeliest segment.
    """
    labels, num_labels = np.empty((len(flow), *size), np.uint8), 1
    for cut in protocol.cuts(len(flow)):
        known = () if valid is None or valid[cut].all() else (valid[cut],)
        masks = np.asarray(predict(flow[cut], *known), np.float32)
        if masks.ndim != 4 or masks.shape[:-1] != flow[cut].shape[:-1]:
            raise ValueError(f"predictor gave masks {masks.shape} for flow {flow[cut].shape}")
        num_labels = masks.shape[-1]
        labels[cut] = per_frame(lambda frame: _likeliest(frame, size), masks)
    return labels, num_labels


def upsample_foreground(foreground: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Foreground probability [T, h, w] to bool [T, H, W]: bilinear, then above one half."""
    return per_frame(lambda frame: resize_masks(frame[..., None], size)[..., 0] > 0.5, foreground)


def shrink_ground_truth(gt: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Share of every pixel of a smaller grid that the object covers: [T, H, W] -> [T, h, w]."""
    return per_frame(
        lambda frame: cv2.resize(
            frame.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_AREA
        ),
        gt,
    )


def _likeliest(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The likeliest segment of every pixel after upsampling: [h, w, K] -> uint8 [H, W].

    Plane by plane, the first of equals winning: half the time of an argmax over the last axis.
    """
    labels, best = np.zeros(size, np.uint8), None
    for label in range(masks.shape[-1]):
        plane = resize_masks(masks[..., label : label + 1], size)[..., 0]
        if best is None:
            best = plane
        else:
            np.putmask(labels, plane > best, label)
            best = np.maximum(best, plane)
    return labels


def per_frame(function: Callable[[np.ndarray], np.ndarray], frames) -> np.ndarray:
    """Maps frames in threads: OpenCV and numpy leave the interpreter lock alone."""
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(function, frames)))
