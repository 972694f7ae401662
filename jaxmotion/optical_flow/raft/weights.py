"""Published weights as variables of the network: official names, or torchvision's.

References:
    Weights: https://github.com/princeton-vl/RAFT (its `download_models.sh`).
"""

import functools
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from jaxmotion.errors import InputError
from jaxmotion.networks.raft.network import LARGE, RAFT, SMALL, SMALLEST_SIDE, Architecture
from jaxmotion.optical_flow.raft.tensors import read_tensors

NAMES = {LARGE: "large", SMALL: "small"}

# torchvision's names, piece by piece, to the official ones.
_TORCHVISION = [
    (r"^feature_encoder\.", "fnet."),
    (r"^context_encoder\.", "cnet."),
    (r"^(.net)\.conv\.", r"\1.conv2."),
    (r"\.convnormrelu(\d?)\.0\.", lambda match: f".conv{match[1] or 1}."),
    (r"\.convnormrelu(\d?)\.1\.", lambda match: f".norm{match[1] or 1}."),
    (r"\.motion_encoder\.convcorr(\d)\.0\.", r".encoder.convc\1."),
    (r"\.motion_encoder\.convflow(\d)\.0\.", r".encoder.convf\1."),
    (r"\.motion_encoder\.conv\.0\.", ".encoder.conv."),
    (r"\.recurrent_block\.convgru(\d)\.conv(.)\.", r".gru.conv\2\1."),
    (r"^mask_predictor\.convrelu\.0\.", "update_block.mask.0."),
    (r"^mask_predictor\.conv\.", "update_block.mask.2."),
]
# The official files hold the norm of a projection twice, and count batches.
_NOT_NEEDED = re.compile(r"num_batches_tracked$|\.norm[34]\.[a-z_]+$")


def load_weights(path: str | os.PathLike, architecture: Architecture) -> dict[str, Any]:
    """Reads a weight file.

    Args:
        path: weight file, a `.pth`, `.npz` or `.safetensors` file with the names of the official
            weights or of torchvision's.
        architecture: network that it must be of.

    Returns:
        The variables of `RAFT(architecture)`: "params", and "batch_stats" where it has norms with
        kept statistics. float32.

    Raises:
        InputError: missing, damaged, with code in it, or not the weights of this network.
    """
    tensors = _official_names(read_tensors(path))
    _check_architecture(path, tensors, architecture)
    found = _Tensors(path, tensors)
    flat = {
        key: _variable(found, architecture, key[1:], leaf.shape)
        for key, leaf in _shapes(architecture).items()
    }
    found.check_rest()
    return traverse_util.unflatten_dict(flat)


@functools.cache
def _shapes(architecture: Architecture) -> dict[tuple[str, ...], Any]:
    image = jax.ShapeDtypeStruct((1, SMALLEST_SIDE, SMALLEST_SIDE, 3), np.float32)
    variables = jax.eval_shape(RAFT(architecture).init, jax.random.key(0), image, image)
    return traverse_util.flatten_dict(variables)  # pyright: ignore[reportReturnType]


