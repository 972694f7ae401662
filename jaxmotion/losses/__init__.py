"""Losses: pure functions of flow and masks, one value per clip `[B]`.

`segmentation` holds those of unsupervised motion segmentation, `masks` those of masks alone,
`embeddings` those of instance embeddings, `foreground` those of a foreground by labels,
`photometric` those of flow by the frames that it is between, `hidden_flow` those of flow that no
network has seen, `spans` those of events in time, one value for each that is proposed, and
`constraint` what turns a constraint into a part of a loss.
"""

from jaxmotion.losses import hidden_flow, photometric
from jaxmotion.losses.constraint import ascended, hinge, sigma
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
from jaxmotion.losses.spans import focal, span_distance

__all__ = [
    "ascended",
    "background_prior",
    "balanced_cross_entropy",
    "bandwidth_smoothness",
    "em",
    "embedding_loss",
    "entropy",
    "focal",
    "frame_weights",
    "hidden_flow",
    "hinge",
    "lovasz_hinge",
    "photometric",
    "reconstruction",
    "seediness",
    "sigma",
    "span_distance",
    "temporal_consistency",
]
