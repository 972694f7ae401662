"""DAVIS 2016 with optical flow; see README.md in this folder."""

from jaxmotion_datasets.davis2016.davis2016_dataset_builder import Builder

__all__ = ["Builder"]
