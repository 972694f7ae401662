"""A trained network of instances: from a checkpoint to the objects of any flow."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.data.transforms import resize_flow_and_valid, resize_masks
from jaxmotion.data.windows import LONG_VIDEO, InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.inference.fields import Field, checked_fields, checked_flow, working_size
from jaxmotion.inference.tracks import TrackedFrame, stream_tracks
from jaxmotion.inference.windows import ShapedFunction
from jaxmotion.models.loading import load_as
from jaxmotion.models.trained import Trained
from jaxmotion.networks import Attention
from jaxmotion.tasks.instances import InstancesTask
from jaxmotion.tasks.instances_config import ClusteringConfig, InstancesConfig
from jaxmotion.training.config import Config


class Instances(NamedTuple):
    """The objects of a video.

    Attributes:
        labels: int32 `[T, H, W]`, 0 = background, 1..N = objects.
        probabilities: float32 `[T, H, W, 1 + N]`, which sum to 1; background first. The labels are
            the likeliest ones.
        scores: float32 `[N]`, mean over an object's frames of its greatest seediness, 0 to 1.
        lifetimes: int `[N]`, number of frames in which each object is seen.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    scores: np.ndarray
    lifetimes: np.ndarray


class InstanceFrame(NamedTuple):
    """The objects of one frame of a stream.

    Attributes:
        labels: int32 `[H, W]`, 0 = background, 1.. = tracks; the same track in all frames.
        probabilities: float32 `[H, W, 1 + n]`, which sum to 1: background, and the tracks below.
        tracks: int `[n]`, numbers of the tracks that the frame shows.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    tracks: np.ndarray


class InstanceSegmenter:
    """Finds the objects that move in a flow, however many, with trained parameters.

    Attributes:
        config: the frozen configuration that the network was trained with.
        task: the part of the configuration that is about instances.
        inference: length and overlap of its windows over a video. May be set.
        params: parameters of the network. May be set; nothing is compiled anew then.
    """

    def __init__(
        self,
        config: Config,
        params: Any,
        inference: InferenceConfig | None = None,
        clustering: ClusteringConfig | None = None,
    ) -> None:
        """Makes a segmenter of instances.

        Args:
            config: the configuration that the parameters belong to.
            params: parameters of the network.
            inference: windows to use instead of the configuration's.
            clustering: thresholds that make objects of embeddings, instead of the configuration's.

        Raises:
            InputError: where the configuration is of another task.
        """
        if not isinstance(config.task, InstancesConfig):
            raise InputError(f"a network trained for {config.task.kind}, expected one of instances")
        task = config.task if clustering is None else replace(config.task, clustering=clustering)
        self.config, self.task = replace(config, task=task), task
        self.inference = task.inference if inference is None else inference
        self.params = jax.device_put(params)
        self._program = ShapedFunction(partial(_planes, InstancesTask(task)))

    @classmethod
    def load(
        cls,
        path_or_name: str | Path,
        inference: InferenceConfig | None = None,
        clustering: ClusteringConfig | None = None,
    ) -> "InstanceSegmenter":
        """Loads a trained network, from what `Segmenter.load` takes of a segmenter.

        Args:
            path_or_name: a run's folder, a model file, or the name of a shipped model.
            inference: windows to use instead of those it was trained for.
            clustering: thresholds to use instead of its own.

        Raises:
            InputError: where there is no readable network of instances.
        """
        return load_as(path_or_name, lambda trained: cls.of(trained, inference, clustering))

    @classmethod
    def of(
        cls,
        trained: Trained,
        inference: InferenceConfig | None = None,
        clustering: ClusteringConfig | None = None,
    ) -> "InstanceSegmenter":
        """Makes the segmenter of a trained network.

        Args:
            trained: the trained network, with its configuration.
            inference: windows to use instead of those it was trained for.
            clustering: thresholds to use instead of its own.

        Raises:
            InputError: where it was trained for another task.
        """
        return cls(trained.config, trained.params, inference, clustering)

    def __call__(self, flow: np.ndarray, valid: np.ndarray | None = None) -> Instances:
        """Finds the objects of a video's flow, the same in all frames.

        Of more tracks than ``task.most_tracks`` those are kept that live longest. Objects are
        numbered in the order in which they first occur.

        Args:
            flow: `[T, H, W, 2]`, pixels per frame; any T ≥ 1, any size. The network works at about
                the number of pixels it was trained with, in the flow's own aspect ratio.
            valid: `[T, H, W]` in {0, 1}, where the flow is known; None for everywhere.

        Returns:
            The `Instances`, at the flow's size. Memory grows with T and N.

        Raises:
            InputError: on another shape, a `valid` of other values, or vectors that are not finite
                where they are valid.
        """
        flow, valid = checked_flow(flow, valid)
        size = flow.shape[1:3]
        found = list(self.track(zip(flow, valid, strict=True)))
        lives = TrackRecords()
        for frame in found:
            lives.add(frame)
        tracks = lives.longest(self.task.most_tracks)
        masks = np.empty((len(flow), *size, 1 + len(tracks)), np.float32)
        for index, frame in enumerate(found):
            masks[index] = resize_masks(frame.masks(tracks), (size[0], size[1]))
        labels = masks.argmax(axis=-1).astype(np.int32)
        return Instances(
            labels,
            masks,
            np.array([lives.score(track) for track in tracks], np.float32),
            np.array([lives.lifetimes[track] for track in tracks], int),
        )

    def stream(self, frames: Iterable[Field]) -> Iterator[InstanceFrame]:
        """Finds the objects of a video of any length while it arrives.

        Only a few windows are held, however long the video is. Every track is given, as it is not
        known yet which of them live long.

        Args:
            frames: flow fields `[H, W, 2]`, all of one size; or pairs of such a field and where it
                is known, `[H, W]` in {0, 1}, or None for everywhere.

        Yields:
            The objects of each frame in turn, some windows after it has been read.

        Raises:
            InputError: as `__call__`.
        """
        size = (0, 0)

        def seen() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            nonlocal size
            for flow, valid in checked_fields(frames):
                size = valid.shape
                yield flow, valid

        for frame in self.track(seen()):
            tracks = np.unique(frame.labels[frame.labels > 0])
            masks = resize_masks(frame.masks(tracks.tolist()), size)
            names = np.concatenate([[0], tracks]).astype(np.int32)
            yield InstanceFrame(names[masks.argmax(axis=-1)], masks, tracks)

    def track(self, frames: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[TrackedFrame]:
        """Finds the objects of each frame at the size that the network works at.

        Args:
            frames: flow `[H, W, 2]` and valid `[H, W]` of each frame, as `checked_flow` gives them.

        Yields:
            The objects of each frame in turn.
        """
        small = (
            resize_flow_and_valid(flow, valid, self.working_size(*valid.shape))
            for flow, valid in frames
        )
        windows = self.inference if self.inference.window > 0 else LONG_VIDEO
        return stream_tracks(self._find, small, windows)

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """The size that the network works at for flow of a given size.

        Args:
            height: number of rows of the flow.
            width: number of columns of the flow.
        """
        data, reduction = self.config.data, self.task.network.reduction
        return working_size((height, width), (data.height, data.width), reduction)

    def _find(self, flow: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, Attention | None]:
        return self._program(self.params, flow, valid)


def _planes(
    task: InstancesTask, params: Any, flow: jax.Array, valid: jax.Array
) -> tuple[jax.Array, Attention | None]:
    """What `stream_tracks` asks of clips `[N, T, h, w, 2]`: `[N, T, h, w, 3]`, and weights."""
    embedding, said = task.embed(params, flow, valid)
    found = task.find(embedding, said, valid)
    best = 1 + jnp.argmax(found.probability, axis=1)
    number = jnp.where(found.labels > 0, found.labels, best)
    chance = jnp.take_along_axis(found.probability, number[:, None] - 1, axis=1)[:, 0]
    number = jnp.where(found.labels > 0, number, -number) * (chance > 0)
    planes = jnp.stack([number.astype(chance.dtype), chance, said.seed], axis=-1)
    return planes, said.attention


class TrackRecords:
    """What is known of the tracks of a video so far.

    Attributes:
        lifetimes: number of frames in which each track is seen, by its number.
    """

    def __init__(self) -> None:
        self.lifetimes: dict[int, int] = {}
        self._seeds: dict[int, float] = {}
        self._pixels: dict[int, int] = {}

    def add(self, frame: TrackedFrame) -> None:
        """Adds a frame."""
        for track in np.unique(frame.labels[frame.labels > 0]).tolist():
            inside = frame.labels == track
            self.lifetimes[track] = self.lifetimes.get(track, 0) + 1
            self._pixels[track] = self._pixels.get(track, 0) + int(inside.sum())
            seed = float(frame.seediness[inside].max())
            self._seeds[track] = self._seeds.get(track, 0.0) + seed

    def score(self, track: int) -> float:
        """Mean over its frames of the greatest seediness of a track."""
        return self._seeds[track] / self.lifetimes[track]

    def longest(self, limit: int) -> list[int]:
        """Tracks that live longest, of two that live as long the larger; in order of their numbers.

        Args:
            limit: greatest number of tracks.
        """
        order = sorted(self.lifetimes, key=lambda t: (-self.lifetimes[t], -self._pixels[t], t))
        return sorted(order[:limit])


class TrackMasks:
    """The objects of a network as masks that can be scored: background, and one for each track.

    Attributes:
        segmenter: the network.
        select: rule that reads the masks as one foreground: the objects that move on their own
            over the whole video.
        background: number of the mask that is no object.
    """

    select = "salient"
    background = 0

    def __init__(self, segmenter: InstanceSegmenter) -> None:
        self.segmenter = segmenter

    def __call__(self, flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Probabilities `[T, H, W, 1 + N]`, with the arguments of `InstanceSegmenter`."""
        return self.segmenter(flow, valid).probabilities

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns at which the network sees flow; see `InstanceSegmenter.working_size`."""
        return self.segmenter.working_size(height, width)
