"""Foreground by labels, with attention over space and time or without."""

from jaxmotion.data.config import AugmentConfig, DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.networks.config import AttentionConfig, NetworkConfig
from jaxmotion.tasks.foreground_config import ForegroundConfig
from jaxmotion.training.config import Config, EvalsConfig, OptimizerConfig


def config() -> Config:
    """Clips of twelve fields of hard scenes, whose labels teach; attention is on.

    ``--data.source ROOT`` takes a DAVIS-layout root, whose annotations teach then.
    ``--network.attention.layers 0 --network.attention.no-gate`` leaves attention out.
    """
    return Config(
        data=DataConfig(
            source="scenes:hard+long", height=64, width=112, clip_length=12, validation_clips=48
        ),
        task=ForegroundConfig(
            network=NetworkConfig(
                kernel=(3, 3, 3),
                norm_frames=12,
                attention=AttentionConfig(layers=1, gate=True),
            ),
            augment=AugmentConfig(
                flip_horizontal=0.5,
                flip_vertical=0.5,
                corruption_probability=0.3,
                corrupted_frames=(1, 3),
                still_share=0.5,
            ),
            inference=InferenceConfig(window=12, overlap=4, linking="none"),
        ),
        optimizer=OptimizerConfig(kind="adamw", learning_rate=2e-3, ema_decay=0.998),
        steps=2000,
        batch_size=2,
        validate_every=250,
        checkpoint_every=250,
        evals=EvalsConfig(scenes="hard", frames=240),
    )
