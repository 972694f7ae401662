"""EM motion segmentation of single frames (thesis ch. 2)."""

from jaxmotion.data.augment import AugmentConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.networks import PUBLISHED_EM
from jaxmotion.tasks.segmentation import ObjectiveConfig
from jaxmotion.training.config import Config, DataConfig
from jaxmotion.training.optimizer import OptimizerConfig


def config() -> Config:
    """A small network on the flows of a DAVIS-layout root; ``--data.source ROOT`` says which."""
    return Config(
        data=DataConfig(source="DAVIS", split="train", height=128, width=224),
        objective=ObjectiveConfig(foreground_cost=1.0, border_cost=8.0),
        augment=AugmentConfig(flip_horizontal=0.5, flip_vertical=0.5),
        steps=1200,
        batch_size=4,
    )


def published() -> Config:
    """The published network and training: 497.7 M parameters, flow in pixels as its input."""
    return Config(
        data=DataConfig(source="FlyingThings3D", height=128, width=224),
        network=PUBLISHED_EM,
        objective=ObjectiveConfig(penalty="l1", normalisation="pixels", entropy_weight=0.01),
        augment=AugmentConfig(global_motion=2.0),
        optimizer=OptimizerConfig(
            learning_rate=1e-4, schedule="constant", clip_norm=0.0, ema_decay=0.0
        ),
        steps=200_000,
        batch_size=10,
        inference=InferenceConfig(linking="published"),
    )
