"""How good a segmentation is: selection of the foreground, official scores, baselines, reports.

`selection` reads K segments as one foreground, `scores` are the DAVIS measures, `published` holds
scores from the literature.
"""

from jaxmotion.evaluation.published import PublishedScore, published_scores
from jaxmotion.evaluation.scores import (
    ObjectMatch,
    boundary_f,
    jaccard,
    match_objects,
    sequence_statistics,
)
from jaxmotion.evaluation.selection import foreground_labels, select_foreground

__all__ = [
    "ObjectMatch",
    "PublishedScore",
    "boundary_f",
    "foreground_labels",
    "jaccard",
    "match_objects",
    "published_scores",
    "select_foreground",
    "sequence_statistics",
]
