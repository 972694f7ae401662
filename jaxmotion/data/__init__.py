"""From files, videos and procedural scenes to batches of flow clips.

`config` says which clips; `sources` gives them by index, `mixture` those of several sources in
turn; `layouts` finds the files behind them, `sequences` checks and reads them. `loader` makes
batches and can be resumed exactly, `augment` changes batches in JAX inside the training step.
`transforms` resizes in numpy; `video` and `pictures` read and write frames, `masks` reads
annotations; `pairing` tells which file is of which frame.
"""

from jaxmotion.data.augment import AugmentConfig, Augmented, augment
from jaxmotion.data.config import DataConfig
from jaxmotion.data.layouts import LAYOUTS, find_sequences, split_names
from jaxmotion.data.loader import HostBatch, TrainLoader, stack_clips
from jaxmotion.data.mixture import MixedSource, open_sources
from jaxmotion.data.pictures import overlay, read_image, write_image, write_labels
from jaxmotion.data.sources import Clip, ClipSource, FlowSource, SceneSource, open_source
from jaxmotion.data.transforms import (
    resize_flow,
    resize_flow_and_valid,
    resize_labels,
    resize_masks,
)
from jaxmotion.data.video import Video, VideoWriter, open_video

__all__ = [
    "LAYOUTS",
    "AugmentConfig",
    "Augmented",
    "Clip",
    "ClipSource",
    "DataConfig",
    "FlowSource",
    "HostBatch",
    "MixedSource",
    "SceneSource",
    "TrainLoader",
    "Video",
    "VideoWriter",
    "augment",
    "find_sequences",
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
