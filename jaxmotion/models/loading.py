"""A trained network from the folder of its run, from a file, or from those that are shipped."""

import hashlib
from pathlib import Path

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.models import shipped_models
from jaxmotion.models.files import read_model
from jaxmotion.models.trained import Trained, check_variables, flat_variables
from jaxmotion.training.config import read_config
from jaxmotion.training.kept import load_best


def find_trained(path_or_name: str | Path) -> Path:
    """Finds the folder or file of a trained network.

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
    best = load_best(path)
    config = read_config(path, best.config)
    check_variables(path, config, flat_variables(best.variables))
    collections = dict(best.variables)
    params = collections.pop("params")
    metrics = {f"validation_{name}": value for name, value in best.values.items()}
    return Trained(config, params, best.step, metrics, {}, collections)


class Loader:
    """Loads the networks that a task uses beside its own, and notes which they are.

    Attributes:
        fingerprints: SHA-256 digests of the networks loaded so far, by path or name.
    """

    def __init__(self) -> None:
        self.fingerprints: dict[str, str] = {}

    def __call__(self, path_or_name: str) -> Trained:
        """Loads a network as `load_trained` does, and notes its fingerprint."""
        trained = load_trained(path_or_name)
        digest = hashlib.sha256()
        for name, leaf in sorted(flat_variables(trained.variables).items()):
            digest.update(f"{name} {leaf.shape} {leaf.dtype}".encode())
            digest.update(np.ascontiguousarray(leaf).tobytes())
        self.fingerprints[path_or_name] = digest.hexdigest()
        return trained
