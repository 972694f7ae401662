"""A first network in a few minutes on two CPU cores: EM on procedural scenes, K = 2."""

from jaxmotion.tasks.segmentation_config import ObjectiveConfig, SegmentationConfig
from jaxmotion.training.config import Config


def config() -> Config:
    """Two segments, single frames of 64×112, scenes made while training."""
    task = SegmentationConfig(objective=ObjectiveConfig(foreground_cost=0.5))
    return Config(task=task, steps=1200)
