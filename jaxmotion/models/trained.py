"""A trained network from the folder of its run, from a file, or from those that are shipped."""

from pathlib import Path

from flax.traverse_util import flatten_dict

from jaxmotion.errors import InputError
from jaxmotion.models import shipped_models
from jaxmotion.models.files import Trained, check_params, read_model
from jaxmotion.training.checkpoints import load_best
from jaxmotion.training.config import read_config

__all__ = ["Trained", "find_trained", "load_trained"]


def find_trained(path_or_name: str | Path) -> Path:
    """Where a trained network is.

    Args:
        path_or_name: a path, or the name of a shipped model. A path that exists goes first.

    Returns:
        A path that exists.

    Raises:
        InputError: where there is none.
    """
    path, shipped = Path(path_or_name), shipped_models()
    if path.exists():
        return path
    if str(path_or_name) in shipped:
        return shipped[str(path_or_name)]
    raise InputError(
        f"no checkpoint {str(path_or_name)!r}: expected the folder of a training run (`python "
        "train.py` makes one), a .safetensors file, or the name of a shipped model "
        f"({', '.join(shipped) or 'none is installed'})"
    )


def load_trained(path_or_name: str | Path) -> Trained:
    """Loads a trained network; of a run, the parameters of the lowest validation loss.

    Args:
        path_or_name: the folder that ``train.py`` wrote, or its ``best`` folder; a file that
            ``jaxmotion export`` wrote; or the name of a shipped model (`find_trained`).

    Raises:
        InputError: where there is no readable network.
    """
    path = find_trained(path_or_name)
    if path.is_file():
        return read_model(path)
    while path.name and not (path / "best").is_dir() and "best" in path.parts:
        path = path.parent
    if str(path_or_name) in shipped_models() and not (path / "best").is_dir():
        raise InputError(
            f"{path}: a folder without a checkpoint, which hides the shipped model of that name"
        )
    params, values, step, loss = load_best(path)
    config = read_config(path, values)
    check_params(path, config, flatten_dict(params, sep="/"))
    return Trained(config, params, step, {"validation_loss": loss}, {})
