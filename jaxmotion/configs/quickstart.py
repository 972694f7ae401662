"""A first network in a few minutes on two CPU cores: EM on procedural scenes, K = 2."""

from jaxmotion.training.config import Config


def config() -> Config:
    """Two segments, single frames of 64×112, scenes made while training."""
    return Config(steps=1500)
