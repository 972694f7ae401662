"""Flow of a whole video into a folder, with pictures and quality, ready to be resumed."""

import json
import os
import statistics
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from tqdm import tqdm

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.colors import flow_to_color
from jaxmotion.optical_flow.estimators import Estimator
from jaxmotion.optical_flow.quality import FlowQuality, flow_quality
from jaxmotion.optical_flow.stores import ARCHIVE, KINDS, Store, open_store

DESCRIPTION = "flow.json"  # beside the flow: which estimator made it, of what
QUALITY = "quality.json"
COLOR = "color"


class Frames(Protocol):
    """A video as `jaxmotion.data.open_video` gives it."""

    @property
    def path(self) -> Path:
        """Where it comes from."""
        ...

    @property
    def height(self) -> int:
        """Of its frames."""
        ...

    @property
    def width(self) -> int:
        """Of its frames."""
        ...

    @property
    def num_frames(self) -> int | None:
        """How many, where that is known."""
        ...

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields uint8 `[H, W, 3]`."""
        ...

    def frame_names(self) -> Iterable[str]:
        """Yields a name for each frame."""
        ...


@dataclass(frozen=True)
class FlowOrigin:
    """What `flow.json` says of the flow beside it.

    Attributes:
      estimator: its name.
      settings: of the estimator, ready for JSON.
      gap: frames from one to the other.
      backward: to the earlier frame.
    """

    estimator: str
    settings: dict[str, Any]
    gap: int = 1
    backward: bool = False

    def __str__(self) -> str:
        """Direction and gap in words."""
        return f"{'backward' if self.backward else 'forward'} flow with a gap of {self.gap}"


def read_flow_origin(path: str | os.PathLike) -> FlowOrigin | None:
    """Reads what made a flow, where that was noted.

    Args:
      path: a folder of flow, or the `flow.npz` in it.

    Returns:
      The origin; None for flow without a `flow.json`.

    Raises:
      InputError: a `flow.json` that is not one of ours.
    """
    path = Path(path)
    file = (path.parent if path.name == ARCHIVE else path) / DESCRIPTION
    with reading(file):
        if not file.is_file():
            return None
        text = file.read_text(errors="replace")
    try:
        found = json.loads(text)
        gap, direction = int(found["gap"]), found["direction"]
        if gap < 1 or direction not in ("forward", "backward"):
            raise ValueError
        settings = dict(found["settings"])
        return FlowOrigin(str(found["estimator"]), settings, gap, direction == "backward")
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{file}: damaged, expected what jaxmotion flow writes") from error


@dataclass(frozen=True)
class FlowFolderReport:
    """What `write_flow_folder` did.

    Attributes:
      folder: where the flow is.
      num_flows: fields in the folder, fewer than frames by the gap.
      num_reused: those that were there already.
      seconds_per_flow: estimation time of a new one (the median), 0 where there were none.
      format: of the flow.
      quality: the mean over the video, where it was asked for.
    """

    folder: Path
    num_flows: int
    num_reused: int
    seconds_per_flow: float
    format: str = "flo"
    quality: FlowQuality | None = None

    def __str__(self) -> str:
        """One line for the end of the command, and one for the quality."""
        kept = f", {self.num_reused} of them there before" if self.num_reused else ""
        pace = f"; {1000 * self.seconds_per_flow:.0f} ms a field" if self.seconds_per_flow else ""
        quality = f"\n{self.quality}" if self.quality else ""
        return f"{self.folder}: {self.num_flows} flow fields (.{self.format}){kept}{pace}{quality}"


def write_flow_folder(
    video: Frames,
    folder: str | os.PathLike,
    estimator: Estimator,
    *,
    gap: int = 1,
    backward: bool = False,
    format: Literal["flo", "png", "npz"] = "flo",
    color: bool = False,
    quality: bool = False,
    progress: bool = True,
) -> FlowFolderReport:
    """Estimates the flow of a video into a folder.

    A field is the flow from its frame to the one `gap` frames later, or earlier if `backward`, and
    carries the name of its frame. Frames are read and files written one by one, so memory does not
    grow with the video. Run again after an interruption, it keeps what is there and estimates the
    rest; `flow.json` in the folder says what made the flow, and another estimator, video or kind of
    flow is refused there.

    Args:
      video: the frames, see `jaxmotion.data.open_video`.
      folder: where the files go; made where missing.
      estimator: see `make_estimator`.
      gap: frames from one to the other, at least 1; vectors are pixels per gap.
      backward: to the frame before instead of the one after.
      format: "flo", a file a field; "png", KITTI's, rounded to 1/64 pixel and below 512 pixels;
        "npz", one `flow.npz` with "flow" `[T, H, W, 2]`.
      color: also pictures, `color/NAME.png`, by the usual wheel and to one scale.
      quality: also `quality.json`, see `FlowQuality`; needs the flow back, so twice the time.
      progress: show progress bars.

    Returns:
      How many fields there are, how long one took, and how good they are.

    Raises:
      InputError: a wrong option, a frame that cannot be read, a folder that holds other flow or
        cannot be written.
    """
    folder = Path(folder)
    if gap < 1:
        raise InputError(f"gap {gap}: expected at least 1")
    if format not in KINDS:
        raise InputError(f"format {format!r}: expected one of {', '.join(KINDS)}")
    _describe(folder, video, estimator, gap=gap, backward=backward, format=format)
    store = open_store(folder, format)
    qualities = _read_qualities(folder / QUALITY) if quality else {}
    total = None if video.num_frames is None else max(video.num_frames - gap, 0)
    seconds, names, reused = [], [], 0
    with tqdm(
        total=total, desc=f"flow ({estimator.name})", unit="frame", disable=not progress
    ) as bar:
        for name, image0, image1 in _pairs(video, gap, backward):
            if store.has(name, image0.shape[:2]):
                reused += 1
            else:
                start = time.perf_counter()
                flow = estimator(image0, image1)
                seconds.append(time.perf_counter() - start)
                store.write(name, flow)
            if quality and name not in qualities:
                back = estimator(image1, image0)
                qualities[name] = flow_quality(image0, image1, store.read(name), back)
                _write_qualities(folder / QUALITY, qualities)
            names.append(name)
            bar.update()
    if not names:
        raise InputError(f"{video.path}: too few frames for a gap of {gap}")
    store.finish(names)
    if color:
        _write_colors(folder / COLOR, store, names, progress)
    mean = FlowQuality.mean([qualities[name] for name in names]) if quality else None
    pace = statistics.median_low(seconds) if seconds else 0.0  # the first one also compiles
    return FlowFolderReport(folder, len(names), reused, pace, format, mean)


def _pairs(video: Frames, gap: int, backward: bool) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name of the frame, the frame, and the one that its flow goes to."""
    waiting: deque[tuple[str, np.ndarray]] = deque()
    for name, frame in zip(video.frame_names(), video, strict=False):
        if len(waiting) == gap:
            earlier_name, earlier = waiting.popleft()
            yield (name, frame, earlier) if backward else (earlier_name, earlier, frame)
        waiting.append((name, frame))


