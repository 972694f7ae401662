"""A trained network from the folder of its run."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.networks import build_segmenter
from jaxmotion.training.checkpoints import load_best
from jaxmotion.training.config import Config, from_json
from jaxmotion.training.task import Params


class Trained(NamedTuple):
    """The kept parameters of a run.

    Attributes:
        config: the configuration that they were trained with.
        params: parameters of its network.
        step: the training step they are from.
    """

    config: Config
    params: Params
    step: int


def load_trained(path_or_name: str | Path) -> Trained:
    """Loads the parameters of the lowest validation loss of a run.

    Args:
        path_or_name: the folder that ``train.py`` wrote, or its ``best`` folder.

    Raises:
        InputError: where there is no readable checkpoint of a segmenter.
    """
    path = Path(path_or_name)
    if not path.exists():
        raise InputError(
            f"no checkpoint {str(path_or_name)!r}: expected the folder of a training run; "
            "`python train.py` trains a first one into runs/quickstart"
        )
    while path.name and not (path / "best").is_dir() and "best" in path.parts:
        path = path.parent
    params, values, step = load_best(path)
    config = from_json(Config, values)
    _check_params(path, config, params)
    return Trained(config, params, step)


def _check_params(path: Path, config: Config, params: Any) -> None:
    """A network that has changed since, or a damaged checkpoint, shows here and not in a layer."""
    clip = jax.ShapeDtypeStruct((1, 1, config.data.height, config.data.width, 2), np.float32)
    init = build_segmenter(config.network).init
    expected = jax.eval_shape(init, jax.random.key(0), clip)["params"]
    shapes, wanted = (
        {jax.tree_util.keystr(k): leaf.shape for k, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (params, expected)
    )
    different = sorted(
        name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name)
    )
    if different:
        name = different[0]
        raise InputError(
            f"{path}: holds parameters of another network; {name} has shape {shapes.get(name)}, "
            f"expected {wanted.get(name)}"
        )
