"""Scores of flow on fixed aerial pairs: what moves, around it, and the rest."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from jaxmotion.experiments.scenes import TEST_SEED
from jaxmotion.metrics.flow import FlowErrors, flow_errors
from jaxmotion.optical_flow.estimators import DIS
from jaxmotion.scenes.aerial import AerialPair, draw_pair
from jaxmotion.scenes.aerial_config import AERIAL
from jaxmotion.scenes.grounds import fields
from jaxmotion.tasks.task import Variables
from jaxmotion.training.config import Config

SIZE = (192, 192)
"""Height and width of the pairs that flow is scored on."""


def aerial_pairs(count: int, seed: int = TEST_SEED, level: str = "default") -> list[AerialPair]:
    """Draws pairs that no run trains on, over grounds that no run has seen.

    Args:
        count: number of pairs.
        seed: seed of the pairs.
        level: name of the distribution in `jaxmotion.scenes.aerial_config.AERIAL`.
    """
    numbers = (seed * 2**32 + number for number in range(count))
    return [draw_pair(AERIAL[level], *SIZE, seed=number, ground=fields) for number in numbers]


def pair_errors(
    estimate: Callable[[np.ndarray, np.ndarray], np.ndarray], pairs: Sequence[AerialPair]
) -> FlowErrors:
    """Errors of an estimator over all pairs.

    Args:
        estimate: function from two frames to flow, as `Estimator` has it.
        pairs: pairs of one size.
    """
    flows = np.stack([estimate(*pair.frames) for pair in pairs])
    truth, moving = np.stack([p.flow for p in pairs]), np.stack([p.moving for p in pairs])
    return flow_errors(flows, truth, moving)


def score_flow(config: Config, variables: Variables, baselines: bool) -> dict[str, float]:
    """Scores SoFlow on pairs that no run trains on.

    Args:
        config: configuration of the run; ``evals.frames`` pairs are drawn where it trains on aerial
            scenes and ``evals.scenes`` is "same".
        variables: variables of the trained network, by collection.
        baselines: whether to score DIS and no flow beside it.

    Returns:
        The `FlowErrors` by name: ``flow_moving``, ``flow_within``, ... None without aerial scenes.
    """
    if config.evals.scenes != "same" or not config.data.source.startswith("aerial:"):
        return {}
    pairs = aerial_pairs(config.evals.frames)
    predict = jax.jit(config.task.build(config.data).predict)

    def network(image0: np.ndarray, image1: np.ndarray) -> np.ndarray:
        frames = np.stack([image0, image1])[None]
        return np.asarray(predict(variables, {"frames": frames})["flow"])[0]

    methods = {"flow": network}
    if baselines:
        methods |= {"dis": DIS(), "no_flow": lambda image0, _: np.zeros((*image0.shape[:2], 2))}
    return {
        f"{name}_{kind}": value
        for name, method in methods.items()
        for kind, value in pair_errors(method, pairs)._asdict().items()
    }
