"""`index.html`: one page to look at what moves in a video, nothing to load.

While the video goes by, small pictures of some of its frames are kept, the fewer of them the longer
it is, so that neither memory nor page grow with it.
"""

import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np

import jaxmotion
from jaxmotion.answer.attention import regions_picture
from jaxmotion.answer.pictures import salience
from jaxmotion.answer.timeline import timeline_rows
from jaxmotion.data.transforms import resize_flow, resize_labels
from jaxmotion.data.video import Video
from jaxmotion.events import Event
from jaxmotion.inference.stream import weights_of_pixels
from jaxmotion.networks import Attention
from jaxmotion.optical_flow.colors import flow_to_color, label_palette
from jaxmotion.report.document import asset, document
from jaxmotion.report.encoding import (
    FLOW_QUALITY,
    FRAME_QUALITY,
    flow_wheel,
    full_color,
    indexed,
    shrunk,
    small_size,
    svg_path,
    webp,
)
from jaxmotion.saliency import SegmentResiduals

MAX_FRAMES = 100  # with pictures; of a longer video every second has some, or every fourth, ...
SCRIPTS = ("elements.js", "sortable.js", "panels.js", "transport.js")
_COLORS = 256  # of a picture of tracks
_OWN_SCRIPTS = ("events.js", "answer.js")


class _Shown(NamedTuple):
    """A frame of which there are pictures."""

    index: int
    picture: str
    labels: np.ndarray  # at the size of the pictures
    flow: np.ndarray | None  # at the network's size, with what belongs to it
    masks: np.ndarray | None
    valid: np.ndarray | None
    regions: str | None


class Gatherer:
    """Takes what the page needs from the frames of a video as they go by.

    Attributes:
        areas: the share of each segment in each frame so far, `[K]` each.
        weights: the weight that the gate gives each frame so far, where it is shown.
    """

    def __init__(self, num_labels: int, cell: int = 0) -> None:
        """Makes a gatherer that has seen no frame.

        Args:
            num_labels: number K of labels.
            cell: side in pixels of the regions that a gate weighs (`NetworkConfig.reduction`), to
                show its weights; 0 to show none.
        """
        self.areas: list[np.ndarray] = []
        self.weights: list[float] = []
        self.shown: list[_Shown] = []
        self._cell = cell
        self._num_labels, self._step = num_labels, 1
        self._speed, self._pixels = np.zeros(num_labels), np.zeros(num_labels)

    @property
    def speeds(self) -> np.ndarray:
        """Mean length of the flow of each segment, `[K]`, pixels per frame."""
        return self._speed / np.maximum(self._pixels, 1)

    def add(
        self,
        frame: np.ndarray,
        labels: np.ndarray,
        flow: np.ndarray,
        masks: np.ndarray,
        valid: np.ndarray,
        attention: Attention | None = None,
    ) -> None:
        """Adds a frame.

        Args:
            frame: uint8 `[H, W, 3]`, the frame of the video.
            labels: uint8 `[H, W]`, the segment of each pixel.
            flow: `[h, w, 2]`, pixels of the frame.
            masks: `[h, w, K]`, probabilities of the segments.
            valid: `[h, w]` in {0, 1}; where the flow is known.
            attention: weights of the frame and of its regions; None where there are none.
        """
        known = valid > 0
        segments = masks.argmax(axis=-1)[known]
        speeds = np.linalg.norm(flow[known], axis=-1)
        self._speed += np.bincount(segments, speeds, self._num_labels)
        self._pixels += np.bincount(segments, minlength=self._num_labels)
        regions = None
        if self._cell and attention is not None:
            self.weights.append(float(attention.frames))
            regions = weights_of_pixels(attention, self._cell, (flow.shape[0], flow.shape[1]))
        self._show(frame, labels, regions, np.where(known[..., None], flow, 0), masks, known)

    def add_last(self, frame: np.ndarray, labels: np.ndarray) -> None:
        """Adds the last frame, which has no flow.

        Args:
            frame: uint8 `[H, W, 3]`, the frame of the video.
            labels: uint8 `[H, W]`, the segment of each pixel.
        """
        self._show(frame, labels)

    def _show(
        self,
        frame: np.ndarray,
        labels: np.ndarray,
        regions: np.ndarray | None = None,
        *rest: np.ndarray,
    ) -> None:
        index = len(self.areas)
        self.areas.append(np.bincount(labels.ravel(), minlength=self._num_labels) / labels.size)
        if index % self._step:
            return
        # Copies: what is given may be part of a whole window, which would stay in memory with it.
        flow, masks, valid = map(np.copy, rest) if rest else (None, None, None)
        picture = webp(shrunk(frame), FRAME_QUALITY)
        small = resize_labels(labels, small_size(labels.shape)).astype(np.uint8)
        weighed = None if regions is None else webp(regions_picture(frame, regions), FRAME_QUALITY)
        self.shown.append(_Shown(index, picture, small, flow, masks, valid, weighed))
        if len(self.shown) > MAX_FRAMES:
            self._step *= 2
            self.shown = self.shown[::2]


