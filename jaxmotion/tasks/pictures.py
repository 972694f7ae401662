"""Pictures of a training run: flow, segments, and the flow that the motion models explain."""

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


def _frame(image: np.ndarray) -> np.ndarray:
    return np.pad(image, [(1, 1), (1, 1), (0, 0)], constant_values=255)
