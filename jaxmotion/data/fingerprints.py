"""Fingerprints of flow in files, which tell it from other flow without reading all of it.

An `.npz` notes the checksum of each of its arrays, so that any change shows. Of other files a few
blocks are looked at, which no other flow has. Neither depends on a file's name, place and date.
"""

import hashlib
import os
from pathlib import Path

import numpy as np

from jaxmotion.files import reading
from jaxmotion.optical_flow.npz import open_npz

_BLOCK, _NUM_BLOCKS = 4096, 16


def file_fingerprint(path: Path) -> bytes:
    """Tells the content of a file of flow, or of records, from that of others.

    Args:
        path: file of flow, or of records.

    Returns:
        16 bytes.

    Raises:
        InputError: it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    if path.suffix.lower() == ".npz":
        with open_npz(path, "damaged, expected an .npz file of flow") as archive:
            for name in ("flow", "valid"):
                if name in archive.names:
                    digest.update(repr((name, archive.checksum(name))).encode())
        return digest.digest()
    with reading(path), open(path, "rb") as file:
        length = os.fstat(file.fileno()).st_size
        digest.update(str(length).encode())
        if length <= _BLOCK * _NUM_BLOCKS:
            digest.update(file.read())
        else:
            for start in np.linspace(0, length - _BLOCK, _NUM_BLOCKS).astype(int).tolist():
                file.seek(start)
                digest.update(file.read(_BLOCK))
    return digest.digest()


def content_fingerprint(flow: np.ndarray, valid: np.ndarray | None) -> bytes:
    """Tells flow from other flow by all its numbers, as earlier versions noted it in checkpoints.

    Args:
        flow: `[T, H, W, 2]`, as stored.
        valid: bool `[T, H, W]`, where it is known; None where all of it is valid.

    Returns:
        16 bytes.
    """
    digest = hashlib.blake2b(repr((flow.shape, flow.dtype.str)).encode(), digest_size=16)
    known = np.ones(flow.shape[:-1], bool) if valid is None else valid > 0
    for array in (flow, np.packbits(known)):
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()
