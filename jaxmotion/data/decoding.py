"""Frames of a video file, decoded by the FFmpeg program that comes with imageio-ffmpeg.

The program says what it could not read; a library that keeps this to itself hands out noise as
frames. It decodes AV1, converts pictures of more than 8 bits, turns them upright, and gives each
coded picture once, whatever the frame rate does.

The fields of interlaced video are woven, as they are stored: every line stays as it was recorded.
To take them apart invents half of the lines, and would blur the many videos that are only marked as
interlaced. Who needs it is told the command.
"""

import re
import shlex
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from jaxmotion.data.ffmpeg import FFmpeg
from jaxmotion.errors import InputError
from jaxmotion.files import reading

_KEY, _CORRUPT, _DISCARDED = 1, 2, 4  # flags of a packet; discarded: decoded, but not shown
_NEVER = -(2**63)  # what FFmpeg writes for a time that it does not know


@dataclass(frozen=True)
class VideoFile:
    """A video file that has been read through once, without decoding more than its first frames.

    Attributes:
        path: file of the video.
        codec: name of the codec, as FFmpeg calls it: "h264", "av1", ...
        height: height of the frames as they are shown, upright, in pixels.
        width: width of the frames, in pixels.
        num_frames: number of pictures in the file that are to be shown. It is counted, not taken
            from a header; the few codecs that code a picture in parts can yield fewer frames.
        fps: mean number of frames per second; None where the file has no times.
        pixel_aspect: width of a pixel divided by its height.
        interlaced: whether the first frame is marked as two fields of different moments.
        independent: whether each picture is coded without the others, so that `num_frames` is
            certain.
    """

    path: Path
    codec: str
    height: int
    width: int
    num_frames: int
    fps: float | None
    pixel_aspect: Fraction
    interlaced: bool
    independent: bool


def probe(path: Path, min_frames: int = 1) -> VideoFile:
    """Reads through a video file and decodes its first frames.

    Args:
        path: file of a kind that FFmpeg reads.
        min_frames: least number of frames.

    Returns:
        The description of the file.

    Raises:
        InputError: no such file, not a video, a codec that is not known, a file that is cut short
            or damaged, or too few frames.
    """
    with reading(path), open(path, "rb"):
        pass
    codec, flags, times, tick = _packets(path)
    is_shown = flags & _DISCARDED == 0
    count, fps = int(is_shown.sum()), _rate(times[is_shown], tick) if is_shown.any() else None
    options = ["-vf", "showinfo=checksum=0", "-frames:v", str(max(min_frames, 1)), "-f", "null"]
    with FFmpeg(path, "info", options) as program:
        program.finish()
    shown = [found for line in program.lines if (found := _SHOWN.search(line))]
    if not shown:
        raise _nothing_decoded(path, codec, program.last_words)
    if len(shown) < min_frames:
        if program.damage:
            raise _damaged(path, codec, len(shown), program.damage)
        raise InputError(f"{path}: only {len(shown)} frame(s), expected at least {min_frames}")
    interlaced = shown[0]["fields"] in "TB"
    if interlaced and fps and len(shown) > 1:
        start, end = (float(shown[i]["time"].replace("NOPTS", "nan")) for i in (0, -1))
        if (end - start) * fps > 1.5 * (len(shown) - 1):  # a packet for each field
            count, fps = (count + 1) // 2, fps / 2
    aspect = [int(part) for part in shown[0]["aspect"].split("/")]
    return VideoFile(
        path,
        codec,
        height=int(shown[0]["height"]),
        width=int(shown[0]["width"]),
        num_frames=count,
        fps=fps,
        pixel_aspect=Fraction(*aspect) if all(aspect) else Fraction(1),
        interlaced=interlaced,
        independent=bool((flags & _KEY).all()),
    )


