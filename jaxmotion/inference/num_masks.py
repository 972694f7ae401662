"""As many masks as a video needs: K by description length, for networks of slots."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.data.windows import LONG_VIDEO, InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.inference.fields import checked_flow
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.models.loading import load_as
from jaxmotion.models.trained import Trained
from jaxmotion.motion import MotionModel, description_length

CANDIDATES = (2, 3, 4, 5, 6)
"""Numbers of masks to choose among."""

# Set on scenes, whose true number is known (benchmarks/num_masks.py): flow is described on a grid
# of about this many cells a frame, of which this share is independent of the others.
_CELLS, _INDEPENDENT = 4_000, 1 / 6


def video_bits(
    flow: np.ndarray,
    labels: np.ndarray,
    model: MotionModel,
    clip_length: int,
    valid: np.ndarray | None = None,
) -> float:
    """Measures the bits of a video's flow, described clip by clip (`description_length`).

    Args:
        flow: `[T, H, W, 2]`, pixels per frame.
        labels: integers `[T, H, W]`, the segment of each pixel.
        model: motion model of a segment over a clip.
        clip_length: number of frames of a clip. The last clip overlaps the one before it where the
            frames do not suffice.
        valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.
    """
    step = max(1, round(np.sqrt(np.prod(labels.shape[1:]) / _CELLS)))
    known = np.ones(labels.shape, bool) if valid is None else valid
    arrays = [array[:, ::step, ::step] for array in (flow, labels, known)]
    total = 0.0
    for start, length in InferenceConfig(clip_length).windows(len(flow)):
        clip, segments, inside = (array[start : start + length] for array in arrays)
        found = description_length(clip, segments, model, valid=inside, independent=_INDEPENDENT)
        total += found.total
    return total


class ChoosingSegmenter:
    """A network of slots that segments each video into as many masks as describe it most briefly.

    The network segments the video once for each candidate; `video_bits` compares the results.

    Attributes:
        config: the frozen configuration that the network was trained with.
        task: the part of the configuration that is about segmentation.
        inference: length and overlap of its windows over a video. May be set.
        candidates: numbers of masks to choose among.
    """

    def __init__(
        self,
        trained: Trained,
        inference: InferenceConfig | None = None,
        candidates: Sequence[int] = CANDIDATES,
    ) -> None:
        """Makes one of a trained network.

        Args:
            trained: the trained network, with its configuration.
            inference: windows to use instead of the configuration's.
            candidates: numbers of masks to choose among, 1 or more each.

        Raises:
            InputError: where it was trained for another task, or its K is fixed.
        """
        segmenter = Segmenter.of(trained, inference)
        network = segmenter.task.network
        if network.decoder.kind != "slots":
            raise InputError(
                f"segments into {network.num_masks} always; expected a network with slots, as "
                "lt_ms_sa trains one, to choose how many"
            )
        self.config, self.task = segmenter.config, segmenter.task
        self.inference, self.candidates = segmenter.inference, tuple(candidates)
        self._segmenters = {k: Segmenter.of(trained, inference, k) for k in self.candidates}

    @classmethod
    def load(
        cls, path_or_name: str | Path, inference: InferenceConfig | None = None
    ) -> "ChoosingSegmenter":
        """Loads a trained network; arguments and errors are those of `Segmenter.load`."""
        return load_as(path_or_name, lambda trained: cls(trained, inference))

    def __call__(self, flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Segments a video into the number of masks that it chooses for it.

        Args:
            flow: `[T, H, W, 2]`, pixels per frame.
            valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.

        Returns:
            Masks `[T, H, W, K]`, as `Segmenter` gives them.

        Raises:
            InputError: as `Segmenter`.
        """
        return self.choose(flow, valid)(flow, valid)

    def choose(self, flow: np.ndarray, valid: np.ndarray | None = None) -> Segmenter:
        """Chooses the number of masks of a video; arguments and errors as in `__call__`.

        Returns:
            The segmenter into this number of masks.
        """
        bits = self.bits(flow, valid)
        chosen = self._segmenters[min(bits, key=bits.__getitem__)]
        chosen.inference = self.inference
        return chosen

    def choose_for_stream(
        self, fields: Iterable[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[Segmenter, Iterator[tuple[np.ndarray, np.ndarray]]]:
        """Chooses by the beginning of a stream: as many frames as a window of `LONG_VIDEO` has.

        Args:
            fields: flow `[H, W, 2]` of each frame, and where it is known, `[H, W]`.

        Returns:
            The segmenter, and all the fields again.
        """
        fields = iter(fields)
        beginning = list(islice(fields, LONG_VIDEO.window))
        if not beginning:
            return self._segmenters[self.candidates[0]], fields
        flow, valid = (np.stack(arrays) for arrays in zip(*beginning, strict=True))
        return self.choose(flow, valid), chain(beginning, fields)

    def bits(self, flow: np.ndarray, valid: np.ndarray | None = None) -> dict[int, float]:
        """Describes a video by each number of masks; arguments and errors as in `__call__`.

        Returns:
            The `video_bits` by number of masks, at the size that the network works at.
        """
        flow, valid = checked_flow(flow, valid)
        flow, valid = resize_flow_and_valid(flow, valid, self.working_size(*flow.shape[1:3]))
        bits = {}
        for k, segmenter in self._segmenters.items():
            segmenter.inference = self.inference
            labels = segmenter(flow, valid).argmax(axis=-1)
            length = self.config.data.clip_length
            bits[k] = video_bits(flow, labels, self.task.motion, length, valid)
        return bits

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """The size that the network works at for flow of a given size (`Segmenter`)."""
        return self._segmenters[self.candidates[0]].working_size(height, width)

    @property
    def compilation_seconds(self) -> float:
        """Time spent on compiling so far."""
        return sum(segmenter.compilation_seconds for segmenter in self._segmenters.values())

    @property
    def select(self) -> str | None:
        """The rule by which an evaluation reads the masks; None for that of its protocol."""
        return self.task.select
