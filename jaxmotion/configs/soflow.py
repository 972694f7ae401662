"""SoFlow: unsupervised flow of small objects (thesis app. 7.4)."""

from dataclasses import replace

from jaxmotion.data.config import DataConfig
from jaxmotion.tasks.soflow_config import PhotometricConfig, SoFlowTaskConfig
from jaxmotion.training.config import Config, EvalsConfig, OptimizerConfig


def config() -> Config:
    """Aerial scenes with many vehicles; ``--data.source videos:FOLDER`` learns from videos."""
    return Config(
        data=DataConfig(source="aerial:busy", clip_length=2, height=96, width=96),
        task=SoFlowTaskConfig(),
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=50, ema_decay=0.99),
        steps=4000,
        batch_size=3,
        validate_every=500,
        checkpoint_every=250,
        picture_every=1000,
        evals=EvalsConfig(frames=50),
    )


def published() -> Config:
    """The published loss: SSIM, a weight of 1 for the smoothness, nothing for what is hidden."""
    objective = PhotometricConfig(
        likeness="ssim", window=3, smoothness=1.0, edge=20.0, occlusion="none", crop=0
    )
    base = config()
    return replace(
        base,
        task=SoFlowTaskConfig(objective=objective),
        data=replace(base.data, height=64, width=64),
    )
