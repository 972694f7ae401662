"""ST-MS: segments of triplets of flow fields, linked along the video (thesis ch. 3)."""

from dataclasses import replace

from jaxmotion.configs import em
from jaxmotion.data.config import AugmentConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.motion import MotionModel
from jaxmotion.networks import PUBLISHED_ST_MS, NetworkConfig
from jaxmotion.tasks.segmentation_config import ObjectiveConfig, SegmentationConfig
from jaxmotion.training.config import Config, OptimizerConfig


def config() -> Config:
    """A small network; ``--start`` takes the run of an ``em`` network with the same K."""
    base = em.config()
    return replace(
        base,
        data=replace(base.data, clip_length=3, validation_clips=24),
        task=segmentation(),
        # Short runs from a trained start: longer ones explain the flow better but segment worse
        # (docs/models.md), and an average over thousands of steps would be one of the start.
        optimizer=OptimizerConfig(learning_rate=3e-4, ema_decay=0.99),
        steps=200,
        validate_every=100,
        batch_size=6,
    )


def segmentation() -> SegmentationConfig:
    """Four segments, whose motion is linear over the three fields."""
    base = em.segmentation()
    return SegmentationConfig(
        network=NetworkConfig(num_masks=4, kernel=(3, 3, 3), norm_frames=3),
        motion=MotionModel("quadratic", "polynomial"),
        objective=replace(
            base.objective,
            remove_global_motion=True,
            consistency_weight=4.0,
            consistency_ramp=100,
        ),
        augment=replace(base.augment, corruption_probability=0.5, still_share=0.5),
        inference=InferenceConfig(window=3, overlap=2),
    )


def published() -> Config:
    """The published network and training: 1.336 M parameters, flow in pixels as its input."""
    base = em.published()
    return replace(
        base,
        data=replace(base.data, source="DAVIS", split="train", clip_length=3),
        task=published_segmentation(),
    )


def published_segmentation() -> SegmentationConfig:
    """Four segments as published."""
    return SegmentationConfig(
        network=PUBLISHED_ST_MS,
        motion=MotionModel("quadratic", "polynomial"),
        objective=ObjectiveConfig(normalisation="flow", entropy_weight=0.0, consistency_weight=1.0),
        augment=AugmentConfig(global_motion=2.0, corruption_probability=0.2),
        inference=InferenceConfig(window=3, overlap=2, linking="published"),
    )