def render(
    video: Video,
    gatherer: Gatherer,
    residuals: SegmentResiduals,
    moving: np.ndarray,
    settings: dict[str, str],
    likely: list[float] | None = None,
    events: Sequence[Event] = (),
    tracks: np.ndarray | None = None,
) -> str:
    """Makes the page.

    Args:
        video: the video that the page shows.
        gatherer: the gatherer that has seen the whole video.
        residuals: residuals of the segments, over the whole video.
        moving: bool `[K]`, which segments move on their own.
        settings: settings of the run that the page lists, by name.
        likely: probability of each frame with flow that something moves; None where none is known.
        events: what happens, shown in bars under the player.
        tracks: int `[T, h, w]`, the tracks of the events, 0 for none; None where they are the
            segments.

    Returns:
        The HTML.
    """
    pictures = _pictures(gatherer.shown, moving)
    if tracks is not None:
        pictures["tracks"] = _track_pictures(gatherer.shown, tracks)
    areas = np.array(gatherer.areas)
    background = int(residuals.pixels.argmax())
    colors = ["#" + bytes(color).hex() for color in label_palette(len(moving))]
    segments = [
        {
            "label": label,
            "color": colors[label],
            "area": float(areas[:, label].mean()),
            "frames": int((areas[:, label] > 0).sum()),
            "speed": float(gatherer.speeds[label]),
            "residual": float(residuals.mean[background, label]),
            "role": "background" if label == background else "moves" if moving[label] else "still",
        }
        for label in range(len(moving))
        if areas[:, label].any()
    ]
    data = {
        "name": video.path.name,
        "fps": video.fps,
        "size": list(small_size((video.height, video.width))),
        "total": len(areas),
        "shown": [shown.index for shown in gatherer.shown],
        "pictures": pictures,
        "segments": segments,
        "moving": areas[:, moving].sum(axis=1).tolist(),
        "likely": likely,
        "weights": gatherer.weights or None,
        "events": [_bars(track, kind, events) for track, kind in timeline_rows(events)],
        "wheel": flow_wheel(),
        "settings": {
            "Video": f"{video.width} × {video.height}, {len(areas)} frames",
            **settings,
            "Versions": f"jaxmotion {jaxmotion.__version__}, JAX {jax.__version__}, "
            f"NumPy {np.__version__}, Python {platform.python_version()}",
        },
    }
    scripts = [*map(asset, SCRIPTS), *(asset(n, "jaxmotion.answer") for n in _OWN_SCRIPTS)]
    return document(
        asset("answer.html", "jaxmotion.answer"), f"What moves in {video.path.name}", scripts, data
    )


def _bars(track: int, kind: str, events: Sequence[Event]) -> dict[str, Any]:
    """A row of the timeline: the spans of one kind of event of one track."""
    spans = [
        [event.start, event.stop, event.score]
        for event in events
        if (event.track, event.kind) == (track, kind)
    ]
    color = "#" + bytes(label_palette(_COLORS)[_color_of(np.array(track))]).hex()
    return {"track": track, "kind": kind, "color": color, "spans": spans}


def _track_pictures(shown: list[_Shown], tracks: np.ndarray) -> list[str | None]:
    """The tracks in the frames of which there are pictures; none in those without flow."""
    size = small_size(shown[0].labels.shape)
    return [
        indexed(resize_labels(_color_of(tracks[frame.index]), size), _COLORS)
        if frame.index < len(tracks)
        else None
        for frame in shown
    ]


def _color_of(tracks: np.ndarray) -> np.ndarray:
    """Places of the tracks' colors: 0 for none, and of many the same ones again."""
    return np.where(tracks > 0, 1 + (tracks - 1) % (_COLORS - 1), 0)


def _pictures(shown: list[_Shown], moving: np.ndarray) -> dict[str, Any]:
    """The layers of the player; None where a frame has no flow."""
    with_flow = [frame for frame in shown if frame.flow is not None]
    fields = [frame.flow for frame in shown if frame.flow is not None]
    speed = full_color(np.stack(fields)) if fields else 1.0
    maps = salience(((f.flow, f.masks, f.valid) for f in with_flow), moving)  # pyright: ignore[reportArgumentType]

    def flow_picture(frame: _Shown, flow: np.ndarray) -> str:
        return webp(flow_to_color(resize_flow(flow, frame.labels.shape), speed), FLOW_QUALITY)

    def saliency_picture(frame: _Shown, found: np.ndarray) -> str:
        gray = np.rint(255 * cv2.resize(found, frame.labels.shape[::-1])).astype(np.uint8)
        return webp(cv2.applyColorMap(gray, cv2.COLORMAP_INFERNO)[..., ::-1], FRAME_QUALITY)

    with ThreadPoolExecutor() as pool:
        flows = pool.map(flow_picture, with_flow, fields)
        segments = pool.map(lambda frame: indexed(frame.labels, len(moving)), shown)
        saliency = pool.map(saliency_picture, with_flow, maps)
        outlines = [svg_path(moving[frame.labels]) for frame in shown]
        regions = [frame.regions for frame in shown]
        missing = [None] * (len(shown) - len(with_flow))  # the last frames
        return {
            "frames": [frame.picture for frame in shown],
            "moving": outlines,
            "segments": list(segments),
            "flow": [*flows, *missing],
            "saliency": [*saliency, *missing],
            "regions": regions if any(regions) else None,
            "full_color": speed,
        }
