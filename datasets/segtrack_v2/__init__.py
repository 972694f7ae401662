"""SegTrack v2 with optical flow; see README.md in this folder."""

from jaxmotion_datasets.segtrack_v2.segtrack_v2_dataset_builder import Builder

__all__ = ["Builder"]
