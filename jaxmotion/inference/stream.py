"""Masks of a video while its flow arrives, with the same labels in all frames."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, cast

import cv2
import jax
import numpy as np

from jaxmotion.data.transforms import resize_flow_and_valid, resize_masks
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.inference.linking import link_masks, unroll
from jaxmotion.inference.tracking import bridge_gaps, keep_labels
from jaxmotion.inference.windows import by_frame, run_windows
from jaxmotion.networks import Attention, NetworkConfig, Segmentation, build_segmenter
from jaxmotion.tasks.observation import observe

_log = logging.getLogger(__name__)


class Attended(NamedTuple):
    """The masks of clips or of a frame, and the weights of the network's gate.

    Attributes:
        masks: `[..., H, W, K]`.
        attention: weight of each frame, `[...]`, and of its cells, `[..., h, w]`; None without a
            gate.
    """

    masks: np.ndarray
    attention: Attention | None


def weights_of_pixels(attention: Attention, cell: int, size: tuple[int, int]) -> np.ndarray:
    """The weights of a frame's regions as weights of its pixels.

    Args:
        attention: weights of a frame.
        cell: side of a region in pixels, `NetworkConfig.reduction`.
        size: `(height, width)` that the network worked at, which the last regions may exceed.

    Returns:
        float32 `[height, width]` in [0, 1], bilinear between the centers of the regions, as the
        gate multiplies them.
    """
    height, width = attention.regions.shape
    enlarged = cv2.resize(np.asarray(attention.regions, np.float32), (width * cell, height * cell))
    return enlarged[: size[0], : size[1]]


def apply_network(
    network: NetworkConfig, params: Any, flow: jax.Array, valid: jax.Array
) -> Segmentation:
    """Applies a network to clips.

    Args:
        network: configuration of the network.
        params: its parameters.
        flow: `[B, T, H, W, 2]`, pixels per frame.
        valid: `[B, T, H, W]` in {0, 1}, where it is known.
    """
    seen = observe(flow, valid, network)
    output = build_segmenter(network).apply({"params": params}, seen.features, seen.valid)
    return cast(Segmentation, output)


def attended(network: NetworkConfig, params: Any, flow: jax.Array, valid: jax.Array) -> Attended:
    """The masks and weights of clips; arguments as in `apply_network`."""
    found = apply_network(network, params, flow, valid)
    return Attended(cast(np.ndarray, found.masks), found.attention)


def segment_stream(
    segment: Callable[[np.ndarray, np.ndarray], Attended],
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    working_size: Callable[[int, int], tuple[int, int]],
    inference: InferenceConfig,
) -> Iterator[Attended]:
    """Segments the windows of a video and links their labels.

    Args:
        segment: function from flow `[N, T, h, w, 2]` and valid `[N, T, h, w]` to what it finds,
            `[N, T, ...]`.
        frames: flow `[H, W, 2]` and valid `[H, W]` of each frame.
        working_size: function from rows and columns of the flow to those at which it is segmented.
        inference: length and overlap of the windows, and how they are linked.

    Yields:
        Masks `[H, W, K]` of each frame in turn, and its weights, as its window has them.
    """
    size = (0, 0)

    def shrunk() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal size
        for flow, valid in frames:
            size = valid.shape
            yield resize_flow_and_valid(flow, valid, working_size(*size))

    # Labels are linked some frames ahead of those whose masks are given. Until then weights wait
    # here; in a `tee` whole windows would, 57 of them.
    waiting: deque[tuple[int, list[Any]]] = deque()

    def segmented() -> Iterator[tuple[int, np.ndarray]]:
        for start, length, found in run_windows(segment, shrunk(), inference, bucketed=True):
            waiting.append((start, by_frame(found.attention, length)))
            yield start, found.masks[:length]

    def weighed() -> Iterator[tuple[int, list[Any]]]:
        while waiting:
            yield waiting.popleft()

    clips: Iterator[tuple[int, np.ndarray]] = segmented()
    if inference.overlap:
        clips = link_masks(clips, inference.linking)
    video = unroll(clips)
    if inference.linking == "assignment":
        video = bridge_gaps(keep_labels(video))
    for masks, attention in zip(video, unroll(weighed()), strict=True):
        yield Attended(resize_masks(masks, size), attention)


def warned(
    fields: Iterable[tuple[np.ndarray, np.ndarray]], inference: InferenceConfig
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Passes fields on, and warns where they are more than a window, which was not asked for."""
    for index, field in enumerate(fields):
        if index == inference.window:
            _log.warning(
                "more than %d frames: segmented in windows of that length, linked by %d",
                inference.window,
                inference.overlap,
            )
        yield field
