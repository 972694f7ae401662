"""An object that stops, as a frame shown twice makes it, keeps its segment (thesis fig. 3.9)."""

from dataclasses import replace

import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.data import SceneSource
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.metrics import jaccard

STOP = 2


def small(name, clip_length):
    config = get_config(name)
    return replace(
        config,
        data=replace(
            config.data,
            source="scenes:easy",
            split="",
            height=32,
            width=56,
            clip_length=clip_length,
            validation_clips=8,
        ),
        task=replace(
            config.task,
            network=replace(config.task.network, num_masks=2, widths=(8, 16, 32)),
            objective=replace(config.task.objective, consistency_ramp=50),
            augment=replace(config.task.augment, corruption_probability=1.0, still_share=1.0),
        ),
        optimizer=replace(config.optimizer, ema_decay=0.9, learning_rate=4e-3),
        steps=150,
        batch_size=4,
        picture_every=0,
        validate_every=50,
    )


@pytest.mark.slow
def test_the_segment_of_an_object_that_stops_is_kept(tmp_path):
    clips = SceneSource("easy", 5, (32, 56), seed=77, length=12)
    scores = {}
    for name, clip_length in (("em", 1), ("lt_ms", 5)):
        run_experiment(small(name, clip_length), tmp_path / name)
        segmenter = Segmenter.load(tmp_path / name)
        found = []
        for index in range(len(clips)):
            flow = clips[index]["flow"].copy()
            flow[STOP] = 0  # the same image twice: nothing moves, camera included
            foreground = segmenter(flow).argmax(-1)[STOP] == 1
            found.append(jaccard(clips[index]["labels"][STOP] > 0, foreground))
        scores[name] = float(np.mean(found))
    # Seen alone, a frame without motion has no segments.
    assert scores["em"] < 0.1
    assert scores["lt_ms"] > 0.5
