"""Training learns to segment: from masks that show nothing, on scenes it has not seen."""

from dataclasses import replace

import jax
import numpy as np

from jaxmotion.configs import get_config
from jaxmotion.data import SceneSource
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.motion import MotionModel
from jaxmotion.networks import build_segmenter

SIZE = (32, 56)


def foreground_iou(segmenter, clips):
    """Mean over clips of the IoU of what is not the largest segment."""
    scores = []
    for clip in (clips[index] for index in range(len(clips))):
        labels, truth = segmenter(clip["flow"]).argmax(-1), clip["labels"] > 0
        moving = labels != np.bincount(labels.ravel()).argmax()
        scores.append((moving & truth).sum() / max((moving | truth).sum(), 1))
    return np.mean(scores)


def test_a_short_training_on_easy_scenes_finds_what_moves(tmp_path):
    config = get_config("quickstart")
    config = replace(
        config,
        data=replace(
            config.data, source="scenes:easy", height=SIZE[0], width=SIZE[1], validation_clips=8
        ),
        task=replace(
            config.task,
            motion=MotionModel("affine"),
            # Nothing to start from: no threshold on the input, no segment that is the background.
            # The shipped configurations are too good before training (IoU 0.9) to show that it
            # does any.
            network=replace(
                config.task.network,
                widths=(8, 16, 32),
                stem=1,
                input="scaled",
                threshold_start=0.0,
                favoured_bias=0.0,
            ),
            objective=replace(
                config.task.objective, penalty="squared", normalisation="flow", foreground_cost=0.0
            ),
        ),
        optimizer=replace(config.optimizer, learning_rate=4e-3, warmup_steps=20, ema_decay=0.9),
        steps=150,
        batch_size=8,
        validate_every=50,
        checkpoint_every=150,
        picture_every=0,
    )
    clips = SceneSource("easy", 1, SIZE, seed=77, length=24)
    fresh = build_segmenter(config.task.network).init(jax.random.key(0), np.zeros((1, 1, *SIZE, 2)))
    assert foreground_iou(Segmenter(config, fresh["params"], 0), clips) < 0.3
    run_experiment(config, tmp_path)
    assert foreground_iou(Segmenter.load(tmp_path), clips) > 0.6