def _write_colors(folder: Path, store: Store, names: list[str], progress: bool) -> None:
    """Pictures of all fields to one scale, so that they can be watched as a video."""
    paths = {name: folder / f"{name}.png" for name in names}
    with reading(folder):
        if all(path.exists() for path in paths.values()):
            return
    # A few wild vectors shall not leave all else white.
    scale = max(np.quantile(np.linalg.norm(store.read(name), axis=-1), 0.99) for name in names)
    for name, path in tqdm(paths.items(), desc="pictures", unit="frame", disable=not progress):
        picture = flow_to_color(store.read(name), max_magnitude=float(scale))
        with atomic_path(path) as temporary:
            temporary.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())


def _read_qualities(path: Path) -> dict[str, FlowQuality]:
    with reading(path):
        if not path.exists():
            return {}
        text = path.read_text()
    try:
        frames = json.loads(text)["frames"]
        return {name: FlowQuality.from_json(figures) for name, figures in frames.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: damaged, remove it or give another folder") from error


def _write_qualities(path: Path, qualities: dict[str, FlowQuality]) -> None:
    content = {
        "mean": FlowQuality.mean(list(qualities.values())).to_json(),
        "frames": {name: figures.to_json() for name, figures in qualities.items()},
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def _describe(
    folder: Path, video: Frames, estimator: Estimator, *, gap: int, backward: bool, format: str
) -> None:
    """Writes `flow.json`, or checks that the one which is there says the same."""
    description: dict[str, Any] = {
        "estimator": estimator.name,
        "settings": estimator.settings,
        "source": video.path.name,
        "height": video.height,
        "width": video.width,
        "gap": gap,
        "direction": "backward" if backward else "forward",
        "format": format,
        "unit": f"pixels per {'frame' if gap == 1 else f'{gap} frames'}, of this height and width",
    }
    path = folder / DESCRIPTION
    with reading(folder):
        text = path.read_text() if path.exists() else None
        inside = sorted(folder.iterdir()) if folder.exists() else []
    strangers = [entry for entry in inside if entry.suffix.lower() in (".flo", ".png", ".npz")]
    if text is None and strangers:
        raise InputError(f"{strangers[0]}: flow of another origin? give another folder")
    if text is None:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(description, indent=2) + "\n")
        return
    try:
        found = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: damaged, remove it or give another folder") from error
    for key, value in description.items():
        if found.get(key) != value:
            raise InputError(
                f"{folder}: holds flow with {key} {found.get(key)!r}, not {value!r}; "
                "give another folder"
            )
