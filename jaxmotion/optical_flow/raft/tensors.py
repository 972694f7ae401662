"""Named tensors of a weight file, whatever its kind: `.pth`, `.npz` or `.safetensors`.

The kind is told by the content, not by the name. No kind can run code here.
"""

import os

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import reading
from jaxmotion.optical_flow.npz import open_npz
from jaxmotion.optical_flow.raft.torch_files import is_torch_file, read_torch_file
from jaxmotion.tensors import read_safetensors


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the named tensors of a file.

    Args:
        path: weight file, a `.pth` of PyTorch, an `.npz`, or a `.safetensors`.

    Returns:
        The tensors by name.

    Raises:
        InputError: missing, truncated, damaged, of another kind, or with something else in it.
    """
    with reading(path), open(path, "rb") as file:
        head = file.read(256)
    if is_torch_file(path, head):
        return read_torch_file(path)
    if head[:2] == b"PK":
        return _read_npz(path)
    if head[8:9] == b"{":
        return read_safetensors(path)[0]
    raise InputError(
        f"{path}: not a weight file, expected a .pth of PyTorch, an .npz or a .safetensors"
    )


def _read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    with open_npz(path, "truncated or damaged, expected an .npz of arrays") as archive:
        return {name: archive.read(name) for name in archive.names}
