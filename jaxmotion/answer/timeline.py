"""A picture of events: a bar for each of them, along the frames of the video."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxmotion.events import KINDS, Event
from jaxmotion.optical_flow.colors import label_palette

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 1400, 170, 24, 16, 44
_ROW, _BAR, _GAP = 22, 14, 12
_INK, _SOFT, _LINE = (24, 28, 32), (110, 118, 126), (222, 226, 230)
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 7200, 18000)


def draw_timeline(events: Sequence[Event], num_frames: int, fps: float) -> np.ndarray:
    """Draws the events of a video: a group for each track, in it a row for each kind.

    Args:
        events: events of the video.
        num_frames: number of its frames.
        fps: frames per second.

    Returns:
        uint8 `[H, W, 3]`. A bar is the stronger, the surer its event is.
    """
    rows = timeline_rows(events)
    groups = len({track for track, _ in rows})
    height = _TOP + _ROW * max(len(rows), 1) + _GAP * max(groups - 1, 0) + _BOTTOM
    picture = Image.new("RGB", (_WIDTH, height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    seconds = num_frames / fps
    across = (_WIDTH - _LEFT - _RIGHT) / max(seconds, 1e-9)
    step = next((step for step in _STEPS if seconds / step <= 14), _STEPS[-1])
    bottom = height - _BOTTOM
    for tick in np.arange(0, seconds + 1e-9, step):
        x = _LEFT + across * tick
        draw.line([(x, _TOP), (x, bottom + 4)], fill=_LINE)
        draw.text((x, bottom + 8), f"{tick:g}", fill=_SOFT, font=font, anchor="ma")
    draw.text((_WIDTH - _RIGHT, height - 16), "seconds", fill=_SOFT, font=font, anchor="ra")
    palette, y, earlier = label_palette(max((t for t, _ in rows), default=0) + 1), _TOP, None
    for track, kind in rows:
        y += _GAP if earlier not in (None, track) else 0
        if track != earlier:
            draw.text((8, y + _ROW / 2), f"track {track}", fill=_INK, font=font, anchor="lm")
        draw.text((_LEFT - 10, y + _ROW / 2), kind, fill=_SOFT, font=font, anchor="rm")
        color = np.array(palette[track], float)
        for event in events:
            if (event.track, event.kind) == (track, kind):
                shade = tuple((255 + (color - 255) * (0.35 + 0.65 * event.score)).astype(int))
                ends = [_LEFT + across * frame / fps for frame in (event.start, event.stop)]
                top = y + (_ROW - _BAR) / 2
                box = (ends[0], top, max(ends[1] - 1, ends[0] + 1), top + _BAR)
                draw.rounded_rectangle(box, 3, fill=shade)
        y, earlier = y + _ROW, track
    if not rows:
        middle = (_WIDTH / 2, _TOP + _ROW / 2)
        draw.text(middle, "nothing happens", fill=_SOFT, font=font, anchor="mm")
    return np.asarray(picture)


def timeline_rows(events: Sequence[Event]) -> list[tuple[int, str]]:
    """The rows of a timeline: track and kind of those that have an event.

    Args:
        events: events of a video.
    """
    found = {(event.track, event.kind) for event in events}
    return sorted(found, key=lambda row: (row[0], KINDS.index(row[1])))
