"""The time that an answer takes, by stage."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds of `segment_video` and of its stages, which run beside each other.

    Attributes:
        frames: number of frames.
        total: seconds from the first frame to the last file.
        flow: seconds of estimating or reading flow.
        masks: seconds of the network and of linking its windows.
        writing: seconds of writing pictures, page and exports.
        compilation: seconds of compiling the programs, which are part of the total.
    """

    frames: int
    total: float
    flow: float
    masks: float
    writing: float
    compilation: float

    def __str__(self) -> str:
        return (
            f"{self.frames} frames in {self.total:.1f} s, "
            f"{1000 * self.total / max(self.frames, 1):.0f} ms/frame; beside each other: "
            f"flow {self.flow:.1f}, masks {self.masks:.1f}, writing {self.writing:.1f}, "
            f"compilation {self.compilation:.1f}"
        )


class Stopwatch:
    """Adds up the seconds of the blocks that it is used for."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> "Stopwatch":
        self._start = time.perf_counter()
        return self

    def __exit__(self, *error_details: object) -> None:
        self.seconds += time.perf_counter() - self._start
