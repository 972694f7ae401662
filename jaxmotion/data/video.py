"""Video in and out: frames of a video file or of a folder of pictures, and an H.264 writer."""

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import imageio_ffmpeg
import numpy as np

from jaxmotion.data.pictures import read_image
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, list_files, numbered, reading

_log = logging.getLogger(__name__)

FRAME_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".vob", ".ts"),
    *(".mts", ".m2ts", ".wmv", ".asf", ".flv", ".f4v", ".gif", ".ogv", ".ogg", ".3gp", ".3g2"),
    *(".mxf", ".dv", ".y4m", ".mjpeg", ".mjpg", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf"),
)


@dataclass(frozen=True)
class Video:
    """A video that can be iterated over, any number of times, without being held in memory.

    Attributes:
      path: the video file or the folder.
      height: of the frames, in pixels.
      width: of the frames, in pixels.
      num_frames: exact for a folder; for a file what its header says, which can be a little off, or
        None where it says nothing.
      fps: frames per second; None for a folder.
      files: the pictures of a folder in order; empty for a video file.
    """

    path: Path
    height: int
    width: int
    num_frames: int | None
    fps: float | None = None
    files: tuple[Path, ...] = field(default=(), repr=False)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the frames, uint8 `[H, W, 3]` (red, green, blue)."""
        frames = map(read_image, self.files) if self.files else _decode(self.path)
        count = 0
        for index, frame in enumerate(frames):
            if frame.shape[:2] != (self.height, self.width):
                name = self.files[index] if self.files else f"{self.path}, frame {index}"
                raise InputError(
                    f"{name}: {frame.shape[1]} x {frame.shape[0]}, expected "
                    f"{self.width} x {self.height} as the first frame"
                )
            count = index + 1
            yield frame
        if self.num_frames is not None and count < 0.9 * self.num_frames:
            _log.warning(
                "%s: only %d of the %d frames that its header announces could be read",
                self.path,
                count,
                self.num_frames,
            )

    def frame_names(self) -> Iterator[str]:
        """Yields a name for each frame: the file's own without suffix, or 00000, 00001, ..."""
        if self.files:
            yield from (file.stem for file in self.files)
        else:
            index = 0
            while True:
                yield f"{index:05d}"
                index += 1


def open_video(path: str | os.PathLike, min_frames: int = 2) -> Video:
    """Opens a video file or a folder of numbered pictures.

    Args:
      path: a file of a kind that FFmpeg reads, or a folder of PNG, JPEG, ... pictures of one size.
      min_frames: fewer are an error; motion needs two.

    Returns:
      The video, whose first frames have been read as a check.

    Raises:
      InputError: nothing there, no pictures in the folder, a missing or unreadable picture, not a
        video, or too few frames.
    """
    path = Path(path)
    with reading(path):
        is_folder = path.is_dir()
    if is_folder:
        files = _picture_files(path)
        height, width = read_image(files[0]).shape[:2]
        video = Video(path, height, width, len(files), None, files)
        count = len(files)
    else:
        first = list(islice(_decode(path), max(min_frames, 1)))
        if not first:
            raise InputError(f"{path}: no frame could be decoded, expected a video file")
        height, width = first[0].shape[:2]
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        reported, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        capture.release()
        num_frames = int(reported) if 0 < reported < 1e9 else None
        video = Video(path, height, width, num_frames, fps if 0 < fps < 1e4 else None)
        count = len(first)
    if count < min_frames:
        raise InputError(f"{path}: only {count} frame(s), expected at least {min_frames}")
    return video


def _picture_files(folder: Path) -> tuple[Path, ...]:
    files = list_files(folder, FRAME_SUFFIXES)
    if not files:
        raise InputError(
            f"{folder}: no pictures in this folder, expected numbered PNG or JPEG files"
        )
    files, gaps = numbered(files)
    if gaps:
        raise InputError(f"{min(gaps.values())}: missing frame in a sequence of {len(files)}")
    return tuple(files)


