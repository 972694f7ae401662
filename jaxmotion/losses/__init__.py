"""Losses: pure functions of flow and masks, one value per clip `[B]`.

`segmentation` holds those of unsupervised motion segmentation, `masks` those of masks alone,
`embeddings` those of instance embeddings, `foreground` those of a foreground by labels.
"""

from jaxmotion.losses.embeddings import (
    bandwidth_smoothness,
    embedding_loss,
    lovasz_hinge,
    seediness,
)
from jaxmotion.losses.foreground import balanced_cross_entropy
from jaxmotion.losses.masks import background_prior, entropy
from jaxmotion.losses.segmentation import (
    em,
    frame_weights,
    reconstruction,
    temporal_consistency,
)

__all__ = [
    "balanced_cross_entropy",
    "background_prior",
    "bandwidth_smoothness",
    "em",
    "embedding_loss",
    "entropy",
    "frame_weights",
    "lovasz_hinge",
    "reconstruction",
    "seediness",
    "temporal_consistency",
]
