"""Frozen procedural flow scenes; see README.md in this folder."""

from jaxmotion_datasets.flow_scenes.flow_scenes_dataset_builder import Builder, FlowScenesConfig

__all__ = ["Builder", "FlowScenesConfig"]
