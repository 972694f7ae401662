"""``jaxmotion probe FOLDER``: what a linear classifier can tell of the motion of videos."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.commands.segmenting import choose_estimator_for_masks
from jaxmotion.models import DEFAULT_MODEL


@dataclass(frozen=True)
class Probe:
    """Tells classes of motion by a linear classifier on frozen descriptors.

    FOLDER has a folder for each class, which holds its videos. The classifier of a video has seen
    no other of its group. Beside the network stand features of flow made by hand, and the network
    before its training.

    Attributes:
        folder: the folder of the classes; a video is a file, a folder of frames, or flow (.npz, or
            a folder of .flo files).
        checkpoint: the network: the folder of a run, a file that `jaxmotion export` wrote, or the
            name of a shipped model.
        group: regular expression that finds, in the name of a video, the group that it belongs to,
            such as `person[0-9]+`; each video is a group of its own if not given.
        estimator: estimator of the flow: dis (refined for masks), raft or raft_small; auto is raft
            where its weights are there and an accelerator makes it quick, else dis.
        weights: file of the weights, for raft and raft_small.
        download: fetch the official weights of raft or raft_small if they are not there.
    """

    folder: tyro.conf.Positional[Path]
    checkpoint: str = DEFAULT_MODEL
    group: str = ""
    estimator: str = "auto"
    weights: Path | None = None
    download: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(argv: Sequence[str], prog: str = "jaxmotion probe") -> None:
    """Probes a network, and prints how many videos each row gets right.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.

    Raises:
        InputError: a folder without classes, a video that cannot be read, or a group that is not
            found.
    """
    options = parse_options(Probe, argv, prog=prog)
    from jaxmotion.experiments.probing import classes_in, probe_videos
    from jaxmotion.inference.loading import load
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    samples = classes_in(options.folder, options.group)
    enable_compilation_cache()
    model = load(options.checkpoint)
    estimator, _ = choose_estimator_for_masks(options.estimator, options.weights, options.download)
    rows = probe_videos(samples, model, estimator)
    groups = len({sample.group for sample in samples})
    classes = sorted({sample.label for sample in samples})
    print(f"{len(samples)} videos, {groups} groups, {len(classes)} classes: {', '.join(classes)}")
    for name, share in rows.items():
        print(f"  {name:24s} {share:.3f}")
