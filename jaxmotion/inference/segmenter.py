"""A trained segmenter: from a checkpoint to masks of any flow."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.data.windows import LONG_VIDEO, InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.inference.fields import (
    Field,
    SegmentedField,
    checked_fields,
    checked_flow,
    working_size,
)
from jaxmotion.inference.motions import MotionFitter, WindowMotions
from jaxmotion.inference.stream import Attended, apply_network, attended, segment_stream, warned
from jaxmotion.inference.windows import ShapedFunction, bucket_length, clip_size
from jaxmotion.models.loading import load_as
from jaxmotion.models.trained import Trained
from jaxmotion.networks import Attention, Segmentation
from jaxmotion.tasks.segmentation_config import MaskTaskConfig
from jaxmotion.training.config import Config


class Segmenter:
    """Segments flow with trained parameters.

    Attributes:
        config: the frozen configuration that the network was trained with.
        task: the part of the configuration that is about segmentation.
        inference: length and overlap of its windows over a video; as trained, unless told
            otherwise. May be set.
        params: parameters of the network. May be set; nothing is compiled anew then.
        step: training step that the parameters are from.
    """

    def __init__(
        self,
        config: Config,
        params: Any,
        step: int = 0,
        inference: InferenceConfig | None = None,
    ) -> None:
        """Makes a segmenter.

        Args:
            config: the configuration that the parameters belong to.
            params: parameters of the network.
            step: training step that the parameters are from.
            inference: windows to use instead of the configuration's.

        Raises:
            InputError: where the configuration is of another task.
        """
        self.config = config
        self.task = _segmentation(config)
        self.inference = self.task.inference if inference is None else inference
        self.step = step
        self.params = jax.device_put(params)
        self._describe = jax.jit(partial(apply_network, self.task.network))
        self._program = ShapedFunction(partial(attended, self.task.network))
        self._fitter = MotionFitter(self.task.motion, self.task.penalty)

    @classmethod
    def load(
        cls,
        path_or_name: str | Path,
        inference: InferenceConfig | None = None,
        num_masks: int | None = None,
    ) -> "Segmenter":
        """Loads a trained network.

        Args:
            path_or_name: the folder that ``train.py`` wrote, or its ``best`` folder; a file that
                ``jaxmotion export`` wrote; or the name of a shipped model, as ``"lt-ms-k4"``,
                unless a path is called so.
            inference: windows to use instead of those it was trained for.
            num_masks: number of masks, if not that of training; only a decoder of slots allows it.

        Raises:
            InputError: where there is no readable checkpoint of a segmenter, or its K is fixed.
        """
        return load_as(path_or_name, lambda trained: cls.of(trained, inference, num_masks))

    @classmethod
    def of(
        cls,
        trained: Trained,
        inference: InferenceConfig | None = None,
        num_masks: int | None = None,
    ) -> "Segmenter":
        """Makes the segmenter of a trained network; the other arguments are those of `load`.

        Args:
            trained: the trained network, with its configuration.
            inference: windows to use.
            num_masks: number of masks.

        Raises:
            InputError: where it was trained for another task, or its K is fixed.
        """
        config, task = trained.config, _segmentation(trained.config)
        if num_masks is not None:
            network = task.network.with_num_masks(num_masks)
            config = replace(config, task=replace(task, network=network))
        return cls(config, trained.params, trained.step, inference)

    def __call__(self, flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Segments a video's flow, with the same labels in all frames.

        Args:
            flow: `[T, H, W, 2]`, pixels per frame; any T ≥ 1, any size. The network works at about
                the number of pixels it was trained with, in the flow's own aspect ratio.
            valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere. What the
                flow holds elsewhere does not matter. Vectors that no motion can have
                (`optical_flow.known_vectors`) are unknown as well.

        Returns:
            Masks `[T, H, W, K]` float32 that sum to 1 over K, at the flow's size. Where nothing
            of a video is known they are the same at every pixel: the background of the shipped
            models.

        Raises:
            InputError: on another shape, a `valid` of other values, or vectors that are not finite
                where they are valid.
        """
        flow, valid = checked_flow(flow, valid)
        masks = np.empty((*flow.shape[:3], self.task.network.num_masks), np.float32)
        frames = zip(flow, valid, strict=True)
        segmented = segment_stream(self._segment, frames, self.working_size, self.inference)
        for index, frame in enumerate(segmented):
            masks[index] = frame.masks
        return masks

    def stream(self, frames: Iterable[Field]) -> Iterator[np.ndarray]:
        """Segments a video of any length while it arrives, as `__call__` would.

        Only a few windows are held in memory, however long the video is. Where the network would
        see the whole video in one go, a video longer than `jaxmotion.data.windows.LONG_VIDEO` is
        cut into windows of that length; a warning says so.

        Args:
            frames: flow fields `[H, W, 2]`, all of one size; or pairs of such a field and where it
                is known, `[H, W]` in {0, 1}, or None for everywhere.

        Yields:
            Masks `[H, W, K]` of each frame in turn, some windows after it has been read.

        Raises:
            InputError: as `__call__`.
        """
        return (frame.masks for frame in self.stream_attended(frames))

    def stream_attended(self, frames: Iterable[Field]) -> Iterator[Attended]:
        """Segments a video as `stream` does, and gives the weights of the network's gate as well.

        Args:
            frames: as in `stream`.

        Yields:
            Of each frame in turn its masks, and the `Attention` of the window that they are from:
            the weight of the frame, and those of its cells `[h, w]`; None without a gate.

        Raises:
            InputError: as `__call__`.
        """
        inference, fields = self._for_streams(), checked_fields(frames)
        if inference != self.inference:
            fields = warned(fields, inference)
        return segment_stream(self._segment, fields, self.working_size, inference)

    def describe(self, flow: np.ndarray, valid: np.ndarray | None = None) -> Segmentation:
        """Applies the network to a video in one go, at the size that it works at.

        Args:
            flow: `[T, H, W, 2]`, pixels per frame; memory grows with T.
            valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.

        Returns:
            The `Segmentation`, without the axis of clips: logits, latent vectors of the pixels
            (`jaxmotion.inference.latents`), from a decoder the descriptor of each segment
            `[K, D]`, and of a gate the weights of frames and regions. Labels are what the network
            calls segments in each frame, not linked.

        Raises:
            InputError: as `__call__`.
        """
        flow, valid = checked_flow(flow, valid)
        flow, valid = resize_flow_and_valid(flow, valid, self.working_size(*flow.shape[1:3]))
        padding = bucket_length(len(flow)) - len(flow)
        flow, valid = (np.pad(a, [(0, padding)] + [(0, 0)] * (a.ndim - 1)) for a in (flow, valid))
        output = self._describe(self.params, flow[None], valid[None])
        frames = slice(len(flow) - padding)
        return Segmentation(
            *(x[0][frames] for x in (output.logits, output.embedding, output.bottleneck)),
            queries=None if output.queries is None else output.queries[0],
            attention=output.attention and Attention(*(x[0][frames] for x in output.attention)),
        )

    def motions(
        self, flow: np.ndarray, masks: np.ndarray, valid: np.ndarray | None = None
    ) -> np.ndarray:
        """Fits the motion models of the segments in each window: the theta of least L_r (eq. 3.4).

        Args:
            flow: `[T, H, W, 2]`, pixels per frame.
            masks: `[T, H, W, K]`, as this segmenter gives them.
            valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.

        Returns:
            theta `[N, K, P]` of the configuration's `MotionModel`, in px per frame over
            coordinates from -1 to 1, for the windows that ``inference.windows(T)`` lists. Zero for
            a segment without a known vector.

        Raises:
            InputError: as `__call__`, or on masks of another shape.
        """
        return self._fitter.of_video(flow, masks, valid, self.inference)

    def stream_motions(self, frames: Iterable[SegmentedField]) -> Iterator[WindowMotions]:
        """Fits motion models as `motions` does, for a video of any length while it arrives.

        Args:
            frames: flow `[H, W, 2]` and masks `[H, W, K]` of each frame, and possibly where the
                flow is known, `[H, W]` in {0, 1}, or None for everywhere.

        Yields:
            The `WindowMotions` of each window in turn.

        Raises:
            InputError: as `motions`.
        """
        return self._fitter.stream(frames, self._for_streams())

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """The size that the network works at for flow of a given size.

        Args:
            height: number of rows of the flow.
            width: number of columns of the flow.

        Returns:
            ``(rows, columns)``: the flow's own size where training had it, else about the same
            aspect ratio with about as many pixels as in training.
        """
        data, reduction = self.config.data, self.task.network.reduction
        return working_size((height, width), (data.height, data.width), reduction)

    def prepare(self, num_frames: int, height: int, width: int) -> None:
        """Compiles what `stream` and `stream_motions` need for flow at the working size.

        Args:
            num_frames: number of flow fields.
            height: number of rows of the video.
            width: number of columns of the video.
        """
        windows, size = self._for_streams(), self.working_size(height, width)
        seen = (*clip_size(num_frames, windows, bucketed=True), *size)
        fitted = (*clip_size(num_frames, windows, bucketed=False), *size)
        flow, valid = (jax.ShapeDtypeStruct(shape, np.float32) for shape in ((*seen, 2), seen))
        with ThreadPoolExecutor(2) as pool:
            pool.submit(self._program.prepare, self.params, flow, valid)
            pool.submit(self._fitter.prepare, fitted, self.task.network.num_masks)

    @property
    def select(self) -> str | None:
        """The rule by which an evaluation reads the masks; None for that of its protocol."""
        return self.task.select

    @property
    def compilation_seconds(self) -> float:
        """Time spent on compiling so far."""
        return self._program.seconds + self._fitter.compilation_seconds

    def _for_streams(self) -> InferenceConfig:
        """A stream has no known end, so that no window may be as long as the video."""
        if self.inference.window > 0:
            return self.inference
        return replace(LONG_VIDEO, linking=self.inference.linking)

    def _segment(self, flow: np.ndarray, valid: np.ndarray) -> Attended:
        return self._program(self.params, flow, valid)


def _segmentation(config: Config) -> MaskTaskConfig:
    if not isinstance(config.task, MaskTaskConfig):
        raise InputError(f"a network trained for {config.task.kind}, expected one that segments")
    return config.task
