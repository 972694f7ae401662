"""What is to be evaluated, and what an evaluation is to write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxmotion.evaluation.discovery import look_for_sequences
from jaxmotion.evaluation.methods import Baseline, Method
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.sequences import ScoredSequence


@dataclass(frozen=True)
class DatasetPlan:
    """A dataset to evaluate on.

    Attributes:
        name: name for folders, unique within the evaluation.
        root: folder laid out like DAVIS, or `tfds:NAME/CONFIG`.
        flow: name of a folder of `root/Flows`; None compares masks alone.
        protocol: rules by which the dataset is scored.
        sequences: names of the sequences wanted; empty for all.
        split: name of a list of sequences to take instead; None for the names above.
        methods: result folders that are scored on this dataset alone.
    """

    name: str
    root: Path
    flow: str | None
    protocol: Protocol
    sequences: tuple[str, ...] = ()
    split: str | None = None
    methods: tuple[Method, ...] = ()

    def find(self) -> tuple[list[ScoredSequence], dict[str, str]]:
        """The sequences that are there, and what is missing of the others."""
        return look_for_sequences(self.root, self.flow, self.sequences, self.split)

    def columns(self, methods: Sequence[Method]) -> list[Method]:
        """All methods of this dataset: those evaluated, its own result folders, baselines."""
        evaluated = [method for method in methods if not isinstance(method, Baseline)]
        baselines = [method for method in methods if isinstance(method, Baseline)]
        return [*evaluated, *self.methods, *baselines]


@dataclass(frozen=True)
class Options:
    """The files that an evaluation writes, and how it reports on its way.

    Attributes:
        resume: keep the result of every sequence, and reuse it if all its inputs are what they
            were.
        write_masks: write masks and segments as indexed PNG.
        write_pictures: function that writes what a report shows, as `report.layers.write_layers`;
            None for no pictures.
        include_frames: show the video frames in the report, of the sequences that have any.
        by: groups that the scores are told apart by, names of `groups.GROUPS`.
        stability: measure the temporal stability of the foreground.
        on_progress: function that is told what is being computed.
        on_failure: function that is told, in one line, what went wrong with a sequence.
    """

    resume: bool = False
    write_masks: bool = False
    write_pictures: Callable[..., None] | None = None
    include_frames: bool = False
    by: tuple[str, ...] = ()
    stability: bool = False
    on_progress: Callable[[str], None] = lambda text: None
    on_failure: Callable[[str], None] = lambda line: None
