"""``jaxmotion segment``: a video of one's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from jaxmotion.commands.parsing import parse_options
from jaxmotion.commands.segmenting import Segmenting, is_of_instances, prepare
from jaxmotion.errors import InputError


@dataclass(frozen=True)
class Segment(Segmenting):
    """Tells what moves in a video: masks of it, of all segments, and a page to look at.

    Attributes:
        probabilities: also write probabilities/, the probability of each pixel to move, 0 to 255.
        saliency: also write saliency/, how far what moves is from the motion of the rest, 0 to 255.
        export: also write what moves for other programs: masks for colmap or nerfstudio, coco.json,
            pictures (cutout) or a video (alpha) of what moves on a transparent ground, davis
            annotations.
        dilate: pixels by which the masks for colmap and nerfstudio are widened.
        latents: also write latents.npz and latents.png, the latent motion of the segments.
        attention: show on the page the weights that the network's gate gives to frames and regions;
            for networks that were trained with one.
    """

    probabilities: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    saliency: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    export: tuple[Literal["colmap", "nerfstudio", "coco", "cutout", "alpha", "davis"], ...] = ()
    dilate: int = 0
    latents: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    attention: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(argv: Sequence[str], prog: str = "jaxmotion segment") -> None:
    """Segments a video, writes what moves, and says how long it took.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    options = parse_options(Segment, argv, prog=prog)
    from jaxmotion.answer import Answer, segment_video
    from jaxmotion.answer.instances import segment_instances
    from jaxmotion.inference.instance_segmenter import InstanceSegmenter
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    answer = Answer(
        options.probabilities,
        options.saliency,
        options.latents,
        options.export,
        options.dilate,
        options.attention,
        sharpened=options.sharpen,
    )
    enable_compilation_cache()
    if is_of_instances(options):
        _check_instances(options)
    segmenter, flow, detector, settings, advice = prepare(options)
    if isinstance(segmenter, InstanceSegmenter):
        found = segment_instances(
            options.video,
            segmenter,
            options.out,
            flow,
            settings,
            options.export,
            options.dilate,
            options.attention,
            sharpened=options.sharpen,
        )
        print(f"{options.out}: index.html, masks, moving, overlay.mp4, tracks.csv; {found}")
    else:
        report = segment_video(
            options.video, segmenter, options.out, flow, answer, settings, detector
        )
        print(f"{options.out}: {', '.join(report.written)}; {report}")
        if options.num_masks == "auto":
            print(f"{len(report.moving)} segments describe it most briefly")
    if advice:
        print(advice)


def _check_instances(options: Segment) -> None:
    """Refuses what only segments have: objects are not chosen among, and have no latents."""
    for name in ("probabilities", "saliency", "latents", "num_masks"):
        if getattr(options, name):
            raise InputError(
                f"--{name.replace('_', '-')}: expected without it; {options.checkpoint} is a "
                "network of instances"
            )
