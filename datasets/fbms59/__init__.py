"""FBMS-59 with optical flow; see README.md in this folder."""

from jaxmotion_datasets.fbms59.fbms59_dataset_builder import Builder

__all__ = ["Builder"]
