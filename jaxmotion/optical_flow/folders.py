"""Flow of a whole video into a folder of `.flo` files, one a frame, ready to be resumed."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, list_files, reading
from jaxmotion.optical_flow.estimators import Estimator
from jaxmotion.optical_flow.formats import flo_size, write_flo

DESCRIPTION = "flow.json"  # beside the .flo files: which estimator made them, of what


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
class FlowFolderReport:
    """What `write_flow_folder` did.

    Attributes:
      folder: where the files are.
      num_flows: files in the folder, one less than frames.
      num_reused: those that were there already.
      seconds_per_flow: estimation time of the new ones, 0 where there were none.
    """

    folder: Path
    num_flows: int
    num_reused: int
    seconds_per_flow: float

    def __str__(self) -> str:
        """One line for the end of the command."""
        kept = f", {self.num_reused} of them there before" if self.num_reused else ""
        pace = f"; {1000 * self.seconds_per_flow:.0f} ms a field" if self.seconds_per_flow else ""
        return f"{self.folder}: {self.num_flows} flow fields (.flo){kept}{pace}"


def write_flow_folder(
    video: Frames, folder: str | os.PathLike, estimator: Estimator, *, progress: bool = True
) -> FlowFolderReport:
    """Estimates the flow of a video, frame t to t + 1, into one `.flo` file a frame.

    Each file carries the name of its first frame. Frames are read and files written one by one, so
    memory does not grow with the video. Run again after an interruption, it keeps the files that
    are there and estimates the rest; `flow.json` in the folder says what made them, and another
    estimator or another video is refused there.

    Args:
      video: the frames, see `jaxmotion.data.open_video`.
      folder: where the files go; made where missing.
      estimator: see `make_estimator`.
      progress: show a progress bar.

    Returns:
      How many flows there are, and how long one took.

    Raises:
      InputError: a frame that cannot be read, a folder that holds other flow or cannot be written.
    """
    folder = Path(folder)
    _describe(folder, video, estimator)
    total = None if video.num_frames is None else video.num_frames - 1
    seconds, names, reused = 0.0, [], 0
    with tqdm(
        total=total, desc=f"flow ({estimator.name})", unit="frame", disable=not progress
    ) as bar:
        previous = None
        for name, frame in zip(_before(video.frame_names()), video, strict=False):
            if previous is not None and name is not None:
                path = folder / f"{name}.flo"
                if _is_complete(path, frame.shape[:2]):
                    reused += 1
                else:
                    start = time.perf_counter()
                    flow = estimator(previous, frame)
                    seconds += time.perf_counter() - start
                    write_flo(path, flow)
                names.append(path.name)
                bar.update()
            previous = frame
    strangers = sorted({path.name for path in list_files(folder, (".flo",))} - set(names))
    if strangers:
        raise InputError(
            f"{folder / strangers[0]}: of no frame of {video.path}, expected only its own"
        )
    return FlowFolderReport(folder, len(names), reused, seconds / max(len(names) - reused, 1))


def _is_complete(path: Path, size: tuple[int, ...]) -> bool:
    try:
        return flo_size(path) == size
    except InputError:
        return False


def _before(names: Iterable[str]) -> Iterator[str | None]:
    """Gives each frame the name of the one before it."""
    yield None
    yield from names


def _describe(folder: Path, video: Frames, estimator: Estimator) -> None:
    """Writes `flow.json`, or checks that the one which is there says the same."""
    description: dict[str, Any] = {
        "estimator": estimator.name,
        "settings": estimator.settings,
        "source": video.path.name,
        "height": video.height,
        "width": video.width,
        "gap": 1,
        "direction": "forward",
        "unit": "pixels per frame, of frames of this height and width",
    }
    path = folder / DESCRIPTION
    with reading(folder):
        text = path.read_text() if path.exists() else None
        holds_flow = folder.exists() and bool(list_files(folder, (".flo",)))
    if text is None and holds_flow:
        raise InputError(f"{folder}: holds .flo files of another origin; give another folder")
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
