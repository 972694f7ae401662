"""NIMS: a classifier of frames, from which what moves is read (thesis ch. 5)."""

from dataclasses import replace

from jaxmotion.data.config import DataConfig
from jaxmotion.networks.classifier_config import ClassifierConfig
from jaxmotion.tasks.classification_config import ClassificationConfig, FillConfig
from jaxmotion.training.config import Config, EvalsConfig, OptimizerConfig


def config() -> Config:
    """Independent motion: scenes with parallax, half of them without an object.

    ``--data.source scenes:parallax,OWN`` adds real flow with the labels that ``jaxmotion label``
    gave it.
    """
    return Config(
        data=DataConfig(source="scenes:parallax", height=32, width=56, validation_clips=256),
        task=ClassificationConfig(network=ClassifierConfig(widths=(16, 32, 64))),
        optimizer=OptimizerConfig(
            kind="adamw", learning_rate=4e-3, warmup_steps=20, ema_decay=0.98
        ),
        steps=1600,
        batch_size=32,
        validate_every=100,
        checkpoint_every=100,
        picture_every=0,
        evals=EvalsConfig(scenes="parallax", frames=500),
    )


def crowd() -> Config:
    """Whether anybody walks against a crowd."""
    base = config()
    return replace(
        base,
        data=replace(base.data, source="scenes:crowd", height=64, width=112),
        optimizer=replace(base.optimizer, learning_rate=5e-3),
        steps=2000,
        task=ClassificationConfig(
            least_area=0.001,
            fill=FillConfig(hide_probability=0.25, other_probability=0.25, margin=1),
        ),
        evals=replace(base.evals, scenes="crowd"),
    )