def decode(file: VideoFile) -> Iterator[np.ndarray]:
    """Decodes a video file frame by frame; the program ends with the iterator.

    Args:
        file: description of the file, from `probe`.

    Yields:
        The frames, uint8 `[H, W, 3]`.

    Raises:
        InputError: the file is damaged or cut short, or its frames change their size; said as soon
            as FFmpeg says it.
    """
    height, width = file.height, file.width
    # A filter that cannot be set up for another size, where FFmpeg would rescale without a word.
    one_size = f"crop=w='if(eq(iw,{width})*eq(ih,{height}),{width},0)':h={height}:exact=1"
    options = ["-vf", one_size, "-noautoscale", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    count = 0
    with FFmpeg(file.path, "warning", options) as program:
        while True:
            frame = np.empty((height, width, 3), np.uint8)
            filled = program.output.readinto(frame.data.cast("B"))
            if program.damage or filled < frame.nbytes:
                break
            count += 1
            yield frame
        if not program.damage:
            program.finish()
    if program.damage:
        raise _damaged(file.path, file.codec, count, program.damage)
    if any("Invalid too big or non positive size" in line for line in program.lines):
        raise InputError(
            f"{file.path}: frames of another size after {count} of {width} x {height}, expected "
            "one size; cut it there, or scale it: "
            + _command(file.path, f"-vf scale={width}:{height}")
        )
    if program.returncode or filled or (file.independent and count < file.num_frames):
        words = program.last_words or f"{count} of {file.num_frames} frames could be decoded"
        raise _damaged(file.path, file.codec, count, words)


def deinterlacing_command(path: Path) -> str:
    """The command that takes the fields of an interlaced video apart."""
    return _command(path, "-vf bwdif")


def _packets(path: Path) -> tuple[str, np.ndarray, np.ndarray, Fraction]:
    """Reads through the file: its codec, flags `[N]` and times `[N, 2]` of all packets, the tick.

    The times, of decoding and of showing, count ticks of so many seconds.
    """
    codec, tick, flags, times = "", Fraction(1), array("B"), array("q")
    with FFmpeg(path, "warning", ["-c", "copy", "-f", "framecrc"]) as program:
        for line in program.output:
            words = line.decode(errors="replace").replace(",", " ").split()
            if words[0] == "#codec_id":
                codec = words[-1]
            elif words[0] == "#tb":
                tick = Fraction(words[-1])
            elif not words[0].startswith("#"):
                said = (int(word[2:], 16) for word in words if word.startswith("F="))
                flags.append(next(said, _KEY) & 0xFF)
                times.extend((int(words[1]), int(words[2])))
        program.finish()
    if codec == "ansi":
        raise InputError(f"{path}: not a readable video file (text, which FFmpeg would draw)")
    if not flags:
        words = program.last_words
        if any("matches no streams" in line for line in program.lines):
            words = "no video in it"
        if codec:
            raise _nothing_decoded(path, codec, words)
        raise InputError(f"{path}: not a readable video file ({words})")
    flags = np.array(flags)
    # Where broadcasts are joined end to end, the last of the first one looks corrupt as well.
    lost = [
        at for at in np.flatnonzero(flags & _CORRUPT) if not (flags[at + 1 : at + 3] & _KEY).any()
    ]
    words = program.damage or ("a part is missing" if lost else _missing_tail(path))
    if words:
        raise _damaged(path, codec, int(lost[0]) if lost else len(flags), words)
    return codec, flags, np.array(times).reshape(-1, 2), tick


def _missing_tail(path: Path) -> str:
    """The fault of a transport stream that ends within one of its packets of equal size."""
    with reading(path), open(path, "rb") as file:
        head, size = file.read(1024), file.seek(0, 2)
    for packet, start in ((188, 0), (192, 4), (204, 0)):
        if set(head[start::packet]) == {0x47} and len(head) == 1024 and size % packet:
            return "ends within a packet"
    return ""


def _rate(times: np.ndarray, tick: Fraction) -> float | None:
    """Frames per second from times `[N, 2]`, where they tell."""
    shown = times[:, 1] if (times[:, 1] != _NEVER).all() else times[:, 0]
    span = int(shown.max()) - int(shown.min())
    if (shown == _NEVER).any() or span <= 0:
        return None
    fps = float((len(shown) - 1) / (span * tick))
    # The usual rate, 25 or 30000/1001, where times that are rounded to a tick allow for it.
    usual = min(round(fps), round(fps * 1.001) / 1.001, key=lambda rate: abs(rate - fps))
    fps = float(usual) if abs(usual - fps) * span <= 1.5 * fps else fps
    return fps if 0 < fps < 1e4 else None


def _nothing_decoded(path: Path, codec: str, words: str) -> InputError:
    return InputError(f"{path}: no frame could be decoded ({codec}: {words}); {_remedy(path)}")


def _damaged(path: Path, codec: str, count: int, words: str) -> InputError:
    return InputError(
        f"{path}: damaged or cut short after {count} frames ({codec}: {words}); {_remedy(path)}"
    )


def _remedy(path: Path) -> str:
    return f"fetch it anew, or keep what FFmpeg can read of it: {_command(path)}"


def _command(path: Path, options: str = "") -> str:
    copy = path.with_name(f"{path.stem}-copy.mp4")
    words = ["ffmpeg", "-i", str(path), *options.split(), "-crf", "12", str(copy)]
    return shlex.join(words)


_SHOWN = re.compile(
    r"showinfo.* pts_time:(?P<time>\S+) .* sar:(?P<aspect>\d+/\d+) "
    r"s:(?P<width>\d+)x(?P<height>\d+) i:(?P<fields>\w)"
)
