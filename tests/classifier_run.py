"""A run's folder with a frame classifier of random parameters, for what needs one that loads."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from jaxmotion.configs import get_config
from jaxmotion.networks.classifier_config import ClassifierConfig
from jaxmotion.options import to_json
from jaxmotion.training.checkpoints import Checkpoints
from jaxmotion.training.config import Config


def classifier_config(height: int = 16, width: int = 24) -> Config:
    config = get_config("nims")
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, height=height, width=width),
        task=dataclasses.replace(config.task, network=ClassifierConfig(widths=(4, 6, 8))),
    )


def write_classifier(folder: Path, bias: float = 0.0, seed: int = 0) -> Path:
    """Writes a run whose logits are shifted by a bias."""
    config = classifier_config()
    task = config.task.build(config.data)
    shapes = {"flow": jax.ShapeDtypeStruct((1, 1, 16, 24, 2), np.float32)}
    fresh = jax.eval_shape(task.init, jax.random.key(0), shapes)["params"]
    rng = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda leaf: jax.numpy.asarray(rng.normal(0, 0.3, leaf.shape), leaf.dtype), fresh
    )
    params["Dense_0"]["bias"] = jax.numpy.full(1, bias, np.float32)
    checkpoints = Checkpoints(folder, to_json(config))
    checkpoints.best.save(3, {"params": params}, {"loss": 0.5, "accuracy": 0.5})
    checkpoints.close()
    return folder
