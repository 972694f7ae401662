"""Masked flow modeling: features of motion, learned from flow that is hidden."""

from jaxmotion.data.config import AugmentConfig, DataConfig
from jaxmotion.tasks.masked_config import MaskedConfig
from jaxmotion.training.config import Config, EvalsConfig, OptimizerConfig


def config() -> Config:
    """Clips of eight fields of scenes with objects, water and parallax; no label enters.

    ``--data.source scenes:hard+crowd_of_objects,ROOT`` takes the flow of a DAVIS-layout root in
    turn with them. ``--start st-ms-k4`` begins with the U-net of that network.
    """
    return Config(
        data=DataConfig(
            source="scenes:hard+crowd_of_objects",
            height=64,
            width=112,
            clip_length=8,
            validation_clips=48,
        ),
        task=MaskedConfig(
            augment=AugmentConfig(
                global_motion=2.0,
                global_motion_probability=0.5,
                flip_horizontal=0.5,
                flip_vertical=0.5,
            )
        ),
        optimizer=OptimizerConfig(kind="adamw", learning_rate=2e-3, ema_decay=0.998),
        steps=5000,
        batch_size=2,
        validate_every=500,
        checkpoint_every=250,
        evals=EvalsConfig(scenes="hard", frames=160),
    )
