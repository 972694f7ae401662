"""A trained network from the folder of its run, from a file, or from those that are shipped."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.mirror import local_copy, named
from jaxmotion.models import shipped_models
from jaxmotion.models.files import SUFFIX, read_model
from jaxmotion.models.trained import Trained, check_variables, flat_variables
from jaxmotion.stores import file_system, is_url, talking_to
from jaxmotion.training.config import read_config
from jaxmotion.training.kept import load_best
from jaxmotion.training.storage import COMMIT_MARK

_Made = TypeVar("_Made")


def find_trained(path_or_name: str | Path) -> Path:
    """Finds the folder or file of a trained network.

    Args:
        path_or_name: a path, a place in a store (``gs://...``), or the name of a shipped model. A
            path that exists goes first.

    Returns:
        A path that exists; of what is in a store, that of a copy.

    Raises:
        InputError: where there is none.
    """
    if is_url(path_or_name):
        return _fetched(os.fspath(path_or_name))
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
            ``jaxmotion export`` wrote; either may be in a store; or the name of a shipped model
            (`find_trained`).

    Raises:
        InputError: where there is no readable network.
    """
    path = find_trained(path_or_name)
    with named(path, path_or_name):
        return _load(path, path_or_name)


def load_as(path_or_name: str | Path, make: Callable[[Trained], _Made]) -> _Made:
    """Makes something of a trained network; what is wrong with that names the network.

    Args:
        path_or_name: what `load_trained` takes.
        make: function of the trained network.

    Raises:
        InputError: no such network, or one that `make` cannot use.
    """
    trained = load_trained(path_or_name)
    try:
        return make(trained)
    except InputError as error:
        raise InputError(f"{path_or_name}: {error}") from error


def _fetched(url: str) -> Path:
    """A copy of a model file with its parts, or of what is kept of a run."""
    url = url.rstrip("/")
    if not url.endswith(SUFFIX):
        return local_copy(url.removesuffix("/best"), _kept)
    system, place = file_system(url)
    number = 2
    while True:
        part = f".part{number}{SUFFIX}"
        with talking_to(url):
            if not system.exists(place.removesuffix(SUFFIX) + part):
                return local_copy(url)
        local_copy(url.removesuffix(SUFFIX) + part)
        number += 1


def _kept(names: list[str]) -> list[str]:
    """What is kept of a run, without what Orbax was still writing when the run was killed."""
    best = [name for name in names if name.startswith("best/")]
    marks = [n for n in best if n.count("/") == 2 and n.endswith(f"/{COMMIT_MARK}")]
    whole = tuple(mark.removesuffix(COMMIT_MARK) for mark in marks)
    best = [name for name in best if not whole or name.startswith(whole)]
    return best + [name for name in names if name in ("summary.json", "config.json")]


def _load(path: Path, path_or_name: str | Path) -> Trained:
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
