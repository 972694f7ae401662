"""DAVIS 2017 grouped by motion, with optical flow; see README.md in this folder."""

from jaxmotion_datasets.davis2017_motion.davis2017_motion_dataset_builder import Builder

__all__ = ["Builder"]
