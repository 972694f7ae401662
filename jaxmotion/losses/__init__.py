"""Losses: pure functions of flow and masks, one value per clip `[B]`.

`segmentation` holds those of unsupervised motion segmentation, `masks` those of masks alone,
`embeddings` those of instance embeddings.
"""

from jaxmotion.losses.embeddings import (
    bandwidth_smoothness,
    embedding_loss,
    lovasz_hinge,
    seediness,
)
from jaxmotion.losses.masks import background_prior, entropy
from jaxmotion.losses.segmentation import (
    em,
    frame_weights,
    reconstruction,
    temporal_consistency,
)

__all__ = [
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
