"""Named arrays and a note in one ``.safetensors`` file. Nothing in such a file can run.

References:
    https://huggingface.co/docs/safetensors
"""

import os
from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading


def read_safetensors(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads a ``.safetensors`` file.

    Args:
        path: the ``.safetensors`` file.

    Returns:
        The arrays by name, bfloat16 as float32, and the metadata, empty where there is none.

    Raises:
        InputError: missing, truncated, damaged or of another kind.
    """
    with reading(path), open(path, "rb"):
        pass  # the system's own words, which the library has not
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: _known_to_numpy(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(f"{path}: truncated or damaged, expected a .safetensors file") from error


def write_safetensors(
    path: str | os.PathLike, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes a ``.safetensors`` file, whole or not at all.

    Args:
        path: the ``.safetensors`` file.
        tensors: arrays by name.
        metadata: notes by name. The order of several is not kept, that of one is no question.

    Raises:
        InputError: the file cannot be written there.
    """
    # The library takes the memory as it lies; `asarray` with an order leaves scalars scalars.
    rows = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    with atomic_path(path, durable=True) as temporary:
        Path(temporary).write_bytes(save(rows, dict(metadata)))


def _known_to_numpy(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array
