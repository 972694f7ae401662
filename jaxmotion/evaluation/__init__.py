"""How good a segmentation is: selection of the foreground, official scores, baselines, reports.

`scores` are the DAVIS measures and `selection` reads K segments as one foreground; `linking` gives
the clips of a video the same labels; `protocol` says how a video is cut, upsampled and scored.
`classical_em` and `baselines` are what needs no training, `published` what others reported. `davis`
finds the files, `runner` goes through them, `tables`, `pictures` and `report` show the result;
`scenes` does the same in small for procedural clips.
"""

from jaxmotion.evaluation.baselines import BASELINES
from jaxmotion.evaluation.classical_em import classical_em
from jaxmotion.evaluation.davis import DavisSequence, find_sequences
from jaxmotion.evaluation.linking import link_clips, link_masks
from jaxmotion.evaluation.matching import ObjectMatch, bootstrap_iou, match_objects
from jaxmotion.evaluation.protocol import Protocol, SequenceScores
from jaxmotion.evaluation.published import PublishedScore, published_scores
from jaxmotion.evaluation.report import write_report
from jaxmotion.evaluation.runner import ALL_BASELINES, SequenceResult, evaluate
from jaxmotion.evaluation.scenes import foreground_iou, scene_scores
from jaxmotion.evaluation.scores import boundary_f, jaccard, sequence_statistics
from jaxmotion.evaluation.selection import foreground_labels, select_foreground
from jaxmotion.evaluation.tables import format_table, score_table, write_scores

__all__ = [
    "ALL_BASELINES",
    "BASELINES",
    "DavisSequence",
    "ObjectMatch",
    "Protocol",
    "PublishedScore",
    "SequenceResult",
    "SequenceScores",
    "bootstrap_iou",
    "boundary_f",
    "classical_em",
    "evaluate",
    "find_sequences",
    "foreground_iou",
    "foreground_labels",
    "format_table",
    "jaccard",
    "link_clips",
    "link_masks",
    "match_objects",
    "published_scores",
    "scene_scores",
    "score_table",
    "select_foreground",
    "sequence_statistics",
    "write_report",
    "write_scores",
]
