"""The labels that a network gives a video, cut by cut."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jaxmotion.data.transforms import Size, likeliest_labels
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.inference.outlines import sharpen

Predictor = Callable[..., np.ndarray]
"""Flow [T, h, w, 2], and valid [T, h, w] where not all of it is known, to masks [T, h, w, K]."""


def predict_labels(
    predict: Predictor,
    flow: np.ndarray,
    size: Size,
    protocol: Protocol,
    valid: np.ndarray | None = None,
    frame: Callable[[int], np.ndarray] | None = None,
) -> tuple[np.ndarray, int]:
    """Segments a sequence cut by cut.

    Args:
        predict: function that gives the masks of flow.
        flow: `[T, h, w, 2]`, pixels per frame.
        size: height and width of the annotation.
        protocol: protocol that says how the sequence is cut.
        valid: bool `[T, h, w]`, where the flow is known; None for everywhere.
        frame: function that gives the frame of a number, uint8 `[H, W, 3]`, which outlines then
            follow (`sharpen`); None to leave them as they are.

    Returns:
        Labels uint8 `[T, H, W]`, and K. The probabilities are upsampled bilinearly before each
        pixel takes its likeliest segment.
    """
    labels, num_labels = np.empty((len(flow), *size), np.uint8), 1

    def label(number: int, masks: np.ndarray) -> np.ndarray:
        if frame is not None:
            masks = sharpen(masks, frame(number))
        return likeliest_labels(masks, size)

    for cut in protocol.cuts(len(flow)):
        known = () if valid is None or valid[cut].all() else (valid[cut],)
        masks = np.asarray(predict(flow[cut], *known), np.float32)
        if masks.ndim != 4 or masks.shape[:-1] != flow[cut].shape[:-1]:
            raise ValueError(f"predictor gave masks {masks.shape} for flow {flow[cut].shape}")
        num_labels = max(num_labels, masks.shape[-1])  # each cut may choose its own
        numbers = range(len(flow))[cut]
        with ThreadPoolExecutor() as pool:  # OpenCV and numpy leave the interpreter lock alone
            labels[cut] = list(pool.map(label, numbers, masks))
    return labels, num_labels
