"""How a trained network goes over a video of any length: which frames it sees at once, and how few
programs are compiled for it.
"""

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Literal, TypeVar

import jax
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.options import Range, check_fields

T = TypeVar("T")

Linking = Literal["assignment", "published"]

# Windows are run together until they are about this many frames.
_FRAMES_AT_ONCE = 8


@dataclass(frozen=True)
class InferenceConfig:
    """Windows of a video. EM: window 1. ST-MS: window 3, overlap 2. LT-MS: window 0.

    Attributes:
        window: frames that the network sees at once; 0 for the whole video in one go.
        overlap: frames that a window shares with the next, by which its labels are linked to the
            next one's (`jaxmotion.linking.link_clips`).
        linking: ``"assignment"`` links windows, and then each frame to those before, one-to-one
            (`jaxmotion.tracking`). ``"published"`` links windows as thesis eq. 3.9 has it, and
            takes labels within a window as the network gives them.
    """

    window: Annotated[int, Range(0, 1_000_000)] = 1
    overlap: Annotated[int, Range(0, 1_000_000)] = 0
    linking: Linking = "assignment"

    def __post_init__(self) -> None:
        check_fields(self, "inference")
        if self.overlap >= max(self.window, 1):
            raise InputError(
                f"overlap {self.overlap} of windows of {self.window}: expected fewer frames than "
                "a window has, and none where the video goes in one (window 0)"
            )

    def override(self, window: int | None = None, overlap: int | None = None) -> "InferenceConfig":
        """The same with another window, another overlap, or both.

        Args:
            window: None keeps what it is.
            overlap: None keeps what it is where the window stays. A new window of several frames
                overlaps the next by a tenth of it at least, so that its labels can be linked.

        Raises:
            InputError: where the two do not go together.
        """
        if window is None or window == self.window:
            window = self.window
            overlap = self.overlap if overlap is None else overlap
        elif overlap is None:
            overlap = 0 if window <= 1 else min(max(self.overlap, -(-window // 10)), window - 1)
        return dataclasses.replace(self, window=window, overlap=overlap)

    def cut(self, frames: Iterable[T]) -> Iterator[tuple[int, list[T]]]:
        """Cuts a video into windows, with no more than a window of it in hand.

        Args:
            frames: anything, one a frame.

        Yields:
            The number of a window's first frame, and its frames. All windows have the same
            length, the last one too, which overlaps more instead; only a video shorter than the
            window is a shorter window.
        """
        recent: deque[T] = deque(maxlen=self.window or None)
        seen = fresh = 0
        for frame in frames:
            recent.append(frame)
            seen += 1
            fresh += 1
            if seen == self.window or (seen > self.window > 0 and fresh == self.stride):
                yield seen - len(recent), list(recent)
                fresh = 0
        if fresh:
            yield seen - len(recent), list(recent)

    @property
    def stride(self) -> int:
        """Frames from the start of a window to the start of the next."""
        return self.window - self.overlap

    def windows(self, num_frames: int) -> list[tuple[int, int]]:
        """First frame and length of each window of a video of ``num_frames`` frames."""
        return [(start, len(frames)) for start, frames in self.cut(range(num_frames))]


LONG_VIDEO = InferenceConfig(window=120, overlap=12)
"""How a stream is cut that does not end within a window of this length, where the configuration
asks for one go: memory is that of a window."""


class Programs:
    """A function of parameters and arrays, compiled once for each shape of the arrays.

    Attributes:
        seconds: what compiling took so far.
    """

    def __init__(self, function: Callable[..., jax.Array], params: Any) -> None:
        """Makes the programs of a function.

        Args:
            function: takes the parameters and arrays, gives an array.
            params: its first argument in every call.
        """
        self._function, self._params = jax.jit(function), params
        self._compiled: dict[tuple[tuple[int, ...], ...], Callable[..., jax.Array]] = {}
        self.seconds = 0.0

    def __call__(self, *arrays: np.ndarray) -> np.ndarray:
        """The function's result for these arrays."""
        shapes = tuple(array.shape for array in arrays)
        if shapes not in self._compiled:
            start = time.perf_counter()
            self._compiled[shapes] = self._function.lower(self._params, *arrays).compile()
            self.seconds += time.perf_counter() - start
        return np.asarray(self._compiled[shapes](self._params, *arrays))


def run_windows(
    function: Callable[..., np.ndarray],
    frames: Iterable[tuple[np.ndarray, ...]],
    inference: InferenceConfig,
    *,
    bucketed: bool,
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Applies a function of clips to the windows of a video, some at a time.

    The function always gets the same number of windows; the last ones are filled up with zeros.

    Args:
        function: arrays ``[N, T, ...]``, one for each part of a frame, to ``[N, ...]``.
        frames: the parts ``[...]`` of each frame.
        inference: the windows.
        bucketed: fill windows up with frames of zeros to a `bucket_length`.

    Yields:
        Number of the first frame, length, and result of each window in turn.
    """
    at_once = -(-_FRAMES_AT_ONCE // inference.window) if inference.window else 1
    windows = inference.cut(frames)
    while group := list(islice(windows, at_once)):
        length = len(group[0][1])
        if bucketed:
            length = min(bucket_length(length), inference.window or bucket_length(length))
        clips = [np.zeros((at_once, length, *p.shape), np.float32) for p in group[0][1][0]]
        for number, (_, window) in enumerate(group):
            for index, parts in enumerate(window):
                for clip, part in zip(clips, parts, strict=True):
                    clip[number, index] = part
        for (start, window), result in zip(group, function(*clips), strict=False):
            yield start, len(window), result


def bucket_length(num_frames: int) -> int:
    """The length that a clip is filled up to: 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, ...

    Clips of all lengths then share a handful of compiled programs, at most half as long again.
    """
    power = 1 << (num_frames - 1).bit_length()
    return power * 3 // 4 if power >= 4 and num_frames <= power * 3 // 4 else power
