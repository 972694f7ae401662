"""Events of tracks: what each does and when, learned from procedural scenes."""

from jaxmotion.data.config import DataConfig
from jaxmotion.tasks.events_config import EventsConfig
from jaxmotion.training.config import Config, EvalsConfig, OptimizerConfig


def config() -> Config:
    """Tracks of 144 scenes of level `behavior`, with their true events."""
    return Config(
        data=DataConfig(
            source="tracks:behavior",
            height=48,
            width=84,
            clip_length=256,
            validation_clips=64,
        ),
        task=EventsConfig(),
        optimizer=OptimizerConfig(kind="adamw", learning_rate=2e-3, ema_decay=0.99),
        steps=800,
        batch_size=16,
        validate_every=200,
        checkpoint_every=100,
        picture_every=0,
        evals=EvalsConfig(scenes="behavior", frames=2560),
    )
