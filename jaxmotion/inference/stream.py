"""Masks of a video while its flow arrives, with the same labels in all frames."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from jaxmotion.data.transforms import resize_flow_and_valid, resize_masks
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.inference.linking import link_masks, unroll
from jaxmotion.inference.tracking import bridge_gaps, keep_labels
from jaxmotion.inference.windows import run_windows


def segment_stream(
    masks_of: Callable[[np.ndarray, np.ndarray], np.ndarray],
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    working_size: Callable[[int, int], tuple[int, int]],
    inference: InferenceConfig,
) -> Iterator[np.ndarray]:
    """Segments the windows of a video and links their labels.

    Args:
        masks_of: function from flow `[N, T, h, w, 2]` and valid `[N, T, h, w]` to masks
            `[N, T, h, w, K]`.
        frames: flow `[H, W, 2]` and valid `[H, W]` of each frame.
        working_size: function from rows and columns of the flow to those at which it is segmented.
        inference: length and overlap of the windows, and how they are linked.

    Yields:
        Masks `[H, W, K]` of each frame in turn.
    """
    size = (0, 0)

    def shrunk() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal size
        for flow, valid in frames:
            size = valid.shape
            yield resize_flow_and_valid(flow, valid, working_size(*size))

    windows = run_windows(masks_of, shrunk(), inference, bucketed=True)
    clips = ((start, masks[:length]) for start, length, masks in windows)
    if inference.overlap:
        clips = link_masks(clips, inference.linking)
    video = unroll(clips)
    if inference.linking == "assignment":
        video = bridge_gaps(keep_labels(video))
    for masks in video:
        yield resize_masks(masks, size)
