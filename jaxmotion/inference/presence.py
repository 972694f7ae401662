"""Whether anything moves on its own in a video: the answers of a frame classifier, put together."""

import numpy as np

from jaxmotion.inference.detector import FrameDetector

LEAST_FRAMES = 0.3
"""Share of the frames that must be salient for something to move in a video."""

_AT_ONCE = 8


class Presence:
    """Asks a frame classifier of each frame of a video, as frames come.

    Attributes:
        detector: the frame classifier.
    """

    def __init__(self, detector: FrameDetector) -> None:
        """Starts with a video of no frames."""
        self.detector = detector
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._logits: list[np.ndarray] = []

    def add(self, flow: np.ndarray, valid: np.ndarray) -> None:
        """Takes the next frame.

        Args:
            flow: `[H, W, 2]`, pixels per frame.
            valid: `[H, W]` in {0, 1}, where it is known.
        """
        self._waiting.append((flow, valid))
        if len(self._waiting) == _AT_ONCE:
            self._ask()

    def probabilities(self) -> np.ndarray:
        """The probability of each frame so far that something moves on its own, `[T]`."""
        if self._waiting:
            self._ask()
        logits = np.concatenate(self._logits) if self._logits else np.zeros(0)
        return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))

    def denies(self, area: float) -> bool:
        """Whether nothing moves on its own: in less than `LEAST_FRAMES` of the frames.

        Args:
            area: mean share of the picture that is said to move. A classifier says nothing of what
                is smaller than what it was trained to find.
        """
        found = self.probabilities()
        return area >= self.detector.least_area and bool((found > 0.5).mean() < LEAST_FRAMES)

    def _ask(self) -> None:
        flow, valid = (np.stack(arrays) for arrays in zip(*self._waiting, strict=True))
        self._logits.append(self.detector.logits(flow, valid))
        self._waiting.clear()
