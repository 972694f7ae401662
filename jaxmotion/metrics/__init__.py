"""Scores of masks and labels: numpy, scipy and OpenCV alone, nothing of the project.

`masks` packs masks into bits and counts them, `davis` holds the DAVIS measures J and F, `objects`
assigns segments to annotated objects, `instances` says how well objects are told apart over time,
`foreground` reads K segments as one foreground, `bootstrap` gives the interval of a difference
between two methods, `stability` says how steadily an object has one label, and `shape_stability` by
how much outlines change (T of DAVIS 2016). `flow` measures flow against the truth, what moves apart
from the rest. `arguments` checks what they are given.
"""

from jaxmotion.metrics.bootstrap import bootstrap_interval
from jaxmotion.metrics.davis import boundary_f, jaccard, sequence_statistics
from jaxmotion.metrics.flow import FlowErrors, flow_errors
from jaxmotion.metrics.foreground import foreground_labels, select_foreground
from jaxmotion.metrics.instances import foreground_ari, identity_switches, purity
from jaxmotion.metrics.objects import ObjectMatch, bootstrap_iou, box_iou, match_objects
from jaxmotion.metrics.shape_stability import temporal_stability
from jaxmotion.metrics.stability import LabelStability, label_stability

__all__ = [
    "FlowErrors",
    "LabelStability",
    "ObjectMatch",
    "bootstrap_interval",
    "bootstrap_iou",
    "boundary_f",
    "box_iou",
    "flow_errors",
    "foreground_ari",
    "foreground_labels",
    "identity_switches",
    "jaccard",
    "label_stability",
    "match_objects",
    "purity",
    "select_foreground",
    "sequence_statistics",
    "temporal_stability",
]
