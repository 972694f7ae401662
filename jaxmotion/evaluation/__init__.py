"""How good a segmentation is: protocols, methods, official scores, result files.

`protocol` names how each dataset is scored, `methods` are what can be scored (a network, a
baseline, the masks of another method), `score` does it for one sequence, `run` goes through all of
them, and `suite` reads what to go through. `davis` finds sequences, `davis_sequence` and
`annotations` read them, `timeline` places their files in the video. `results` is what comes out,
one tree of plain values; `comparison` sets it beside what others reported and gives paired
differences; `tables` shows it as text and CSV, and `folder` keeps its files.
"""

from jaxmotion.baselines import ALL_BASELINES
from jaxmotion.evaluation.annotations import Annotation
from jaxmotion.evaluation.comparison import (
    paired_differences,
    published_scores,
    with_differences,
)
from jaxmotion.evaluation.davis import find_sequences
from jaxmotion.evaluation.davis_sequence import DavisSequence
from jaxmotion.evaluation.folder import write_scores
from jaxmotion.evaluation.methods import Baseline, Network, ResultFolder
from jaxmotion.evaluation.protocol import PRESETS, Protocol, preset
from jaxmotion.evaluation.results import Evaluation, dumps, loads
from jaxmotion.evaluation.run import DatasetPlan, Options, evaluate
from jaxmotion.evaluation.score import SequenceScores, score_labels
from jaxmotion.evaluation.tables import format_table, score_table
from jaxmotion.metrics.objects import box_iou

__all__ = [
    "ALL_BASELINES",
    "PRESETS",
    "Annotation",
    "Baseline",
    "DatasetPlan",
    "DavisSequence",
    "Evaluation",
    "Network",
    "Options",
    "Protocol",
    "ResultFolder",
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