def _decode(path: Path) -> Iterator[np.ndarray]:
    """Yields every frame of a video file once.

    OpenCV carries its own FFmpeg. Unlike a pipe from the FFmpeg program it neither repeats nor
    drops frames of a video with a varying frame rate, and a repeated frame would have zero flow.
    """
    with reading(path), open(path, "rb"):
        pass
    with _quiet():
        # The back end is named, because others take digits in a name for a pattern of pictures.
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise InputError(f"{path}: not a readable video file")
        while True:
            got, frame = capture.read()
            if not got:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what FFmpeg and OpenCV say about a broken file from standing beside our one line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # read once, at the first video
    logging_of_cv2: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # OpenCV 4, 5
    level = logging_of_cv2.getLogLevel()
    logging_of_cv2.setLogLevel(2)  # errors
    try:
        yield
    finally:
        logging_of_cv2.setLogLevel(level)


class VideoWriter:
    """Writes an MP4 (H.264) frame by frame; the file appears when the `with` block ends well.

    Every player reads H.264 of even size only: an odd one gets its last row or column twice.

    Example:
      with VideoWriter("overlay.mp4", fps=25) as writer:
        for frame in frames:
          writer.write(frame)
    """

    def __init__(self, path: str | os.PathLike, fps: float | None = None):
        """Prepares a writer.

        Args:
          path: where to; `.mp4`.
          fps: frames per second; 25 when left out.

        Raises:
          InputError: another suffix.
        """
        self.path, self.fps = Path(path), fps or 25.0
        if self.path.suffix.lower() != ".mp4":
            raise InputError(f"{path}: expected a name that ends in .mp4")
        self._encoder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "VideoWriter":
        with ExitStack() as stack:
            self._temporary = stack.enter_context(atomic_path(self.path))
            stack.push(self._end)  # comes before the file takes its name
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error_details) -> None:
        self._stack.__exit__(*error_details)

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame.

        Args:
          frame: uint8 `[H, W, 3]`, all of one size.

        Raises:
          ValueError: another size or type than the first frame.
          InputError: it cannot be written.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
            raise ValueError(f"a frame is uint8 [H, W, 3], got {frame.dtype} {frame.shape}")
        if self._encoder is None:
            self._shape = frame.shape
            self._encoder = self._start(*frame.shape[:2])
        if frame.shape != self._shape:
            raise ValueError(f"the first frame was {self._shape}, this one is {frame.shape}")
        height, width = frame.shape[:2]
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        assert self._encoder.stdin is not None
        try:
            self._encoder.stdin.write(np.ascontiguousarray(frame).data)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({self._wait()})") from error

    def _start(self, height: int, width: int) -> "subprocess.Popen[bytes]":
        size = f"{width + width % 2}x{height + height % 2}"
        try:
            program = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise InputError(f"{self.path}: cannot be written (no FFmpeg program)") from error
        command = f"-y -v error -f rawvideo -pix_fmt rgb24 -s {size} -r {self.fps:.6f} -i - -an"
        command += " -c:v libx264 -pix_fmt yuv420p -crf 18 -preset veryfast -movflags +faststart"
        return subprocess.Popen(
            [program, *command.split(), str(self._temporary)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # an interrupt at the keyboard is ours to handle
        )

    def _end(self, kind, error, trace) -> None:
        if self._encoder is None:
            if error is None:
                raise InputError(f"{self.path}: cannot be written (there were no frames)")
            return
        if error is not None:
            self._encoder.kill()
        words = self._wait()
        if error is None and self._encoder.returncode != 0:
            raise InputError(f"{self.path}: cannot be written ({words})")

    def _wait(self) -> str:
        """Closes the encoder's input, waits for it, and returns the last line it had to say."""
        assert self._encoder is not None
        _, words = self._encoder.communicate()
        return (words.decode(errors="replace").strip().splitlines() or ["the encoder stopped"])[-1]
