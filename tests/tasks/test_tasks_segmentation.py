from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.scenes import LEVELS, generate
from jaxmotion.tasks.segmentation import SegmentationTask

HEIGHT, WIDTH = 24, 40


@pytest.fixture(scope="module")
def batch():
    flow = np.stack([generate(LEVELS["default"], 2, HEIGHT, WIDTH, seed=s).flow for s in (0, 1)])
    valid = np.ones(flow.shape[:-1], np.float32)
    valid[0, :, :5] = 0
    return {"flow": flow, "valid": valid}


def task_with(**objective):
    config = get_config("quickstart")
    network = replace(config.task.network, widths=(8, 16))
    objective = replace(config.task.objective, **objective)
    return SegmentationTask(network, config.task.motion, config.task.augment, objective=objective)


def test_the_prior_costs_what_it_says(batch):
    plain = task_with(foreground_cost=0.0)
    costly = task_with(foreground_cost=0.7, border_cost=3.0)
    variables = plain.init(jax.random.key(0), batch)
    losses = [
        task.loss(variables, batch, step=np.zeros(()), key=None).loss for task in (plain, costly)
    ]

    masks = plain.masks(variables["params"], plain.observe(batch))
    foreground = 1 - np.asarray(masks, np.float64)[..., 0]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.maximum(abs(2 * rows / (HEIGHT - 1) - 1), abs(2 * columns / (WIDTH - 1) - 1))
    cost = (0.7 + 3 * distance**4) * foreground * batch["valid"]
    expected = cost.sum(axis=(1, 2, 3)) / batch["valid"].sum(axis=(1, 2, 3))
    np.testing.assert_allclose(losses[1] - losses[0], expected, rtol=1e-4)
