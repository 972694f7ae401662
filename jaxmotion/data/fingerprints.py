"""Fingerprints of flow in files, which tell it from other flow. None is of names, places and dates.

An `.npz` notes the checksum of each of its arrays. Of other files, `file_fingerprint` looks at a
few blocks, which no other flow has. `whole_fingerprint` has read every byte, so that one vector
that was changed shows as well; it keeps what it found, and reads a file again only where its size
or its date has changed.
"""

import hashlib
import json
import os
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.npz import open_npz
from jaxmotion.user_cache import user_cache

_BLOCK, _NUM_BLOCKS = 4096, 16
_CHUNK = 2**20
# A file that was written in these last nanoseconds may be written again at the same date.
_FRESH = 2 * 10**9


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


def whole_fingerprint(paths: Sequence[Path]) -> bytes:
    """Tells all bytes of files of flow, or of records, from those of others.

    What was found of a file is kept in the user's cache, by the file's size and date.

    Args:
        paths: files of flow, or of records, of one folder.

    Returns:
        16 bytes.

    Raises:
        InputError: one cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        if path.suffix.lower() == ".npz":
            digest.update(file_fingerprint(path))
    others = [path for path in paths if path.suffix.lower() != ".npz"]
    if others:
        digest.update(repr([list(found) for found in _checksums(others)]).encode())
    return digest.digest()


def _checksums(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Size and checksum of each of some files of one folder."""
    folder = paths[0].parent.resolve()
    named = hashlib.blake2b(os.fsencode(folder), digest_size=16).hexdigest()
    kept = user_cache("checksums") / f"{named}.json"
    known = {}
    with suppress(OSError, ValueError):
        known = json.loads(kept.read_text(encoding="utf-8"))
    stamps = []
    for path in paths:
        with reading(path):
            status = path.stat()
        stamps.append([status.st_size, status.st_mtime_ns])
    new = [p for p, stamp in zip(paths, stamps, strict=True) if known.get(p.name, [])[:2] != stamp]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        bar = tqdm(pool.map(_checksum, new), "checksums", len(new), delay=2, leave=False)
        found = {path.name: checksum for path, checksum in zip(new, bar, strict=True)}
    sums = [found[p.name] if p.name in found else known[p.name][2] for p in paths]
    now = time.time_ns()
    lasting = {
        path.name: [*stamp, checksum]
        for path, stamp, checksum in zip(paths, stamps, sums, strict=True)
        if stamp[1] < now - _FRESH
    }
    if found.keys() & lasting.keys():
        with suppress(InputError), atomic_path(kept) as temporary:  # it only saves time
            temporary.write_text(json.dumps(known | lasting), encoding="utf-8")
    return [(stamp[0], checksum) for stamp, checksum in zip(stamps, sums, strict=True)]


def _checksum(path: Path) -> int:
    checksum = 0
    with reading(path), open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


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
