"""Evaluation of segmentations: protocols, methods, official scores, result files.

`protocol` names how each dataset is scored, `methods` are what can be scored (a network, a
baseline, the masks of another method), `score` does it for one sequence, `run` goes through all of
them, and `suite` reads what to go through. `discovery` finds sequences, in a folder or in a
built data set, and `sequences` reads what of them counts. `results` is what comes out,
one tree of plain values; `comparison` sets it beside what others reported and gives paired
differences, `strata` finds frames that are hard for a reason, and `groups` tells scores apart by
them; `tables` shows all of it as text and CSV, and `folder` keeps its files. `probe` is apart from
these: linear classifiers of descriptors.
"""

from jaxmotion.baselines import ALL_BASELINES
from jaxmotion.evaluation.comparison import (
    paired_differences,
    published_scores,
    with_differences,
)
from jaxmotion.evaluation.discovery import find_sequences
from jaxmotion.evaluation.folder import write_scores
from jaxmotion.evaluation.methods import Baseline, Network, ResultFolder
from jaxmotion.evaluation.plan import DatasetPlan, Options
from jaxmotion.evaluation.protocol import PRESETS, Protocol, preset
from jaxmotion.evaluation.results import Evaluation, dumps, loads
from jaxmotion.evaluation.run import evaluate
from jaxmotion.evaluation.score import SequenceScores, score_labels
from jaxmotion.evaluation.sequences import Annotation, ScoredSequence
from jaxmotion.evaluation.tables import format_table, score_table
from jaxmotion.metrics.objects import box_iou

__all__ = [
    "ALL_BASELINES",
    "PRESETS",
    "Annotation",
    "Baseline",
    "DatasetPlan",
    "Evaluation",
    "Network",
    "Options",
    "Protocol",
    "ResultFolder",
    "ScoredSequence",
    "SequenceScores",
    "box_iou",
    "dumps",
    "evaluate",
    "find_sequences",
    "format_table",
    "loads",
    "paired_differences",
    "preset",
    "published_scores",
    "score_labels",
    "score_table",
    "with_differences",
    "write_scores",
]
