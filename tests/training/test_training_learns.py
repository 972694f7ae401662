"""Training learns to segment: seconds of it, from masks that show nothing, on scenes not seen."""

from dataclasses import replace

import jax
import numpy as np

from jaxmotion.configs import get_config
from jaxmotion.data import SceneSource
from jaxmotion.segmenter import Segmenter
from jaxmotion.training.experiment import run_experiment

SIZE = (32, 56)


def foreground_iou(segmenter, clips):
    """Mean over clips of the IoU of what is not the first segment, the background."""
    scores = []
    for clip in (clips[index] for index in range(len(clips))):
        moving, truth = segmenter(clip["flow"]).argmax(-1) > 0, clip["labels"] > 0
        scores.append((moving & truth).sum() / max((moving | truth).sum(), 1))
    return np.mean(scores)


def test_a_short_training_on_easy_scenes_finds_what_moves(tmp_path):
    config = get_config("quickstart")
    config = replace(
        config,
        data=replace(
            config.data, source="scenes:easy", height=SIZE[0], width=SIZE[1], validation_clips=8
        ),
        # Without the start that is a threshold on the input: what is found has been learned.
        network=replace(config.network, widths=(8, 16, 32), threshold_start=0.0),
        optimizer=replace(config.optimizer, learning_rate=4e-3, warmup_steps=20, ema_decay=0.9),
        steps=150,
        batch_size=8,
        validate_every=50,
        checkpoint_every=150,
        picture_every=0,
    )
    clips = SceneSource("easy", 1, SIZE, seed=77, length=24)
    result = run_experiment(config, tmp_path)
    trained = Segmenter.load(tmp_path)
    assert result.step == 150
    assert foreground_iou(trained, clips) > 0.6

    rng = np.random.default_rng(0)
    noise = jax.tree.map(lambda leaf: rng.normal(0, leaf.std(), leaf.shape), trained.params)
    untrained = Segmenter(config, jax.tree.map(np.float32, noise), 0)
    assert foreground_iou(untrained, clips) < 0.3
