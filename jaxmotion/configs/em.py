"""EM motion segmentation of single frames (thesis ch. 2)."""

from jaxmotion.data.config import AugmentConfig, DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.networks import PUBLISHED_EM
from jaxmotion.tasks.segmentation_config import ObjectiveConfig, SegmentationConfig
from jaxmotion.training.config import Config, OptimizerConfig


def config() -> Config:
    """A small network on the flows of a DAVIS-layout root; ``--data.source ROOT`` says which."""
    return Config(
        data=DataConfig(source="DAVIS", split="train", height=128, width=224),
        task=segmentation(),
        steps=1200,
        batch_size=4,
    )


def segmentation() -> SegmentationConfig:
    """Two segments, one of them the background."""
    return SegmentationConfig(
        objective=ObjectiveConfig(foreground_cost=1.0, border_cost=8.0),
        augment=AugmentConfig(flip_horizontal=0.5, flip_vertical=0.5),
    )


def published() -> Config:
    """The published network and training: 497.7 M parameters, flow in pixels as its input."""
    return Config(
        data=DataConfig(source="FlyingThings3D", height=128, width=224),
        task=SegmentationConfig(
            network=PUBLISHED_EM,
            objective=ObjectiveConfig(penalty="l1", normalisation="pixels", entropy_weight=0.01),
            augment=AugmentConfig(global_motion=2.0),
            inference=InferenceConfig(linking="published"),
        ),
        optimizer=OptimizerConfig(
            learning_rate=1e-4, schedule="constant", clip_norm=0.0, ema_decay=0.0
        ),
        steps=200_000,
        batch_size=10,
    )
