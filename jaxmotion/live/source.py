"""Frames as they come: all of a file, the newest of a camera or a stream."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from jaxmotion.data.video import Video, open_video
from jaxmotion.errors import InputError

_POLL = 0.1  # seconds after which one who waits for a frame looks whether it is stopped
_PATIENCE = 5.0  # seconds that a camera is given to end a read


class Shot(NamedTuple):
    """A frame, and when it came.

    Attributes:
        frame: uint8 `[H, W, 3]`, red, green, blue.
        arrived: time at which it was there, of `time.perf_counter`.
    """

    frame: np.ndarray
    arrived: float


class Source(Protocol):
    """Frames in the order of time. A context manager: frames come while it is open.

    Attributes:
        size: `(height, width)` of the frames.
        fps: frames per second; None where nothing tells.
        is_live: whether frames that come too fast are dropped.
        dropped: number of frames that were.
    """

    size: tuple[int, int]
    fps: float | None
    is_live: bool
    dropped: int

    def __enter__(self) -> "Source":
        """Starts."""
        ...

    def __exit__(self, *error_details: object) -> None:
        """Ends."""
        ...

    def shots(self, stopped: threading.Event) -> Iterator[Shot]:
        """Yields the frames until there are no more, or somebody stopped it."""
        ...


def open_source(name: str) -> Source:
    """Opens a camera, a stream, or a video.

    Args:
        name: number of a camera, from 0; a stream that OpenCV opens (`rtsp://...`, `http://...`, a
            device such as `/dev/video0`); else a video file or a folder of frames.

    Raises:
        InputError: no such camera, no such stream, or what `open_video` says of a file.
    """
    if name.isdecimal():
        return LiveSource(name, int(name), "no such camera, or another program has it")
    if "://" in name:
        return LiveSource(name, name, "no stream that OpenCV opens")
    if Path(name).is_char_device():
        return LiveSource(name, name, "no camera that OpenCV opens")
    return FileSource(open_video(name))


class FileSource:
    """All frames of a video, as fast as they are taken."""

    is_live, dropped = False, 0

    def __init__(self, video: Video) -> None:
        """Makes one of an open video."""
        self._video = video
        self.size, self.fps = (video.height, video.width), video.fps

    def __enter__(self) -> "FileSource":
        """Nothing to start."""
        return self

    def __exit__(self, *error_details: object) -> None:
        """Nothing to end."""

    def shots(self, stopped: threading.Event) -> Iterator[Shot]:
        """Yields every frame, until somebody stopped it."""
        for frame in self._video:
            if stopped.is_set():
                return
            yield Shot(frame, time.perf_counter())


class LiveSource:
    """The newest frame of a camera or a stream. A thread reads them, whoever takes them or not."""

    is_live = True

    def __init__(self, name: str, place: int | str, fault: str) -> None:
        """Opens it.

        Args:
            name: its name, for a message.
            place: what OpenCV opens.
            fault: what is wrong where it does not.

        Raises:
            InputError: OpenCV does not open it, or no frame comes.
        """
        self._name = name
        with _quiet():
            self._capture = cv2.VideoCapture(place)
            there, frame = self._capture.read() if self._capture.isOpened() else (False, None)
        if not there or frame is None:
            self._capture.release()
            raise InputError(
                f"{name}: {fault}; expected the number of a camera, a stream, a video file or a "
                "folder of frames"
            )
        self.size = frame.shape[:2]
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 1000 else None
        self.dropped = 0
        self._newest: Shot | None = Shot(
            cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), time.perf_counter()
        )
        self._news, self._ended, self._unwanted = threading.Condition(), False, False
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "LiveSource":
        """Lets the thread begin."""
        self._thread.start()
        return self

    def __exit__(self, *error_details: object) -> None:
        """Ends the thread, and gives the camera back."""
        self._unwanted = True
        self._thread.join(_PATIENCE)
        if not self._thread.is_alive():  # else it is in the middle of a read
            self._capture.release()

    def _read(self) -> None:
        while not self._unwanted:
            there, frame = self._capture.read()
            if not there:
                break
            shot = _shot(frame)
            with self._news:
                self.dropped += self._newest is not None
                self._newest = shot
                self._news.notify()
        with self._news:
            self._ended = True
            self._news.notify()

    def shots(self, stopped: threading.Event) -> Iterator[Shot]:
        """Yields the newest frame, whenever one is asked for, each once, until somebody stopped it.

        Raises:
            InputError: a frame of another size.
        """
        while not stopped.is_set():
            with self._news:
                while self._newest is None and not (self._ended or stopped.is_set()):
                    self._news.wait(_POLL)  # a camera may hang
                shot, self._newest = self._newest, None
            if shot is None:
                return
            if shot.frame.shape[:2] != self.size:
                height, width = shot.frame.shape[:2]
                raise InputError(
                    f"{self._name}: a frame of {width} x {height}, expected {self.size[1]} x "
                    f"{self.size[0]} as the first"
                )
            yield shot


def _shot(frame: np.ndarray) -> Shot:
    return Shot(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), time.perf_counter())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps OpenCV from saying on its own what is said in one line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
