"""Small pictures of an evaluated sequence, to be looked at beside its scores."""

from collections.abc import Callable

import cv2
import numpy as np

from jaxmotion.data.pictures import color_labels
from jaxmotion.data.transforms import resize_flow, resize_labels
from jaxmotion.optical_flow.colors import flow_to_color

NUM_FRAMES = 4
TILE_WIDTH = 240
GAP = 4
FOREGROUND = np.array([225, 228, 232], np.float32)
BACKGROUND = np.array([44, 48, 54], np.float32)
CONTOUR = (255, 111, 60)


def picture_strip(
    flow: np.ndarray,
    labels: np.ndarray,
    foreground: np.ndarray,
    gt: np.ndarray,
    read_frame: Callable[[int], np.ndarray] | None = None,
) -> np.ndarray:
    """Four frames of a sequence side by side; from top to bottom flow, segments, foreground.

    Args:
        flow: `[T, h, w, 2]`, shown in the usual colours, each frame to its own scale.
        labels: int `[T, H, W]`, one colour per segment.
        foreground: bool `[T, H, W]`, light on dark, with the outline of the ground truth in orange.
        gt: bool `[T, H, W]`.
        read_frame: Gives frame t, uint8 `[H, W, 3]`, for a row of video frames at the top; without
            it there is none.

    Returns:
        uint8 `[rows, columns, 3]`.
    """
    height, width = gt.shape[1:]
    size = (max(1, round(TILE_WIDTH * height / width)), TILE_WIDTH)
    num_segments = int(labels.max()) + 1
    columns = []
    for t in np.unique(np.linspace(0, len(gt) - 1, NUM_FRAMES + 2).round().astype(int)[1:-1]):
        tiles = [
            flow_to_color(resize_flow(flow[t], size)),
            color_labels(resize_labels(labels[t], size), num_segments),
            _foreground_tile(foreground[t], gt[t], size),
        ]
        if read_frame is not None:
            tiles.insert(0, _shrink(read_frame(int(t)), size))
        columns.append(_join(tiles, axis=0))
    return _join(columns, axis=1)


def _foreground_tile(foreground: np.ndarray, gt: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    share = _shrink(foreground.astype(np.float32), size)[..., None]
    tile = BACKGROUND + share * (FOREGROUND - BACKGROUND)
    tile = np.ascontiguousarray(tile.round().astype(np.uint8))
    small = (_shrink(gt.astype(np.float32), size) > 0.5).astype(np.uint8)
    outlines, _ = cv2.findContours(small, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(tile, outlines, -1, CONTOUR, thickness=1, lineType=cv2.LINE_AA)
    return tile


def _shrink(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def _join(tiles: list[np.ndarray], axis: int) -> np.ndarray:
    """Sets tiles beside each other with a white gap."""
    shape = list(tiles[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    parts = [part for tile in tiles for part in (gap, tile)][1:]
    return np.concatenate(parts, axis=axis)
