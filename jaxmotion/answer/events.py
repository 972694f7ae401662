"""What happens in a user's own video: events of its tracks, in files and in a picture."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from jaxmotion.answer.kept import Kept, KeptTracks
from jaxmotion.answer.timeline import draw_timeline
from jaxmotion.data.pictures import write_image
from jaxmotion.data.video import Video
from jaxmotion.errors import InputError
from jaxmotion.events import Event, Following, TrackMeter, Tracks, find_events, follow
from jaxmotion.events.files import Film, write_boris, write_boris_table, write_csv, write_json

EVENT_FILES = ("events.json", "events.csv", "boris.xlsx", "boris.csv", "timeline.png")
"""Names of the files of events."""

_FPS = 25.0  # where nothing tells


@dataclass(frozen=True)
class EventAnswer:
    """How events are told.

    Attributes:
        fps: frames per second; None for what the video says, or 25.
        tell: function that tells what tracks do: rules, or an `EventFinder`.
    """

    fps: float | None = None
    tell: Callable[[Tracks], list[Event]] = find_events

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise InputError(f"fps {self.fps}: expected a number above 0")


def follow_moving(
    folder: Path,
    video: Video,
    kept: Kept | KeptTracks,
    moving: Callable[[Any], np.ndarray],
    settings: Following,
) -> tuple[np.ndarray, Tracks]:
    """Follows what moves through a video, and measures it.

    Args:
        folder: folder for a file without a name, that is gone with the process.
        video: the video, in whose pixels vectors are counted.
        kept: its frames with flow, at the size that they were segmented at.
        moving: function from one of its frames to the parts that move in it, int `[h, w]`, 0 for
            what does not; where they are followed as one, bool will do.
        settings: how it is followed.

    Returns:
        Labels `[T, h, w]` of the tracks, on disk, and what is known of them.
    """
    valid = _Column(kept, attrgetter("valid"))
    height, width = valid[0].shape
    pixel = np.array([width / video.width, height / video.height], np.float32)
    flow = _Column(kept, lambda frame: frame.flow * pixel)
    with tempfile.TemporaryFile(dir=folder) as file:
        shape = (len(kept), height, width)
        labels = np.memmap(file, np.int32, "w+", shape=shape)  # outlives the file's name
    follow(_Column(kept, moving), flow, valid, settings, out=labels)
    meter = TrackMeter()
    for t in range(len(kept)):
        meter.add(labels[t], flow[t], valid[t])
    return labels, meter.tracks()


class _Column(Sequence[np.ndarray]):
    """An array of each frame, read when asked for."""

    def __init__(self, kept: Kept | KeptTracks, of_frame: Callable[[Any], np.ndarray]) -> None:
        self._kept, self._of_frame = kept, of_frame

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, t):  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._of_frame(self._kept[t])


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
    events = wanted.tell(tracks)
    fps = wanted.fps or video.fps or _FPS
    film = Film(video.path.name, fps, num_frames, video.height, video.width)
    write_json(folder / "events.json", film, events, tracks)
    write_csv(folder / "events.csv", film, events)
    write_boris(folder / "boris.xlsx", film, events)
    write_boris_table(folder / "boris.csv", film, events)
    write_image(folder / "timeline.png", draw_timeline(events, num_frames, fps))
    return events
