"""Adversarial saliency: a segmenter against a frame classifier (thesis ch. 6)."""

from dataclasses import replace

from jaxmotion.data.config import DataConfig
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.tasks.adversarial_config import AdversarialConfig, ConstraintConfig
from jaxmotion.training.config import Config, EvalsConfig, OptimizerConfig


def config() -> Config:
    """Who walks against a crowd, by a classifier that ``train.py nims_crowd`` trained.

    ``--classifier`` names it. It sees frames of the size that it was trained for.
    """
    return Config(
        data=DataConfig(source="scenes:crowd", height=64, width=112),
        task=AdversarialConfig(
            # From empty masks: a classifier of a crowd has seen no frame without one.
            network=NetworkConfig(input="raw_and_residual", threshold_start=0.0, favoured_bias=1.0),
            # Who walks against a crowd covers a percent or two of the frame: with a multiplier far
            # above 1 the area would count nothing beside the violation.
            constraint=ConstraintConfig(start=0.3, rate=0.002),
        ),
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup_steps=20, ema_decay=0.98),
        steps=1000,
        batch_size=16,
        validate_every=100,
        checkpoint_every=100,
        picture_every=0,
        evals=EvalsConfig(scenes="crowd", frames=500),
    )


def published() -> Config:
    """As published: four soft masks, a violation that jumps, one Adam for all."""
    base = config()
    return replace(
        base,
        task=AdversarialConfig(
            network=NetworkConfig(num_masks=4, input="raw_and_residual"),
            constraint=ConstraintConfig(violation="sigma", multiplier="shared"),
            reconstruction=1.0,
            hard=False,
        ),
        optimizer=OptimizerConfig(
            learning_rate=1e-6,
            schedule="constant",
            warmup_steps=0,
            clip_norm=0.0,
            ema_decay=0.0,
            groups=(("multiplier/.*", -1.0),),
        ),
    )
