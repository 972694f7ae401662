"""FlyingThings3D with its true flow, or an estimated one; see README.md in this folder."""

from jaxmotion_datasets.flying_things3d.flying_things3d_dataset_builder import Builder

__all__ = ["Builder"]
