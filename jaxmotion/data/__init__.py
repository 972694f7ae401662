"""From files, videos and procedural scenes to batches of clips with named fields.

`config` says which clips, without JAX. `sequence` is the record of one video, whose fields are
read when they are asked for: from files (`file_sequences`; `layouts` and `davis` know where they
lie, `timeline` and `pairing` which is of which frame, `masks` what annotations mean), from a built
data set (`record_sequences`), or from a scene (`scene_source`); `track_source` has the tracks of
scenes, with what they do. `sources` gives clips by index, `mixture` those of several sources in
turn. `loader` makes batches and can be resumed exactly, `augmentation` changes batches in JAX
inside the training step; `transforms` changes clips in numpy. `video` and `pictures` read and write
frames.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxmotion.data.augmentation import Augmented, augment
    from jaxmotion.data.clips import Clip, ClipSource
    from jaxmotion.data.config import AugmentConfig, DataConfig
    from jaxmotion.data.davis import split_names
    from jaxmotion.data.layouts import LAYOUTS, find_flow
    from jaxmotion.data.loader import HostBatch, TrainLoader, stack_clips
    from jaxmotion.data.masks import write_labels
    from jaxmotion.data.mixture import MixedSource, open_sources
    from jaxmotion.data.pictures import overlay, read_image, write_image
    from jaxmotion.data.scene_source import SceneSource
    from jaxmotion.data.sequence import FIELDS, Sequence
    from jaxmotion.data.sources import FlowSource, open_source
    from jaxmotion.data.transforms import (
        Mirror,
        Resize,
        Turn,
        resize_flow,
        resize_flow_and_valid,
        resize_labels,
        resize_masks,
    )
    from jaxmotion.data.video import Video, VideoWriter, open_video

__all__ = [
    "FIELDS",
    "LAYOUTS",
    "AugmentConfig",
    "Augmented",
    "Clip",
    "ClipSource",
    "DataConfig",
    "FlowSource",
    "HostBatch",
    "Mirror",
    "MixedSource",
    "Resize",
    "SceneSource",
    "Sequence",
    "TrainLoader",
    "Turn",
    "Video",
    "VideoWriter",
    "augment",
    "find_flow",
    "open_source",
    "open_sources",
    "open_video",
    "overlay",
    "read_image",
    "resize_flow",
    "resize_flow_and_valid",
    "resize_labels",
    "resize_masks",
    "split_names",
    "stack_clips",
    "write_image",
    "write_labels",
]

_HOMES = {
    "AugmentConfig": "config",
    "Augmented": "augmentation",
    "Clip": "clips",
    "ClipSource": "clips",
    "DataConfig": "config",
    "FIELDS": "sequence",
    "FlowSource": "sources",
    "HostBatch": "loader",
    "LAYOUTS": "layouts",
    "Mirror": "transforms",
    "MixedSource": "mixture",
    "Resize": "transforms",
    "SceneSource": "scene_source",
    "Sequence": "sequence",
    "TrainLoader": "loader",
    "Turn": "transforms",
    "Video": "video",
    "VideoWriter": "video",
    "augment": "augmentation",
    "find_flow": "layouts",
    "open_source": "sources",
    "open_sources": "mixture",
    "open_video": "video",
    "overlay": "pictures",
    "read_image": "pictures",
    "resize_flow": "transforms",
    "resize_flow_and_valid": "transforms",
    "resize_labels": "transforms",
    "resize_masks": "transforms",
    "split_names": "davis",
    "stack_clips": "loader",
    "write_image": "pictures",
    "write_labels": "masks",
}


def __getattr__(name: str) -> Any:  # late: a configuration is read without JAX
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
