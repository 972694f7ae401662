"""Pictures of a training run: flow, and what the network makes of it."""

import numpy as np

from jaxmotion.optical_flow.colors import color_labels, flow_to_color


def segmentation_picture(flow: np.ndarray, masks: np.ndarray, parametric: np.ndarray) -> np.ndarray:
    """Draws the middle frame of each clip, one column per clip: flow, segments, parametric flow.

    Args:
        flow: `[B, T, H, W, 2]`, optical flow in pixels per frame.
        masks: `[B, T, H, W, K]`, probabilities of the segments; the likeliest one is drawn.
        parametric: `[B, T, H, W, 2]`, the flow of the motion model of each pixel's segment.

    Returns:
        The picture, `[3H + gaps, B·W + gaps, 3]` uint8.
    """
    middle = flow.shape[1] // 2
    columns = []
    for clip_flow, clip_masks, clip_parametric in zip(flow, masks, parametric, strict=True):
        largest = max(float(np.linalg.norm(clip_flow[middle], axis=-1).max()), 1e-6)
        rows = [
            flow_to_color(clip_flow[middle], largest),
            color_labels(clip_masks[middle].argmax(axis=-1), clip_masks.shape[-1]),
            flow_to_color(clip_parametric[middle], largest),
        ]
        columns.append(np.concatenate([_frame(row) for row in rows], axis=0))
    return np.concatenate(columns, axis=1)


def instances_picture(
    flow: np.ndarray, seed: np.ndarray, labels: np.ndarray, truth: np.ndarray
) -> np.ndarray:
    """Draws the middle frame of each clip, one column per clip: flow, seed, objects, true objects.

    Args:
        flow: `[B, T, H, W, 2]`, optical flow in pixels per frame.
        seed: `[B, T, H, W]`, seediness of each pixel, 0 to 1.
        labels: int `[B, T, H, W]`, objects that were found; 0 = background.
        truth: int `[B, T, H, W]`, true objects; 0 = background.

    Returns:
        The picture, `[4H + gaps, B·W + gaps, 3]` uint8.
    """
    middle = flow.shape[1] // 2
    columns = []
    for clip, seediness, found, true in zip(flow, seed, labels, truth, strict=True):
        grey = np.rint(255 * np.clip(seediness[middle], 0, 1)).astype(np.uint8)
        rows = [
            flow_to_color(clip[middle]),
            np.repeat(grey[..., None], 3, axis=-1),
            color_labels(found[middle]),
            color_labels(true[middle].astype(int)),
        ]
        columns.append(np.concatenate([_frame(row) for row in rows], axis=0))
    return np.concatenate(columns, axis=1)


def fills_picture(seen: np.ndarray, filled: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Draws a frame of each clip, one column per clip: what is seen, what it became, the truth.

    Args:
        seen: `[B, H, W, 2]`, pixels per frame; NaN where nothing is seen.
        filled: `[B, H, W, 2]`, pixels per frame.
        truth: `[B, H, W, 2]`, pixels per frame.

    Returns:
        The picture, `[3H + gaps, B·W + gaps, 3]` uint8.
    """
    columns = []
    for frames in zip(seen, filled, truth, strict=True):
        largest = max(float(np.linalg.norm(frames[-1], axis=-1).max()), 1e-6)
        drawn = [_frame(flow_to_color(frame, largest)) for frame in frames]
        columns.append(np.concatenate(drawn, axis=0))
    return np.concatenate(columns, axis=1)


def _frame(image: np.ndarray) -> np.ndarray:
    return np.pad(image, [(1, 1), (1, 1), (0, 0)], constant_values=255)
