"""Any folder of videos with optical flow; see README.md in this folder."""

from jaxmotion_datasets.video_flow.video_flow_dataset_builder import Builder

__all__ = ["Builder"]
