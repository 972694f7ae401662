"""``jaxmotion events``: what happens in a video of one's own, where and when."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxmotion.commands.parsing import parse_options
from jaxmotion.commands.segmenting import Segmenting, prepare


@dataclass(frozen=True)
class Events(Segmenting):
    """Tells what happens in a video, where and when: events of all that moves, and a timeline.

    Attributes:
        fps: frames per second, for the times in the tables, where the video does not tell.
    """

    fps: float | None = None


def main(argv: Sequence[str], prog: str = "jaxmotion events") -> None:
    """Segments a video, writes its events, and says how long it took.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.
    """
    options = parse_options(Events, argv, prog=prog)
    from jaxmotion.answer import Answer, segment_video
    from jaxmotion.answer.events import EVENT_FILES, EventAnswer
    from jaxmotion.answer.instances import segment_instances
    from jaxmotion.inference.instance_segmenter import InstanceSegmenter
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    wanted = EventAnswer(options.fps)
    enable_compilation_cache()
    segmenter, flow, detector, settings, advice = prepare(options)
    if isinstance(segmenter, InstanceSegmenter):
        found = segment_instances(
            options.video, segmenter, options.out, flow, settings, events=wanted
        )
        print(f"{options.out}: index.html, masks, {', '.join(EVENT_FILES)}; {found}")
    else:
        answer = Answer(events=wanted)
        report = segment_video(
            options.video, segmenter, options.out, flow, answer, settings, detector
        )
        print(f"{options.out}: {', '.join(report.written)}; {report}")
        if options.num_masks == "auto":
            print(f"{len(report.moving)} segments describe it most briefly")
    if advice:
        print(advice)
