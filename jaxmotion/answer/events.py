"""What happens in a user's own video: events of its tracks, in files and in a picture."""

import numpy as np


def moving_tracks(labels: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Labels of tracks: 0 for what does not move on its own, and one more than that of a segment.

    Args:
        labels: int `[..., H, W]`, segments from 0 to K - 1.
        moving: bool `[K]`, which of them move on their own.
    """
    return np.where(moving[labels], labels + 1, 0)
