"""TFDS builder that freezes procedural flow scenes. Needs no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import tensorflow_datasets as tfds

from jaxmotion.scenes import LEVELS, generate

# First seed of each split: ranges that no split reaches the end of, and beyond those that
# `jaxmotion.data.SceneSource` draws training scenes from.
FIRST_SEED = {"train": 2**62, "validation": 2**62 + 2**32, "test": 2**62 + 2**33}

# Sizes other than those of `FlowScenesConfig`.
SIZES: dict[str, dict[str, Any]] = {
    "long": {"num_frames": 60, "num_clips": (60, 20, 20)},
    "behavior": {"num_frames": 256, "num_clips": (20, 10, 50)},
}


@dataclasses.dataclass(kw_only=True)
class FlowScenesConfig(tfds.core.BuilderConfig):
    """Scenes that one configuration freezes.

    Attributes:
        level: difficulty of the scenes, a name in `jaxmotion.scenes.LEVELS`.
        num_frames: T, number of frames per clip.
        height: H, number of rows.
        width: W, number of columns.
        num_clips: number of clips of the train, validation and test split.
    """

    level: str
    num_frames: int = 9
    height: int = 64
    width: int = 112
    num_clips: tuple[int, int, int] = (300, 50, 100)


def _config(level: str, **sizes: Any) -> FlowScenesConfig:
    config = FlowScenesConfig(name=level, level=level, **sizes)
    config.description = (
        f"Level {level}: clips of {config.num_frames} frames of {config.height}x{config.width}."
    )
    return config


class Builder(tfds.core.GeneratorBasedBuilder):
    """Optical flow of procedural scenes with the labels of their moving objects."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {  # noqa: RUF012 (the name and type are TFDS's)
        "1.1.0": "With name and valid, which the trainer reads.",
        "1.0.0": "First release.",
    }
    # Every level has one; the first one is the one without a name.
    BUILDER_CONFIGS = [  # noqa: RUF012
        _config(level, **SIZES.get(level, {})) for level in sorted(LEVELS, key="default".__ne__)
    ]

    @property
    def frozen(self) -> FlowScenesConfig:
        """The configuration, by its own type."""
        return cast(FlowScenesConfig, self.builder_config)

    def _info(self) -> tfds.core.DatasetInfo:
        """Names, shapes and types of the features."""
        config = self.frozen
        size = (config.num_frames, config.height, config.width)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "name": tfds.features.Text(doc="SPLIT/NUMBER."),
                    "flow": tfds.features.Tensor(
                        shape=(*size, 2), dtype=np.float16, doc="Pixels per frame: right, down."
                    ),
                    "valid": tfds.features.Tensor(
                        shape=size, dtype=np.bool_, encoding="zlib", doc="All of it is known."
                    ),
                    "labels": tfds.features.Tensor(
                        shape=size, dtype=np.uint8, doc="0 background, 1, 2, ... moving objects."
                    ),
                    "corrupted": tfds.features.Tensor(
                        shape=size[:1], dtype=np.bool_, doc="Frames whose flow was wrecked."
                    ),
                    "seed": tfds.features.Scalar(
                        dtype=np.int64, doc="Seed of jaxmotion.scenes.generate."
                    ),
                }
            ),
            supervised_keys=("flow", "labels"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        """The splits, from disjoint ranges of seeds; nothing is downloaded."""
        del dl_manager
        return {
            split: self._generate_examples(split, num_clips)
            for split, num_clips in zip(FIRST_SEED, self.frozen.num_clips, strict=True)
        }

    def _generate_examples(self, split: str, num_clips: int) -> Iterator[tuple[int, dict]]:
        """Clips, keyed by their number in the split."""
        config = self.frozen
        for number in range(num_clips):
            seed = FIRST_SEED[split] + number
            scene = generate(
                LEVELS[config.level], config.num_frames, config.height, config.width, seed
            )
            yield (
                number,
                {
                    "name": f"{split}/{number:05d}",
                    "flow": scene.flow.astype(np.float16),
                    "valid": np.ones(scene.flow.shape[:-1], bool),
                    "labels": scene.labels.astype(np.uint8),
                    "corrupted": scene.corrupted,
                    "seed": seed,
                },
            )
