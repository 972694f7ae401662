"""Where the time goes."""

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Milliseconds per frame of the stages of `segment_video`, which run beside each other.

    Attributes:
        total: of all, but compilation.
        flow: of estimating or reading flow.
        masks: of the network and the motion models.
        writing: of pictures, page and exports.
        compilation: seconds.
    """

    total: float
    flow: float
    masks: float
    writing: float
    compilation: float

    def __str__(self) -> str:
        return (
            f"{self.total:.0f} ms/frame: flow {self.flow:.0f}, masks {self.masks:.0f}, "
            f"writing {self.writing:.0f}, beside each other; compilation {self.compilation:.1f} s"
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
