"""Windows: the frames of a video that a network sees at once."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from jaxmotion.errors import InputError
from jaxmotion.options import Meta, check_fields

T = TypeVar("T")

Linking = Literal["assignment", "published", "none"]


@dataclass(frozen=True)
class InferenceConfig:
    """Windows of a video. EM: window 1. ST-MS: window 3, overlap 2. LT-MS: window 0.

    Attributes:
        window: number of frames that the network sees at once; 0 for the whole video in one go.
        overlap: number of frames that a window shares with the next, by which its labels are linked
            to the next one's (`jaxmotion.inference.linking.link_clips`).
        linking: way to link labels. ``"assignment"`` links windows, and then each frame to those
            before, one-to-one (`jaxmotion.inference.tracking`). ``"published"`` links windows as
            thesis eq. 3.9 has it, and takes labels within a window as the network gives them.
            ``"none"`` takes all as the network gives them: for labels that mean the same always.
    """

    window: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    overlap: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    linking: Linking = "assignment"

    def __post_init__(self) -> None:
        check_fields(self, "inference")
        if self.overlap >= max(self.window, 1):
            raise InputError(
                f"overlap {self.overlap} of windows of {self.window}: expected fewer frames than "
                "a window has, and none where the video goes in one (window 0)"
            )

    def override(self, window: int | None = None, overlap: int | None = None) -> "InferenceConfig":
        """These options with another window, another overlap, or both.

        Args:
            window: new number of frames that the network sees at once; None keeps what it is.
            overlap: new number of frames that two windows share; None keeps what it is where the
                window stays. A new window of several frames overlaps the next by a tenth of it at
                least, so that its labels can be linked.

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
            frames: objects of any kind, one a frame.

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
