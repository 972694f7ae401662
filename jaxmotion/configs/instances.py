"""Instances: which objects move, however many (STEm-Seg on flow)."""

from jaxmotion.data.config import AugmentConfig, DataConfig
from jaxmotion.tasks.instances_config import InstancesConfig
from jaxmotion.training.config import Config, EvalsConfig, OptimizerConfig


def config() -> Config:
    """Clips of eight fields of scenes with several objects, water and parallax, and their labels.

    ``--start st-ms-k4`` begins with the U-net of that network.
    """
    return Config(
        data=DataConfig(
            source="scenes:hard+crowd_of_objects",
            height=64,
            width=112,
            clip_length=8,
            validation_clips=48,
        ),
        task=InstancesConfig(
            augment=AugmentConfig(
                flip_horizontal=0.5,
                flip_vertical=0.5,
                corruption_probability=0.2,
                still_share=0.5,
            )
        ),
        optimizer=OptimizerConfig(kind="adamw", learning_rate=2e-3, ema_decay=0.998),
        steps=5000,
        batch_size=2,
        validate_every=500,
        checkpoint_every=250,
        evals=EvalsConfig(scenes="hard", frames=160),
    )
