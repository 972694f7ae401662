"""The FFmpeg program that comes with imageio-ffmpeg, at work on a video, and what it says."""

import io
import re
import subprocess
import threading
from collections import deque
from pathlib import Path

import imageio_ffmpeg

from jaxmotion.errors import InputError

# What FFmpeg says where pictures are lost or garbled. Its other complaints, such as a reference
# that is missing where a recording was cut, come with good files too.
_DAMAGE = re.compile(
    "corrupt decoded frame|Decoding error|Error submitting packet|Error while decoding stream"
    "|error while decoding MB|Error at MB|oncealing bitstream errors|LZW decode failed"
    "|Error during demuxing|CRC mismatch|ended prematurely|partial file"
)
_ORIGIN = re.compile(r"^(\[[^]]*\] *)+")  # "[h264 @ 0x55f] [error] "


class FFmpeg:
    """The FFmpeg program at work on the video of a file; it does not outlive the `with` block.

    Attributes:
        output: stream of what it writes.
        lines: last lines that it says.
        damage: first line that tells of lost or garbled pictures; empty if there is none.
        returncode: exit status of the program, once it has ended.
    """

    def __init__(self, path: Path, level: str, options: list[str]):
        """Starts the program.

        Args:
            path: video file.
            level: level of its messages, "warning" or "info".
            options: options of what it does with the frames, without the output, which is `output`.

        Raises:
            InputError: there is no such program.
        """
        try:
            program = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise InputError(f"{path}: cannot be read (no FFmpeg program)") from error
        self.lines: deque[str] = deque(maxlen=1000)
        self.damage, self.returncode = "", None
        self._process = subprocess.Popen(
            [
                program, "-nostdin", "-hide_banner", "-nostats", "-v", f"level+{level}",
                # A playlist shall not fetch files from elsewhere. What a decoder knows to lack its
                # references, at the start of a recording, is no frame.
                "-protocol_whitelist", "file", "-flags", "-output_corrupt",
                # Decoders that work on several frames at once say of one in time or too late that
                # it is corrupt.
                "-thread_type", "slice", "-i", f"file:{path}",
                "-map", "0:V:0", "-fps_mode", "passthrough", *options, "-",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # an interrupt at the keyboard is ours to handle
        )  # fmt: skip
        assert isinstance(self._process.stdout, io.BufferedReader)
        self.output = self._process.stdout
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> "FFmpeg":
        return self

    def __exit__(self, *error_details) -> None:
        self._process.kill()
        self.finish()
        self.output.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as words:
            for line in words:
                text = line.decode(errors="replace").rstrip()
                self.lines.append(text)
                if not self.damage and _DAMAGE.search(text):
                    self.damage = _ORIGIN.sub("", text)

    def finish(self) -> None:
        """Waits until the program has ended and all is heard that it said."""
        self.returncode = self._process.wait()
        self._listener.join()

    @property
    def last_words(self) -> str:
        """The first error among the last lines, without what it comes from; empty if none."""
        errors = [line for line in self.lines if "[error]" in line or "[fatal]" in line]
        return _ORIGIN.sub("", errors[0]) if errors else ""
