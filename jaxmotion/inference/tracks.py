"""The objects of a video while its flow arrives: windows, joined into tracks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxmotion.data.windows import InferenceConfig
from jaxmotion.embeddings import TrackLinker
from jaxmotion.inference.windows import by_frame, run_windows
from jaxmotion.networks import Attention


class TrackedFrame(NamedTuple):
    """The objects of one frame, at the size that they were found at.

    Attributes:
        labels: int32 `[h, w]`, 0 = background, 1.. = tracks; the same track in all frames.
        nearest: int32 `[h, w]`, the track that suits each pixel best: its own if it has one.
        probability: float32 `[h, w]`, how well that one suits it.
        seediness: float32 `[h, w]`, how surely a pixel stands for an object.
        attention: weight of the frame in its window, and of its cells `[h', w']`; None without a
            gate.
    """

    labels: np.ndarray
    nearest: np.ndarray
    probability: np.ndarray
    seediness: np.ndarray
    attention: Attention | None = None

    def masks(self, tracks: Sequence[int]) -> np.ndarray:
        """Probabilities of the background and of some tracks.

        A pixel of a track has at least half of its probability there, and a pixel of none has at
        least half in the background; the rest is the other one of these two.

        Args:
            tracks: numbers of the tracks; what is of another one counts as background.

        Returns:
            float32 `[h, w, 1 + len(tracks)]`, which sum to 1.
        """
        inside = self.labels > 0
        share = 0.5 * np.clip(self.probability, 0, 1) + 0.5 * inside
        masks = np.zeros((*inside.shape, 1 + len(tracks)), np.float32)
        for place, track in enumerate(tracks, 1):
            np.copyto(masks[..., place], share, where=self.nearest == track)
        masks[..., 0] = 1 - masks[..., 1:].sum(axis=-1)
        return masks


def stream_tracks(
    find: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, Attention | None]],
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    inference: InferenceConfig,
) -> Iterator[TrackedFrame]:
    """Finds the objects of each window, and joins them to those of the windows before.

    Frames that two windows share are as the first one had them. No more than a few windows are
    held, however long the video is.

    Args:
        find: function from flow `[N, T, h, w, 2]` and valid `[N, T, h, w]` to three numbers for
            each pixel, `[N, T, h, w, 3]`: the object of its window that suits it best, from 1 on,
            0 for none, with a minus where the pixel is not of it; how well it does, from 0 to 1;
            the seediness. Beside them the weights of the clips; None without a gate.
        frames: flow `[h, w, 2]` and valid `[h, w]` of each frame.
        inference: length and overlap of the windows.

    Yields:
        The objects of each frame in turn.
    """
    linker, done = TrackLinker(), 0
    for start, length, (planes, attention) in run_windows(find, frames, inference, bucketed=True):
        weights = by_frame(attention, length)
        numbers = np.rint(planes[:length, ..., 0]).astype(np.int32)
        labels = linker.link(start, np.maximum(numbers, 0))
        suited = linker.names[np.minimum(np.abs(numbers), len(linker.names) - 1)]
        for index in range(done - start, length):
            inside = labels[index] > 0
            nearest = np.where(inside, labels[index], suited[index])
            probability = np.where(nearest > 0, planes[index, ..., 1], 0)
            seediness = planes[index, ..., 2]
            yield TrackedFrame(labels[index], nearest, probability, seediness, weights[index])
        done = start + length
