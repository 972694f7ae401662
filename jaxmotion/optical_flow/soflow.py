"""SoFlow as an estimator of `make_estimator`: flow of small objects, large frames in tiles."""

import functools
import hashlib
import json
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from jaxmotion.errors import InputError
from jaxmotion.files import reading
from jaxmotion.networks.soflow.config import SoFlowConfig
from jaxmotion.networks.soflow.network import SoFlow
from jaxmotion.options import from_json
from jaxmotion.tensors import read_safetensors

TILE = 512
"""Rows and columns of a tile without its margin, in pixels; even."""

_SHIPPED = "models/soflow.safetensors"


class SoFlowEstimator:
    """SoFlow with the weights of a file.

    Frames larger than a tile with its margins are worked on tile by tile, so that the memory does
    not grow with the frame. A margin is as wide as what a vector depends on: the result is that of
    the whole frame.

    Attributes:
        name: "soflow".
        iterations: number of times that the flow is improved.
        tile: rows and columns of a tile.
    """

    name = "soflow"

    def __init__(
        self,
        weights: str | os.PathLike | None = None,
        iterations: int | None = None,
        tile: int = TILE,
    ):
        """Loads the weights.

        Args:
            weights: file that ``jaxmotion export`` wrote of a run of ``soflow``; None for the one
                that is shipped.
            iterations: number of times that the flow is improved, at least 1; None for that of the
                training.
            tile: rows and columns of a tile, even.

        Raises:
            InputError: no weights, weights of another network, or a wrong setting.
        """
        if iterations is not None and iterations < 1:
            raise InputError(f"iterations {iterations}: expected at least 1")
        if tile < 2 or tile % 2:
            raise InputError(f"tile {tile}: expected an even number")
        self.weights = Path(weights) if weights is not None else _shipped()
        config, params = read_soflow(self.weights)
        self.network, self.tile = SoFlow(config), tile
        self.iterations = config.iterations if iterations is None else iterations
        self.variables = jax.device_put({"params": params})
        with reading(self.weights), open(self.weights, "rb") as file:
            self.weights_hash = hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def settings(self) -> dict[str, Any]:
        """File and SHA-256 of the weights, and the number of iterations."""
        return {
            "weights": self.weights.name,
            "weights_sha256": self.weights_hash,
            "iterations": self.iterations,
        }

    def __call__(self, image0: np.ndarray, image1: np.ndarray) -> np.ndarray:
        """Estimates the flow from `image0` to `image1`, both uint8 `[H, W, 3]`."""
        if image0.shape != image1.shape:
            raise InputError(f"frames of {image0.shape} and {image1.shape}, expected one size")
        height, width = image0.shape[:2]
        even = ((0, height % 2), (0, width % 2), (0, 0))
        image0, image1 = (np.pad(image, even, mode="edge") for image in (image0, image1))
        margin = self.network.config.reach(self.iterations)
        margin += margin % 2
        size = (image0.shape[0], image0.shape[1])
        flow = np.zeros((*size, 2), np.float32)
        for rows in _pieces(size[0], self.tile, margin):
            for columns in _pieces(size[1], self.tile, margin):
                part = np.s_[None, rows.seen, columns.seen]
                found = _estimate(
                    self.network, self.iterations, self.variables, image0[part], image1[part]
                )
                flow[rows.kept, columns.kept] = np.asarray(found)[0, rows.inside, columns.inside]
        return flow[:height, :width]


class _Piece(NamedTuple):
    """A piece of one axis: what is seen, what of the frame is kept, and where that lies in it."""

    seen: slice
    kept: slice
    inside: slice


def _pieces(size: int, tile: int, margin: int) -> Iterator[_Piece]:
    """Cuts an axis into pieces of one length, or leaves it whole where it is no longer."""
    length = min(tile + 2 * margin, size)
    step = size if length == size else tile
    for start in range(0, size, step):
        first = min(max(start - margin, 0), size - length)
        end = min(start + step, size)
        yield _Piece(
            slice(first, first + length), slice(start, end), slice(start - first, end - first)
        )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _estimate(
    network: SoFlow, iterations: int, variables: Any, image0: jax.Array, image1: jax.Array
) -> Any:
    image0, image1 = (image.astype(np.float32) for image in (image0, image1))
    return network.apply(variables, image0, image1, iterations)


def read_soflow(path: str | os.PathLike) -> tuple[SoFlowConfig, dict[str, Any]]:
    """Reads the network of a file that ``jaxmotion export`` wrote.

    Args:
        path: the file, ``NAME.safetensors``.

    Returns:
        The sizes of the network and its parameters in float32.

    Raises:
        InputError: missing, damaged, or not of SoFlow.
    """
    if Path(path).is_dir():
        raise InputError(
            f"{path}: a folder, expected a file: jaxmotion export {path} --out soflow.safetensors"
        )
    tensors, metadata = read_safetensors(path)
    expected = f"{path}: no weights of SoFlow, expected what `jaxmotion export` wrote of such a run"
    try:
        task = json.loads(metadata["jaxmotion"])["config"]["task"]
        if task["kind"] != "soflow":
            raise InputError(f"{path}: trained for {task['kind']}, expected a run of soflow")
        config = from_json(SoFlowConfig, task["network"], "network")
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(expected) from error
    image = jax.ShapeDtypeStruct((1, 16, 16, 3), np.float32)
    shapes = jax.eval_shape(SoFlow(config).init, jax.random.key(0), image, image)["params"]
    flat: Any = traverse_util.flatten_dict(shapes, sep="/")
    wanted = {name: tuple(leaf.shape) for name, leaf in flat.items()}
    if {name: tensor.shape for name, tensor in tensors.items()} != wanted:
        raise InputError(expected)
    params = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
    if not all(np.isfinite(tensor).all() for tensor in params.values()):
        raise InputError(f"{path}: holds NaN or infinity")
    return config, traverse_util.unflatten_dict(params, sep="/")


def _shipped() -> Path:
    """The weights that come with the package."""
    path = Path(str(resources.files("jaxmotion") / _SHIPPED))
    if not path.is_file():
        raise InputError(
            "estimator soflow needs weights: train them, python train.py soflow, then jaxmotion "
            "export runs/soflow --out soflow.safetensors, and give --weights soflow.safetensors"
        )
    return path
