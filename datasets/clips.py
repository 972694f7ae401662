"""Common parts of the builders of real data: the features of a record, and its making.

One record is one whole sequence: clips of any length are cut from it while training.
"""

import dataclasses
import io
import json
import logging
import shutil
from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import tensorflow_datasets as tfds
from jaxmotion_datasets.archives import (
    ArchiveSequence,
    in_parallel,
    size_error,
)
from jaxmotion_datasets.downloads import Archive
from jaxmotion_datasets.flow_configs import FLOW_CONFIGS, FlowConfig, FlowOptions
from jaxmotion_datasets.flow_records import SequenceFlow, estimate, flow_places, read_files

from jaxmotion.data.masks import MAX_LABEL, encode_labels, read_labels
from jaxmotion.data.pairing import check_shape
from jaxmotion.errors import InputError
from jaxmotion.optical_flow import Estimator, make_estimator

_log = logging.getLogger(__name__)


def _features() -> dict[str, Any]:
    text = tfds.features.Text
    return {
        "name": text(doc="Name of the sequence."),
        "frame_names": tfds.features.Sequence(text(), doc="Of the T + 1 frames; may be empty."),
        "flow": tfds.features.Tensor(
            shape=(None, None, None, 2),
            dtype=np.float16,
            encoding="bytes",
            doc="[T, h, w, 2], pixels per frame of the original size: right, down.",
        ),
        "valid": tfds.features.Tensor(
            shape=(None, None, None),
            dtype=np.bool_,
            encoding="zlib",
            doc="[T, h, w], where the flow is known.",
        ),
        "masks": tfds.features.Sequence(
            tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            doc="Labels of the annotated frames at full size; 0 is background.",
        ),
        "mask_frames": tfds.features.Sequence(
            np.int32, doc="Number of the frame that each mask belongs to."
        ),
        "estimator": text(doc="What estimated the flow; 'files' where nobody noted it."),
        "estimator_settings": text(doc="Its settings, JSON."),
        "weights_sha256": text(doc="Of the estimator's weights; empty without any."),
        "frame_gap": tfds.features.Scalar(np.int32, doc="Frames from one to the other."),
        "flow_sign": tfds.features.Scalar(np.int32, doc="1 forward in time, -1 backward."),
        "height": tfds.features.Scalar(np.int32, doc="Of the original frames; 0 if unknown."),
        "width": tfds.features.Scalar(np.int32, doc="Of the original frames; 0 if unknown."),
    }


class ClipBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Builds one record a sequence; a data set says where the parts of its sequences lie.

    Attributes:
        ARCHIVES: archives that can be downloaded, where the license allows it.
        SEQUENCES: number of sequences that each split of the whole archive has.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS = FLOW_CONFIGS
    ARCHIVES: ClassVar[tuple[Archive, ...]] = ()
    SEQUENCES: ClassVar[dict[str, int]] = {}

    def __init__(self, *, options: FlowOptions | None = None, **kwargs: Any):
        """Prepares a builder.

        Args:
            options: choice of the files of flow, or of weights; None for no choice.
            **kwargs: arguments of `tfds.core.GeneratorBasedBuilder`: config, data_dir, ...
        """
        self.options = options or FlowOptions()
        super().__init__(**kwargs)

    @abstractmethod
    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """The sequences of each split, their files checked to be there.

        Args:
            root: folder of the unpacked archive.

        Returns:
            Sequences by split.

        Raises:
            InputError: a file is missing or is not what was expected.
        """

    def flow_root(self, root: Path) -> Path:
        """The folder that has the folder Flows; that of the archive if nothing else is said."""
        return root

    def extra_features(self) -> dict[str, Any]:
        """Features that only this data set has."""
        return {}

    def extra(self, sequence: ArchiveSequence) -> dict[str, Any]:
        """Values of the extra features for a sequence."""
        del sequence
        return {}

    def flow_of(self, sequence: ArchiveSequence) -> SequenceFlow:
        """Flow that came with a sequence, for the configuration `files`."""
        return read_files(sequence)

    def labels(self, paths: tuple[Path, ...]) -> np.ndarray:
        """Labels `[H, W]` from the pictures that annotate a frame; 0 is background.

        A record keeps 255 for pixels that no one judges, as pictures with a palette do: another
        picture's object of this value gets the label 1, which is the one object's everywhere else.
        """
        labels, indexed = read_labels(paths[0])
        if not indexed and labels.max() == MAX_LABEL and not (labels == 1).any():
            labels = np.where(labels == MAX_LABEL, np.uint8(1), labels)
        return labels

    def labels_of(self, sequence: ArchiveSequence) -> dict[int, np.ndarray]:
        """Labels uint8 `[H, W]` by the number of the annotated frame."""
        frames = sorted(sequence.masks)
        paths = [sequence.masks[frame] for frame in frames]
        labels = in_parallel(self.labels, paths, f"masks of {sequence.name}")
        return dict(zip(frames, labels, strict=True))

    @property
    def config(self) -> FlowConfig:
        """The configuration, by its own type."""
        return cast(FlowConfig, self.builder_config)

    @cached_property
    def estimator(self) -> Estimator | None:
        """The estimator of the flow, one for all splits, since a network has to be compiled."""
        if self.config.estimator is None:
            return None
        options = {"weights": self.options.weights, "iterations": self.options.iterations}
        return make_estimator(self.config.estimator, **options)

    @property
    def unfinished(self) -> Path:
        """The folder that keeps estimated flow until the data set is built."""
        return Path(self._data_dir_root) / ".unfinished" / f"{self.name}-{self.config.name}"

    @property
    def downloads(self) -> Path:
        """The folder of downloaded archives."""
        return Path(self._data_dir_root) / "downloads" / self.name

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({**_features(), **self.extra_features()})
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        root = Path(dl_manager.manual_dir)
        estimator = self.estimator  # a wrong option is said before the archive is looked through
        splits = self.splits(root)
        for split, sequences in splits.items():
            if not sequences:
                raise InputError(f"{root}: no sequence of the split {split}")
        for split, whole in self.SEQUENCES.items():
            found = len(splits.get(split, ()))
            if found != whole:
                _log.warning(
                    "%s: %d sequences of the split %s, the whole archive has %d",
                    *(root, found, split, whole),
                )
        if estimator is None:
            places = {s.name: s.flow for ss in splits.values() for s in ss if s.flow is not None}
            places = places or flow_places(self.flow_root(root), self.options.flow_name)
            splits = {
                split: [_with_flow(sequence, places) for sequence in sequences]
                for split, sequences in splits.items()
            }
        return {split: self._generate_examples(found) for split, found in splits.items()}

    def _generate_examples(
        self, sequences: list[ArchiveSequence]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for sequence in sequences:
            if self.estimator is None:
                found = self.flow_of(sequence)
            else:
                found = estimate(sequence, self.estimator, self.config.size, self.unfinished)
            masks = self.labels_of(sequence)
            if masks and not any(labels.any() for labels in masks.values()):
                folder = sequence.masks[next(iter(masks))][0].parent
                _log.warning("%s: no object in any mask of %s", folder, sequence.name)
            size = _original_size(sequence, found, masks)
            example = _example(sequence, found, masks, size)
            yield sequence.name, {**example, **self.extra(sequence)}

    def download_and_prepare(self, **kwargs: Any) -> None:
        """Builds the data set, as `tfds.core.DatasetBuilder.download_and_prepare` does.

        An interrupted build leaves nothing under the final name; flow that it had estimated is
        taken up by the next one.

        Args:
            **kwargs: arguments of the method of TFDS.
        """
        super().download_and_prepare(**{"file_format": "array_record", **kwargs})
        # TFDS removes what an interrupted build wrote, but not what a killed one did.
        for left_over in (self.unfinished, *self.data_path.parent.glob("incomplete.*")):
            shutil.rmtree(left_over, ignore_errors=True)


def _with_flow(sequence: ArchiveSequence, places: dict[str, Path]) -> ArchiveSequence:
    if sequence.name not in places:
        folder = next(iter(places.values())).parent
        raise InputError(f"{folder / sequence.name}.npz: no flow of this sequence, nor a folder")
    return dataclasses.replace(sequence, flow=places[sequence.name])


def _original_size(
    sequence: ArchiveSequence, found: SequenceFlow, masks: dict[int, np.ndarray]
) -> tuple[int, int]:
    """`(height, width)` of the frames, (0, 0) if unknown; checks that the masks are of it."""
    size, source = found.size, "the flow of its sequence"
    if sequence.video is not None:
        size, source = (sequence.video.height, sequence.video.width), "the frames of its sequence"
    for frame, labels in masks.items():
        path = sequence.masks[frame][0]
        if frame >= found.num_frames:
            raise InputError(f"{path}: of frame {frame}, but there are {found.num_frames} frames")
        if size is None:
            size, source = labels.shape, f"{path.name} of its sequence"
        if labels.shape != size:
            raise size_error(path, labels.shape, size, source)
    if sequence.flow is not None and size is not None:
        check_shape(sequence.flow, found.flow.shape[1:3], size, source)
    return size or (0, 0)


def _example(
    sequence: ArchiveSequence,
    found: SequenceFlow,
    masks: dict[int, np.ndarray],
    size: tuple[int, int],
) -> dict[str, Any]:
    origin = found.origin
    pictures = in_parallel(
        partial(encode_labels, palette=False), list(masks.values()), f"masks of {sequence.name}"
    )
    return {
        "name": sequence.name,
        "frame_names": list(found.frame_names),
        "flow": found.flow,
        "valid": found.valid,
        "masks": [_file(data) for data in pictures],
        "mask_frames": np.array(list(masks), np.int32),
        "estimator": origin.estimator,
        "estimator_settings": json.dumps(origin.settings),
        "weights_sha256": origin.settings.get("weights_sha256", ""),
        "frame_gap": origin.gap,
        "flow_sign": -1 if origin.backward else 1,
        "height": size[0],
        "width": size[1],
    }


def _file(data: bytes) -> Any:
    # TFDS takes encoded pictures as files only; arrays it would encode with TensorFlow.
    return io.BytesIO(data)
