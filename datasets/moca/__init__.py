"""Moving camouflaged animals with optical flow; see README.md in this folder."""

from jaxmotion_datasets.moca.moca_dataset_builder import Builder

__all__ = ["Builder"]
