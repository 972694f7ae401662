"""What happens in a user's own video: events of its tracks, in files and in a picture."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jaxmotion.answer.timeline import draw_timeline
from jaxmotion.data.pictures import write_image
from jaxmotion.data.video import Video
from jaxmotion.errors import InputError
from jaxmotion.events import Event, Rules, TrackMeter, Tracks, find_events
from jaxmotion.events.files import Film, write_boris, write_boris_table, write_csv, write_json

EVENT_FILES = ("events.json", "events.csv", "boris.xlsx", "boris.csv", "timeline.png")
"""Names of the files of events."""

_FPS = 25.0  # where nothing tells


@dataclass(frozen=True)
class EventAnswer:
    """How events are told.

    Attributes:
        fps: frames per second; None for what the video says, or 25.
        rules: thresholds of the rules.
    """

    fps: float | None = None
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise InputError(f"fps {self.fps}: expected a number above 0")


def moving_tracks(labels: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Labels of tracks: 0 for what does not move on its own, and one more than that of a segment.

    Args:
        labels: int `[..., H, W]`, segments from 0 to K - 1.
        moving: bool `[K]`, which of them move on their own.
    """
    return np.where(moving[labels], labels.astype(int) + 1, 0)


def segment_tracks(
    frames: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], moving: np.ndarray
) -> Tracks:
    """Measures the segments that move, as tracks that are called like them.

    Args:
        frames: flow `[h, w, 2]`, masks `[h, w, K]` and valid `[h, w]` of each frame.
        moving: bool `[K]`, which of them move on their own.
    """
    meter = TrackMeter()
    for flow, masks, valid in frames:
        meter.add(moving_tracks(masks.argmax(axis=-1), moving), flow, valid)
    tracks = meter.tracks()
    return dataclasses.replace(tracks, labels=tracks.labels - 1)


def write_events(
    folder: Path, video: Video, num_frames: int, tracks: Tracks, wanted: EventAnswer
) -> list[Event]:
    """Tells the events, and writes them into files.

    - ``events.json``: each event with the box of its track in each frame (`write_json`).
    - ``events.csv``: a row for each event.
    - ``boris.xlsx`` and ``boris.csv``: the same for BORIS (`jaxmotion.events.files`).
    - ``timeline.png``: a bar for each event, along the frames.

    Args:
        folder: folder to write to.
        video: the video.
        num_frames: number of its frames.
        tracks: its tracks.
        wanted: how events are told.

    Returns:
        The events, in the order of time.
    """
    events = find_events(tracks, wanted.rules)
    fps = wanted.fps or video.fps or _FPS
    film = Film(video.path.name, fps, num_frames, video.height, video.width)
    write_json(folder / "events.json", film, events, tracks)
    write_csv(folder / "events.csv", film, events)
    write_boris(folder / "boris.xlsx", film, events)
    write_boris_table(folder / "boris.csv", film, events)
    write_image(folder / "timeline.png", draw_timeline(events, num_frames, fps))
    return events
