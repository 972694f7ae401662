"""``jaxmotion events``: what happens in a video of one's own, where and when."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxmotion.commands.parsing import parse_options
from jaxmotion.commands.segmenting import Segmenting, prepare
from jaxmotion.models import DEFAULT_EVENTS

RULES = "rules"


@dataclass(frozen=True)
class Events(Segmenting):
    """Tells what happens in a video, where and when: events of all that moves, and a timeline.

    Attributes:
        fps: frames per second, for the times in the tables, where the video does not tell.
        head: network that tells the events: the folder of a run of `events`, a file that
            `jaxmotion export` wrote, or a shipped model; rules for rules in its place.
    """

    fps: float | None = None
    head: str = DEFAULT_EVENTS


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
    from jaxmotion.events import find_events
    from jaxmotion.inference.event_finder import EventFinder
    from jaxmotion.inference.instance_segmenter import InstanceSegmenter
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    enable_compilation_cache()
    tell = find_events if options.head == RULES else EventFinder.load(options.head)
    wanted = EventAnswer(options.fps, tell)
    segmenter, flow, detector, settings, advice = prepare(options)
    settings |= {"Events": options.head}
    if isinstance(segmenter, InstanceSegmenter):
        found = segment_instances(
            options.video,
            segmenter,
            options.out,
            flow,
            settings,
            events=wanted,
            sharpened=options.sharpen,
        )
        print(f"{options.out}: index.html, masks, {', '.join(EVENT_FILES)}; {found}")
    else:
        answer = Answer(events=wanted, sharpened=options.sharpen)
        report = segment_video(
            options.video, segmenter, options.out, flow, answer, settings, detector
        )
        print(f"{options.out}: {', '.join(report.written)}; {report}")
        if options.num_masks == "auto":
            print(f"{len(report.moving)} segments describe it most briefly")
    if advice:
        print(advice)
