"""Where the pictures go: a window on the screen, a video file."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from jaxmotion.data.video import VideoWriter

RECORDED_FPS = 15.0
"""Frames per second of the recording of a camera or a stream."""

_QUIT = (ord("q"), 27)  # and the escape key


class Output(Protocol):
    """Takes pictures. A context manager."""

    def __enter__(self) -> "Output":
        """Opens it."""
        ...

    def __exit__(self, *error_details: Any) -> None:
        """Closes it."""
        ...

    def show(self, picture: np.ndarray) -> bool:
        """Takes a picture, uint8 `[H, W, 3]`; says whether more are wanted."""
        ...


def why_no_display() -> str:
    """The reason why no window can be shown; empty where one can."""
    if not cv2.currentUIFramework():
        return (
            "the OpenCV that is installed shows no windows (opencv-python in the place of "
            "opencv-python-headless does)"
        )
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "neither DISPLAY nor WAYLAND_DISPLAY is set"
    return ""


class Window:
    """A window on the screen; q, the escape key or closing it ends the program."""

    def __init__(self, title: str) -> None:
        """Makes one with a title."""
        self._title = title

    def __enter__(self) -> "Window":
        """Opens the window."""
        cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        return self

    def __exit__(self, *error_details: Any) -> None:
        """Closes the window."""
        cv2.destroyAllWindows()

    def show(self, picture: np.ndarray) -> bool:
        """Shows a picture; False once the user has had enough."""
        cv2.imshow(self._title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if cv2.waitKey(1) & 0xFF in _QUIT:
            return False
        return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1


class Recording:
    """A video file of the pictures. It appears when the `with` block ends well.

    What is live plays as it was: each picture is repeated until the time of the next, at
    `RECORDED_FPS`.
    """

    def __init__(
        self,
        path: Path,
        fps: float | None,
        is_live: bool,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepares the file.

        Args:
            path: the file, .mp4.
            fps: frames per second of a source that is not live.
            is_live: whether pictures come at times of their own.
            clock: function that tells the time in seconds.

        Raises:
            InputError: another suffix.
        """
        self._writer = VideoWriter(path, RECORDED_FPS if is_live else fps)
        self._clock = clock if is_live else None
        self._first, self._written = 0.0, 0
        self._latest: np.ndarray | None = None

    def __enter__(self) -> "Recording":
        """Opens the file."""
        with ExitStack() as stack:
            stack.enter_context(self._writer)
            stack.push(self._end)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error_details: Any) -> None:
        """Closes the file."""
        self._stack.__exit__(*error_details)

    def _end(self, kind: object, error: object, trace: object) -> None:
        if self._latest is not None and error is None:
            self._writer.write(self._latest)

    def show(self, picture: np.ndarray) -> bool:
        """Writes a picture; more are always wanted."""
        if self._clock is None:
            self._writer.write(picture)
            return True
        if self._latest is None:
            self._first = self._clock()
        else:
            due = round((self._clock() - self._first) * RECORDED_FPS)
            for _ in range(due - self._written):
                self._writer.write(self._latest)
            self._written = max(due, self._written)
        self._latest = picture
        return True
