"""How good a segmentation is: selection of the foreground, official scores, baselines, reports.

`scores` are the DAVIS measures, counted on `bitmasks`; `matching` assigns segments to objects and
`selection` reads K segments as one foreground. `protocol` names how each dataset is scored,
`scoring` does it for one sequence; `stability` is how steadily an object has one label. `discovery`
finds sequences, `sequences` reads what of them counts. `methods` are what can be scored (a network,
`baselines` and `classical_em`, the masks of another method), `suite` goes through all of them.
`results` is what comes out, one tree of plain values; `published` is what others reported,
`comparison` sets two side by side; `tables`, `pictures` and `report` show it. `scenes` does the
same in small for procedural clips.
"""

from jaxmotion.evaluation.comparison import paired_differences
from jaxmotion.evaluation.discovery import find_sequences
from jaxmotion.evaluation.methods import ALL_BASELINES, Baseline, Network, ResultFolder
from jaxmotion.evaluation.protocol import PRESETS, Protocol, preset
from jaxmotion.evaluation.published import published_scores
from jaxmotion.evaluation.results import Evaluation
from jaxmotion.evaluation.results_json import from_json, to_json
from jaxmotion.evaluation.scoring import box_iou, score_labels
from jaxmotion.evaluation.sequence_scores import SequenceScores
from jaxmotion.evaluation.sequences import Annotation, ScoredSequence
from jaxmotion.evaluation.suite import DatasetPlan, Options, evaluate, with_differences
from jaxmotion.evaluation.tables import format_table, score_table, write_scores

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
    "evaluate",
    "find_sequences",
    "format_table",
    "from_json",
    "paired_differences",
    "preset",
    "published_scores",
    "score_labels",
    "score_table",
    "to_json",
    "with_differences",
    "write_scores",
]
