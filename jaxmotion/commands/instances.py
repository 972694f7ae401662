"""``jaxmotion instances VIDEO --out OUT``: which objects move, however many."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.commands.segmenting import choose_flow
from jaxmotion.models import DEFAULT_INSTANCES


@dataclass(frozen=True)
class Instances:
    """Tells which objects move in a video: a mask and a color for each, from first frame to last.

    Attributes:
        video: a video file, or a folder of frames.
        out: the folder to write to.
        checkpoint: the network: the folder of a run of `train.py instances`, a file that
            `jaxmotion export` wrote, or the name of a shipped model.
        export: also write the objects for other programs, as `segment --export` does.
        dilate: pixels by which the masks for colmap and nerfstudio are widened.
        estimator: estimator of the flow: dis (refined for masks), raft or raft_small; auto is raft
            where its weights are there and an accelerator makes it quick, else dis.
        weights: file of the weights, for raft and raft_small.
        download: fetch the official weights of raft or raft_small if they are not there.
        flow: flow that is there already, instead of an estimator: what `jaxmotion flow` wrote, a
            .npz, or a folder of .flo numbered like the frames.
        window: number of frames that the network sees at once; by default as it was trained.
        overlap: number of frames that two windows share, by which objects are joined.
        every_track: also keep what hardly moves against the object that moves most; most of it is
            patches of the background.
        sharpen: let the outlines of the objects follow the edges and colors of the frames.
    """

    video: tyro.conf.Positional[Path]
    out: Path
    checkpoint: str = DEFAULT_INSTANCES
    export: tuple[str, ...] = ()
    dilate: int = 0
    estimator: str = "auto"
    weights: Path | None = None
    download: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    flow: Path | None = None
    window: int | None = None
    overlap: int | None = None
    every_track: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    sharpen: bool = True


def main(argv: Sequence[str], prog: str = "jaxmotion instances") -> None:
    """Finds the objects of a video, and says how many there are.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    options = parse_options(Instances, argv, prog=prog)
    from jaxmotion.answer.instances import segment_instances
    from jaxmotion.inference.instance_segmenter import InstanceSegmenter
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    enable_compilation_cache()
    segmenter = InstanceSegmenter.load(options.checkpoint)
    windows = segmenter.inference = segmenter.inference.override(options.window, options.overlap)
    flow, _ = choose_flow(options.estimator, options.weights, options.download, options.flow)
    made_by = f"from {flow}" if isinstance(flow, Path) else flow.name
    settings = {
        "Network": options.checkpoint,
        "Flow": made_by,
        "Windows": f"{windows.window} frames, sharing {windows.overlap}",
        "Outlines": "of the frames" if options.sharpen else "of the flow",
    }
    found = segment_instances(
        options.video,
        segmenter,
        options.out,
        flow,
        settings,
        options.export,
        options.dilate,
        every_track=options.every_track,
        sharpened=options.sharpen,
    )
    print(f"{options.out}: index.html, masks, moving, overlay.mp4, tracks.csv; {found}")
