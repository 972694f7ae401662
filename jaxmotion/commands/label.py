"""``jaxmotion label DATA --out OUT``: what moves in videos, as labels to train from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.models import DEFAULT_MODEL


@dataclass(frozen=True)
class Label:
    """Tells what moves in videos without annotation, and writes it as labels to train from.

    OUT is laid out like DAVIS; `python train.py nims --data.source scenes:parallax,OUT` trains on
    it.

    Attributes:
        data: flow of the videos: a DAVIS-layout root, or another path that training takes.
        out: the folder to write to, which must not be there or be empty.
        flow: name of the flow folder, DATA/Flows/NAME, of a DAVIS-layout root; that of OUT too.
        split: name of the list of sequences DATA/ImageSets/SPLIT.txt; all sequences if not given.
        checkpoint: network that segments, or finds objects: the name of a shipped model, a run, or
            a model file.
        objects: give objects labels of their own: the tracks of a network of instances, or the
            parts of what moves that are connected in space and time; `python train.py instances
            --data.source scenes:crowd_of_objects,OUT` trains on them.
    """

    data: tyro.conf.Positional[str]
    out: Path
    flow: str = "raft"
    split: str | None = None
    checkpoint: str = DEFAULT_MODEL
    objects: bool = False


def main(argv: Sequence[str], prog: str = "jaxmotion label") -> None:
    """Labels all sequences, and says how much moves in each.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.

    Raises:
        InputError: unreadable flow, or a folder that holds something.
    """
    options = parse_options(Label, argv, prog=prog)
    from jaxmotion.data.sources import FlowSource, open_source
    from jaxmotion.errors import InputError
    from jaxmotion.experiments.own_labels import write_own_labels
    from jaxmotion.inference.instance_segmenter import InstanceSegmenter, TrackMasks
    from jaxmotion.inference.loading import load
    from jaxmotion.inference.segmenter import Segmenter
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    if options.out.exists() and any(options.out.iterdir()):
        raise InputError(f"{options.out}: holds something; expected a folder that is empty or new")
    source = open_source(options.data, flow=options.flow, split=options.split)
    if not isinstance(source, FlowSource):
        raise InputError(f"{options.data}: expected flow of videos; scenes have labels already")
    enable_compilation_cache()
    segmenter = load(options.checkpoint)
    if isinstance(segmenter, InstanceSegmenter):
        segmenter = TrackMasks(segmenter)
    elif not isinstance(segmenter, Segmenter):
        raise InputError(f"{options.checkpoint}: expected a network that makes masks of segments")
    written = write_own_labels(source, segmenter, options.out, options.flow, options.objects)
    for name, share in written:
        print(f"{name}: {100 * share:.1f} % moves")
