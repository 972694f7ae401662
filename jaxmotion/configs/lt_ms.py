"""LT-MS: segments of clips of any length, the same from the first frame to the last (ch. 4)."""

from dataclasses import replace

from jaxmotion.configs import st_ms
from jaxmotion.data.config import AugmentConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.motion import MotionModel
from jaxmotion.networks import PUBLISHED_LT_MS, DecoderConfig
from jaxmotion.tasks.segmentation_config import SegmentationConfig
from jaxmotion.training.config import Config, OptimizerConfig


def config() -> Config:
    """A small network; ``--start`` takes the run of an ``em`` or ``st_ms`` network."""
    base = st_ms.config()
    return replace(base, data=replace(base.data, clip_length=9), task=segmentation(), batch_size=2)


def segmentation() -> SegmentationConfig:
    """Four segments, whose motion is a spline over the clip."""
    base = st_ms.segmentation()
    return replace(
        base,
        network=replace(base.network, norm_frames=9, decoder=DecoderConfig(kind="transformer")),
        motion=MotionModel("quadratic", "bspline", knot_spacing=3),
        augment=replace(base.augment, corrupted_frames=(1, 2)),
        inference=InferenceConfig(window=0),
    )


def slots() -> Config:
    """LT-MS-SA: slot attention, for another K at test time; ``--start`` takes a trained U-net."""
    base, task = config(), segmentation()
    return replace(
        base,
        task=replace(task, network=replace(task.network, decoder=DecoderConfig(kind="slots"))),
        # Its decoder does not begin at nothing, and has more to learn.
        optimizer=OptimizerConfig(learning_rate=1e-3, ema_decay=0.99),
        steps=300,
    )


def published() -> Config:
    """The published network and training: 4.638 M parameters, flow in pixels as its input."""
    base = st_ms.published()
    return replace(
        base,
        data=replace(base.data, source="FlyingThings3D", split="", clip_length=9),
        task=replace(
            st_ms.published_segmentation(),
            network=PUBLISHED_LT_MS,
            motion=MotionModel("quadratic", "bspline", knot_spacing=3),
            augment=AugmentConfig(
                global_motion=2.0, corruption_probability=0.2, corrupted_frames=(1, 2)
            ),
            inference=InferenceConfig(window=0, linking="published"),
        ),
        optimizer=OptimizerConfig(
            learning_rate=1e-4,
            schedule="halving",
            warmup_steps=10_000,
            halve_every=20_000,
            clip_norm=5.0,
            ema_decay=0.0,
        ),
        batch_size=3,
    )
