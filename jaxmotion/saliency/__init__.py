"""Motion saliency: which segments of a video move on their own, and how much they stand out."""

from jaxmotion.saliency.maps import saliency_map
from jaxmotion.saliency.residuals import ResidualMeter, SegmentResiduals, segment_residuals
from jaxmotion.saliency.segments import salient, salient_foreground, salient_segments

__all__ = [
    "ResidualMeter",
    "SegmentResiduals",
    "salient",
    "salient_foreground",
    "salient_segments",
    "saliency_map",
    "segment_residuals",
]
