"""Masks of a video while it arrives, from what has been seen: no frame waits for later ones."""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from jaxmotion.data.transforms import resize_flow_and_valid, resize_masks
from jaxmotion.errors import InputError
from jaxmotion.inference.fields import Field, checked_fields
from jaxmotion.inference.linking import link_labels
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.inference.stream import attended
from jaxmotion.inference.tracking import Tracker
from jaxmotion.inference.windows import ShapedFunction


class CausalSegmenter:
    """Segments each frame of a video with those before it.

    Once `stride` further fields of flow are there, the network sees the last `window` of them, and
    gives the masks of the newest `stride`. So a frame waits for at most ``stride - 1`` later
    fields, and at stride 1 for none. Labels are those of the window before, by the frames that both
    have, and then those of the frames before (`jaxmotion.inference.tracking.Tracker`). What
    `Segmenter.stream` takes from later frames is left out: a frame is not taken from the middle of
    its window, and no gap is bridged.

    Attributes:
        segmenter: the trained network, as a segmenter.
        window: number of fields that the network sees at once.
        stride: number of fields from one look of the network to the next.
    """

    def __init__(self, segmenter: Segmenter, window: int | None = None, stride: int = 1) -> None:
        """Makes one of a segmenter.

        Args:
            segmenter: the trained network, as a segmenter.
            window: number of fields that the network sees at once; by default that of the
                segmenter, or the length of a clip in training where it takes videos in one go.
            stride: number of fields from one look of the network to the next.

        Raises:
            InputError: a window below 1, or a stride that is no part of it.
        """
        trained = segmenter.inference.window or segmenter.config.data.clip_length
        self.segmenter, self.stride = segmenter, stride
        self.window = trained if window is None else window
        if self.window < 1:
            raise InputError(f"window {window}: expected 1 or more frames")
        if not 1 <= stride <= self.window:
            raise InputError(f"stride {stride}: expected 1 to {self.window}, the window")
        self._program = ShapedFunction(partial(attended, segmenter.task.network))

    def __call__(self, frames: Iterable[Field]) -> Iterator[np.ndarray]:
        """Segments a video.

        Args:
            frames: flow fields `[H, W, 2]`, all of one size; or pairs of such a field and where it
                is known, as `Segmenter.stream` takes them.

        Yields:
            Masks `[H, W, K]` of each frame in turn, after at most ``stride - 1`` further fields.

        Raises:
            InputError: as `Segmenter`.
        """
        recent: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=self.window)
        labels, fresh, size = _Labels(self.segmenter), 0, (0, 0)
        for flow, valid in checked_fields(frames):
            size = valid.shape
            recent.append(
                resize_flow_and_valid(flow, valid, self.segmenter.working_size(*valid.shape))
            )
            fresh += 1
            if fresh == self.stride:
                yield from (resize_masks(m, size) for m in labels.kept(self._look(recent), fresh))
                fresh = 0
        if fresh:
            yield from (resize_masks(m, size) for m in labels.kept(self._look(recent), fresh))

    def _look(self, recent: deque[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """The masks `[T, h, w, K]` of the last fields, behind which frames of nothing are put."""
        flow, valid = (np.stack(arrays) for arrays in zip(*recent, strict=True))
        missing = [(0, self.window - len(recent))]
        flow, valid = (np.pad(a, missing + [(0, 0)] * (a.ndim - 1)) for a in (flow, valid))
        return self._program(self.segmenter.params, flow[None], valid[None]).masks[0, : len(recent)]


class _Labels:
    """Gives the newest frames of each window the labels of the frames before."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._linking = segmenter.inference.linking
        self._tracker = Tracker(segmenter.task.network.num_masks)
        self._earlier: np.ndarray | None = None

    def kept(self, masks: np.ndarray, fresh: int) -> Iterator[np.ndarray]:
        """Yields the masks `[h, w, K]` of the newest frames of a window `[T, h, w, K]`."""
        if self._linking == "none":
            yield from masks[-fresh:]
            return
        labels, num_labels = masks.argmax(axis=-1), masks.shape[-1]
        shared = len(labels) - fresh
        if self._earlier is not None and shared:
            earlier = self._earlier[-shared:]
            table = link_labels(earlier, labels[:shared], num_labels)
            masks, labels = masks[..., np.argsort(table)], table[labels]
        self._earlier = labels
        for frame in masks[-fresh:]:
            yield frame[..., np.argsort(self._tracker.table(frame))]
