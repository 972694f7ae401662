"""Video in and out: frames of a video file or of a folder of pictures, and an H.264 writer."""

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from jaxmotion.data.decoding import VideoFile, decode, deinterlacing_command, probe
from jaxmotion.data.pictures import read_values, shallow_error, to_8_bits, uses_16_bits
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
        path: path of the video file or the folder.
        height: height of the frames, in pixels.
        width: width of the frames, in pixels.
        num_frames: number of frames, exact for a folder; for a file the pictures that were counted
            in it (`jaxmotion.data.decoding.VideoFile`). What is read is what counts.
        fps: frames per second, the mean where the rate varies, so that a video of constant rate
            takes as long; None for a folder, or where the file has no times.
        files: pictures of a folder in order; empty for a video file.
        source: description of the video file; None for a folder.
    """

    path: Path
    height: int
    width: int
    num_frames: int | None
    fps: float | None = None
    files: tuple[Path, ...] = field(default=(), repr=False)
    source: VideoFile | None = field(default=None, repr=False)

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel divided by its height, as the video is to be shown; 1 for a folder."""
        return self.source.pixel_aspect if self.source else Fraction(1)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the frames, uint8 `[H, W, 3]` (red, green, blue)."""
        if self.source is not None:
            yield from decode(self.source)
            return
        for path, frame in zip(self.files, _read_pictures(self.files), strict=True):
            if frame.shape[:2] != (self.height, self.width):
                raise InputError(
                    f"{path}: {frame.shape[1]} x {frame.shape[0]}, expected "
                    f"{self.width} x {self.height} as the first frame"
                )
            yield frame

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
        path: file of a kind that FFmpeg reads, or a folder of PNG, JPEG, ... pictures of one
            size.
        min_frames: least number of frames; motion needs two.

    Returns:
        The video. A file has been read through, so that one that is cut short is found before the
        work, and its first frames have been decoded.

    Raises:
        InputError: nothing there, no pictures in the folder, a missing or unreadable picture, not a
            video, one that is cut short, or too few frames.
    """
    path = Path(path)
    with reading(path):
        is_folder = path.is_dir()
    if not is_folder:
        file = probe(path, min_frames)
        if file.interlaced:
            _log.warning(
                "%s: interlaced; frames are taken as they are, with lines of two moments. If they "
                "look combed, take them apart: %s",
                path,
                deinterlacing_command(path),
            )
        return Video(path, file.height, file.width, file.num_frames, file.fps, source=file)
    files = _picture_files(path)
    if len(files) < min_frames:
        raise InputError(f"{path}: only {len(files)} frame(s), expected at least {min_frames}")
    height, width = next(_read_pictures(files)).shape[:2]
    return Video(path, height, width, len(files), None, files)


def _picture_files(folder: Path) -> tuple[Path, ...]:
    files = list_files(folder, FRAME_SUFFIXES)
    if not files:
        raise InputError(
            f"{folder}: no pictures in this folder, expected numbered PNG or JPEG files"
        )
    files, gaps = numbered(files)
    if gaps:
        raise InputError(
            f"{min(gaps.values())}: missing frame in a sequence of {len(files)}; if none is "
            "missing, number the pictures without gaps"
        )
    return tuple(files)


def _read_pictures(files: tuple[Path, ...]) -> Iterator[np.ndarray]:
    """Reads the pictures of a video, which tell their depth together: one of them may be dark."""
    is_deep = False
    for path in files:
        values = read_values(path)
        if values.dtype == np.uint16 and values.any() and not is_deep:
            is_deep = any(uses_16_bits(read_values(other)) for other in (path, *files))
            if not is_deep:
                raise shallow_error(path, values)
        yield to_8_bits(values)


# By suffix: channels of a frame, and how it is coded.
_CODECS = {
    ".mp4": (
        3,
        "-c:v libx264 -pix_fmt yuv420p -crf 18 -preset veryfast -movflags +faststart",
    ),
    ".mov": (4, "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le -alpha_bits 16"),
}


class VideoWriter:
    """Writes a video frame by frame; the file appears when the `with` block ends well.

    An MP4 is H.264, which every player reads, of even size only: an odd one gets its last row or
    column twice. A MOV is ProRes 4444, which has alpha and which video editors read.

    Example:
        with VideoWriter("overlay.mp4", fps=25) as writer:
            for frame in frames:
              writer.write(frame)
    """

    def __init__(
        self,
        path: str | os.PathLike,
        fps: float | None = None,
        pixel_aspect: Fraction | int = 1,
    ):
        """Prepares a writer.

        Args:
            path: file to write; `.mp4`, or `.mov` with alpha.
            fps: frames per second; 25 when left out.
            pixel_aspect: width of a pixel divided by its height, for players to stretch the frames.

        Raises:
            InputError: another suffix.
        """
        self.path, self.fps = Path(path), fps or 25.0
        self.pixel_aspect = Fraction(pixel_aspect)
        if self.path.suffix.lower() not in _CODECS:
            raise InputError(f"{path}: expected a name that ends in {' or '.join(_CODECS)}")
        self._channels, self._codec = _CODECS[self.path.suffix.lower()]
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
            frame: picture, uint8 `[H, W, 3]`, with alpha `[H, W, 4]`, all of one size.

        Raises:
            ValueError: another size or type than the first frame.
            InputError: it cannot be written.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != self._channels:
            raise ValueError(
                f"a frame is uint8 [H, W, {self._channels}], got {frame.dtype} {frame.shape}"
            )
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
        pixels = "rgba" if self._channels == 4 else "rgb24"
        try:
            program = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise InputError(f"{self.path}: cannot be written (no FFmpeg program)") from error
        command = f"-y -v error -f rawvideo -pix_fmt {pixels} -s {size} -r {self.fps:.6f} -i - -an"
        command += f" -vf setsar={self.pixel_aspect.numerator}/{self.pixel_aspect.denominator}"
        command += f" {self._codec}"
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
