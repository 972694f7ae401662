"""Losses: pure functions of flow and masks, one value per clip `[B]`.

`segmentation` holds those of unsupervised motion segmentation, `masks` those of masks alone,
`photometric` those of flow by the frames that it is between.
"""

from jaxmotion.losses import photometric
from jaxmotion.losses.masks import background_prior, entropy
from jaxmotion.losses.segmentation import (
    em,
    frame_weights,
    reconstruction,
    temporal_consistency,
)

__all__ = [
    "background_prior",
    "em",
    "entropy",
    "frame_weights",
    "photometric",
    "reconstruction",
    "temporal_consistency",
]
