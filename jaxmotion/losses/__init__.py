"""Losses: pure functions of flow and masks, one value per clip `[B]`.

`segmentation` holds those of unsupervised motion segmentation.
"""

from jaxmotion.losses.segmentation import (
    em,
    entropy,
    frame_weights,
    reconstruction,
    temporal_consistency,
)

__all__ = ["em", "entropy", "frame_weights", "reconstruction", "temporal_consistency"]
