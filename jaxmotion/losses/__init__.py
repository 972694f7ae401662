"""Losses: pure functions of flow and masks, one value per clip `[B]`.

`segmentation` holds those of unsupervised motion segmentation.
"""

from jaxmotion.losses.segmentation import (
    background_prior,
    em,
    entropy,
    frame_weights,
    reconstruction,
    temporal_consistency,
)

__all__ = [
    "background_prior",
    "em",
    "entropy",
    "frame_weights",
    "reconstruction",
    "temporal_consistency",
]