def _official_names(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    renamed = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("module.")
        for pattern, replacement in _TORCHVISION:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    if "update_block.gru.convz2.weight" not in renamed:  # one unit: the official one has no number
        renamed = {
            re.sub(r"\.gru\.conv(.)1\.", r".gru.conv\1.", name): tensor
            for name, tensor in renamed.items()
        }
    return renamed


def _check_architecture(path, tensors: Iterable[str], architecture: Architecture) -> None:
    marks = {LARGE: "update_block.gru.convz1.weight", SMALL: "update_block.gru.convz.weight"}
    holds = next((known for known, mark in marks.items() if mark in tensors), None)
    if holds is not None and holds != architecture:
        raise InputError(
            f"{path}: weights of the {NAMES[holds]} RAFT network, "
            f"expected those of the {NAMES[architecture]} one"
        )


class _Tensors:
    """The tensors of a file, checked as they are taken."""

    def __init__(self, path: str | os.PathLike, tensors: Mapping[str, np.ndarray]):
        self.path, self.tensors, self.taken = path, tensors, set()

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Takes a tensor as float32; a kernel as `[y, x, in, out]`.

        Args:
            name: name of the tensor in the file.
            shape: shape that it must have.
        """
        if name not in self.tensors:
            raise InputError(f"{self.path}: has no tensor {name!r}, expected weights of RAFT")
        tensor = self.tensors[name]
        expected = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
        if tensor.shape != expected:
            raise InputError(f"{self.path}: {name} is {tensor.shape}, expected {expected}")
        if tensor.dtype.kind != "f" or not np.isfinite(tensor).all():
            raise InputError(
                f"{self.path}: {name} holds integers, NaN or infinity, expected finite floats"
            )
        self.taken.add(name)
        tensor = tensor.transpose(2, 3, 1, 0) if len(shape) == 4 else tensor
        return np.ascontiguousarray(tensor, np.float32)

    def check_rest(self) -> None:
        """Refuses a file of a network that has more than RAFT."""
        strange = sorted(set(self.tensors) - self.taken)
        strange = [name for name in strange if not _NOT_NEEDED.search(name)]
        if strange:
            raise InputError(f"{self.path}: holds {strange[0]!r}, which RAFT does not have")


def _variable(
    tensors: _Tensors, architecture: Architecture, path: tuple[str, ...], shape: tuple[int, ...]
) -> np.ndarray:
    """The value of the variable at `path`."""
    module, leaf = ".".join(path[:-1]), path[-1]
    kind = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    suffix = kind.get(leaf, leaf)
    if module.startswith("update.gru_"):
        unit, part = path[1], path[2]
        # The official names number the units from 1, and not at all where there is only one.
        number = str(int(unit.removeprefix("gru_")) + 1) if len(architecture.kernels) > 1 else ""
        return _gru(tensors, architecture, part, f"{number}.{suffix}", shape)
    return tensors.take(f"{_official_module(module)}.{suffix}", shape)


def _official_module(module: str) -> str:
    """`cnet.layer2_0.downsample_norm.statistics` to `cnet.layer2.0.downsample.1`, and so on."""
    rules = [
        (r"\.statistics$", ""),
        (r"\.layer(\d)_(\d)\.", r".layer\1.\2."),
        (r"\.downsample$", ".downsample.0"),
        (r"\.downsample_norm$", ".downsample.1"),
        (r"^update\.head(\d)$", r"update_block.flow_head.conv\1"),
        (r"^update\.conv", "update_block.encoder.conv"),
        (r"^mask\.conv1$", "update_block.mask.0"),
        (r"^mask\.conv2$", "update_block.mask.2"),
    ]
    for pattern, replacement in rules:
        module = re.sub(pattern, replacement, module)
    return module


def _gru(
    tensors: _Tensors, architecture: Architecture, part: str, suffix: str, shape: tuple[int, ...]
) -> np.ndarray:
    """The share of state and motion, or of the context, in the kernels of a recurrent unit.

    The published kernels take (state, context, motion), for each of update gate z, reset gate r
    and candidate q; ours are described at `GRU`.
    """
    a = architecture
    letters = {"context": "zrq", "gates": "zr", "candidate": "q"}[part]
    inputs = a.hidden + a.context + a.motion_features + 2
    published = (a.hidden,) if len(shape) == 1 else (*shape[:2], inputs, a.hidden)
    pieces = [tensors.take(f"update_block.gru.conv{x}{suffix}", published) for x in letters]
    value = np.concatenate(pieces, axis=-1)
    if len(shape) == 1:
        return value
    state, context, motion = np.split(value, [a.hidden, a.hidden + a.context], axis=2)
    return context if part == "context" else np.concatenate([state, motion], axis=2)
