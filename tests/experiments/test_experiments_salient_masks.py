"""Scores of masks of single frames, by hand."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.experiments.salient_masks import mask_scores, score_adversarial
from jaxmotion.networks.config import NetworkConfig


def test_scores_of_masks_by_hand():
    moving = np.zeros((4, 20, 30), bool)
    moving[0, 4:10, 5:15] = moving[1, 4:10, 5:15] = True
    moving[3, 0, 0] = True  # too small to be salient
    truth = np.array([True, True, False, False])
    found = np.zeros_like(moving)
    found[0] = moving[0]
    found[1, 4:10, 5:10] = True  # the left half
    found[3, 15:, 20:] = True
    scores = mask_scores(found, moving, truth)
    assert scores["salient_iou"] == pytest.approx(0.75)
    assert scores["all_iou"] == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert scores["empty"] == 0.5
    # Of the 4 x 8 inner pixels the left half has 4 x 4.
    assert scores["inside"] == pytest.approx(0.75)


def test_an_outline_alone_covers_nothing_inside():
    moving = np.zeros((1, 20, 30), bool)
    moving[0, 4:12, 5:15] = True
    ring = moving.copy()
    ring[0, 5:11, 6:14] = False
    assert mask_scores(ring, moving, np.array([True]))["inside"] == 0


def test_a_network_is_scored_on_scenes_by_its_salient_masks():
    config = get_config("adversarial")
    network = NetworkConfig(widths=(4, 8), stem=1)
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, height=16, width=28),
        task=dataclasses.replace(config.task, network=network),
        evals=dataclasses.replace(config.evals, frames=8),
    )
    task = config.task.build(config.data)
    shapes = {"flow": np.zeros((1, 1, 16, 28, 2)), "valid": np.ones((1, 1, 16, 28))}
    scores = score_adversarial(config, task.init(jax.random.key(0), shapes), False)
    assert set(scores) == {"salient_iou", "all_iou", "empty", "inside"}
    assert 0 <= scores["salient_iou"] <= 1
    none = dataclasses.replace(config.evals, scenes="")
    assert score_adversarial(dataclasses.replace(config, evals=none), {}, False) == {}
