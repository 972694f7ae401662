"""Losses: pure functions of flow and masks, one value per clip `[B]`.

`segmentation` holds those of unsupervised motion segmentation, `masks` those of masks alone, and
`constraint` what turns a constraint into a part of a loss.
"""

from jaxmotion.losses.constraint import ascended, hinge, sigma
from jaxmotion.losses.masks import background_prior, entropy
from jaxmotion.losses.segmentation import (
    em,
    frame_weights,
    reconstruction,
    temporal_consistency,
)

__all__ = [
    "ascended",
    "background_prior",
    "em",
    "entropy",
    "frame_weights",
    "hinge",
    "reconstruction",
    "sigma",
    "temporal_consistency",
]
