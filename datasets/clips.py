"""What the builders of real data share: the features of a record, and how it is made.

One record is one whole sequence: clips of any length are cut from it while training.
"""

import dataclasses
import io
import json
import shutil
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import tensorflow_datasets as tfds
from jaxmotion_datasets.archives import ArchiveSequence, encode_labels, read_labels, size_error
from jaxmotion_datasets.flow_records import SequenceFlow, estimate, flow_places, read_files

from jaxmotion.errors import InputError
from jaxmotion.optical_flow import make_estimator


@dataclasses.dataclass(kw_only=True)
class FlowConfig(tfds.core.BuilderConfig):
    """Where the flow comes from.

    Attributes:
        estimator: a name in `jaxmotion.optical_flow.ESTIMATORS`, or None for flow from files.
        size: `(height, width)` of the flow, resized without rescaling the vectors; that of the
            files or of the frames when None.
    """

    estimator: str | None = None
    size: tuple[int, int] | None = None


THESIS_SIZE = (128, 224)
FLOW_CONFIGS = [
    FlowConfig(name="files", description="Flow read from Flows/NAME of the archive's root."),
    *(
        FlowConfig(
            name=name,
            estimator=name,
            size=THESIS_SIZE,
            description=f"Flow by {title} on the original frames, then resized to 128x224.",
        )
        for name, title in (
            ("dis", "dense inverse search (DIS)"),
            ("raft", "RAFT (large)"),
            ("raft_small", "RAFT (small)"),
        )
    ),
]


@dataclass(frozen=True)
class FlowOptions:
    """What a configuration leaves open, because it is a matter of the user's files.

    Attributes:
        flow_name: NAME of `Flows/NAME`, where there is more than one.
        weights: file of the weights of an estimator that is a network.
    """

    flow_name: str | None = None
    weights: Path | None = None


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
    """Builds one record a sequence; a data set says where the parts of its sequences lie."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First release."}
    BUILDER_CONFIGS = FLOW_CONFIGS

    def __init__(self, *, options: FlowOptions | None = None, **kwargs: Any):
        """Prepares a builder.

        Args:
            options: which files of flow, or weights.
            **kwargs: of `tfds.core.GeneratorBasedBuilder`: config, data_dir, ...
        """
        self.options = options or FlowOptions()
        super().__init__(**kwargs)

    @abstractmethod
    def splits(self, root: Path) -> dict[str, list[ArchiveSequence]]:
        """The sequences of each split, their files checked to be there.

        Args:
            root: where the archive was unpacked.

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
        """Their values for a sequence."""
        del sequence
        return {}

    def labels(self, paths: tuple[Path, ...]) -> np.ndarray:
        """Labels uint8 `[H, W]` from the pictures that annotate a frame; 0 is background."""
        return read_labels(paths[0])

    @property
    def config(self) -> FlowConfig:
        """The configuration, by its own type."""
        return cast(FlowConfig, self.builder_config)

    @property
    def unfinished(self) -> Path:
        """Where estimated flow is kept until the data set is built."""
        return Path(self._data_dir_root) / ".unfinished" / f"{self.name}-{self.config.name}"

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({**_features(), **self.extra_features()})
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        root = Path(dl_manager.manual_dir)
        splits = self.splits(root)
        for split, sequences in splits.items():
            if not sequences:
                raise InputError(f"{root}: no sequence of the split {split}")
        if self.config.estimator is None:
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
        estimator = None
        if self.config.estimator is not None:
            weights = self.options.weights
            estimator = make_estimator(self.config.estimator, weights=weights)
        for sequence in sequences:
            if estimator is None:
                found, made_by, settings = read_files(sequence), "files", {}
            else:
                found = estimate(sequence, estimator, self.config.size, self.unfinished)
                made_by, settings = estimator.name, estimator.settings
            masks, size = self._masks(sequence, len(found.flow) + 1)
            yield (
                sequence.name,
                {
                    **_example(sequence, found, masks, size),
                    "estimator": made_by,
                    "estimator_settings": json.dumps(settings),
                    "weights_sha256": settings.get("weights_sha256", ""),
                    **self.extra(sequence),
                },
            )

    def _masks(
        self, sequence: ArchiveSequence, num_frames: int
    ) -> tuple[dict[int, np.ndarray], tuple[int, int]]:
        """Labels by frame, and the original size."""
        video = sequence.video
        size = None if video is None else (video.height, video.width)
        source, masks = "the frames of its sequence", {}
        for frame, paths in sorted(sequence.masks.items()):
            if frame >= num_frames:
                raise InputError(f"{paths[0]}: of frame {frame}, but there are {num_frames} frames")
            labels = self.labels(paths)
            if size is not None and labels.shape != size:
                raise size_error(paths[0], labels.shape, size, source)
            if size is None:
                size, source = labels.shape, f"{paths[0].name} of its sequence"
            masks[frame] = labels
        return masks, size or (0, 0)

    def download_and_prepare(self, **kwargs: Any) -> None:
        """Builds; see `tfds.core.DatasetBuilder.download_and_prepare`.

        An interrupted build leaves nothing under the final name; flow that it had estimated is
        taken up by the next one.

        Args:
            **kwargs: of TFDS.
        """
        super().download_and_prepare(**{"file_format": "array_record", **kwargs})
        shutil.rmtree(self.unfinished, ignore_errors=True)


def _with_flow(sequence: ArchiveSequence, places: dict[str, Path]) -> ArchiveSequence:
    if sequence.name not in places:
        folder = next(iter(places.values())).parent
        raise InputError(f"{folder / sequence.name}.npz: no flow of this sequence, nor a folder")
    return dataclasses.replace(sequence, flow=places[sequence.name])


def _example(
    sequence: ArchiveSequence,
    found: SequenceFlow,
    masks: dict[int, np.ndarray],
    size: tuple[int, int],
) -> dict[str, Any]:
    return {
        "name": sequence.name,
        "frame_names": list(found.frame_names),
        "flow": found.flow,
        "valid": found.valid,
        "masks": [_file(encode_labels(labels)) for labels in masks.values()],
        "mask_frames": np.array(list(masks), np.int32),
        "frame_gap": 1,
        "flow_sign": 1,
        "height": size[0],
        "width": size[1],
    }


def _file(data: bytes) -> Any:
    # TFDS takes encoded pictures as files only; arrays it would encode with TensorFlow.
    return io.BytesIO(data)
