"""The official weights of RAFT in the user's cache: fetched when asked for, verified, removed.

The files are torchvision's copies of the weights that RAFT's authors published, under the hash that
is in their names; the authors' own files are taken as well. Neither come with this package.

References:
    torchvision's `Raft_Large_Weights` and `Raft_Small_Weights`, the versions V1.
    https://github.com/princeton-vl/RAFT (its `download_models.sh`).
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from jaxmotion.downloads import download, wrong_digest
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.locks import locked
from jaxmotion.user_cache import user_cache

_BASE = "https://download.pytorch.org/models"


@dataclass(frozen=True)
class Weights:
    """A published file.

    Attributes:
        name: name of the weights here, and of the authors' file.
        estimator: name in `ESTIMATORS` of the network that they are for.
        file: name of torchvision's file, which ends in the first digits of its SHA-256.
        megabytes: size of the file.
        trained_on: data sets that the network was trained on; their licenses may have a say in what
            the weights may be used for.
        published: SHA-256 of the authors' own file; empty where it is not known.
    """

    name: str
    estimator: str
    file: str
    megabytes: float
    trained_on: str
    published: str = ""

    @property
    def url(self) -> str:
        """The address that it is downloaded from."""
        return f"{_BASE}/{self.file}"

    @property
    def digests(self) -> tuple[str, ...]:
        """Digests of torchvision's file and of the authors', for `jaxmotion.downloads.download`."""
        prefix = self.file.rpartition("-")[2].removesuffix(".pth")
        return tuple(f"sha256:{digest}" for digest in (prefix, self.published) if digest)

    @property
    def path(self) -> Path:
        """The place of the file in the user's cache, whether it is there or not."""
        return user_cache("weights") / f"{self.name}.pth"


OFFICIAL = {
    weights.name: weights
    for weights in (
        Weights(
            "raft-sintel",
            "raft",
            "raft_large_C_T_SKHT_V1-0b8c9e55.pth",
            20.1,
            "FlyingChairs, FlyingThings3D, Sintel, KITTI, HD1K",
            "90630d2e7d488a0d3ccb5e8194524850c4c05c732ea4ff99799822c7fa5c5cbf",
        ),
        Weights(
            "raft-things",
            "raft",
            "raft_large_C_T_V1-22a6c225.pth",
            20.1,
            "FlyingChairs, FlyingThings3D",
        ),
        Weights(
            "raft-kitti",
            "raft",
            "raft_large_C_T_SKHT_K_V1-4a6a5039.pth",
            20.1,
            "those of raft-sintel, then KITTI",
        ),
        Weights(
            "raft-small",
            "raft_small",
            "raft_small_C_T_V1-ad48884c.pth",
            3.8,
            "FlyingChairs, FlyingThings3D",
            "c7d41b9cc88442bb8aa911dbb33086dac55a226394b142937ff22d5578717332",
        ),
    )
}
"""By name; the first of an estimator is the one it takes by default."""


def find(name: str) -> Weights:
    """The official weights of a name.

    Raises:
        InputError: there are none.
    """
    if name not in OFFICIAL:
        raise InputError(f"weights {name!r}: unknown, expected one of {', '.join(OFFICIAL)}")
    return OFFICIAL[name]


def default_weights(estimator: str) -> Weights:
    """The weights that an estimator takes by default: "raft", "raft_small"."""
    return next(weights for weights in OFFICIAL.values() if weights.estimator == estimator)


def fetch(name: str, url: str | None = None) -> Path:
    """Downloads official weights into the user's cache, unless they are there.

    Where another process does so at this moment, it is waited for.

    Args:
        name: name of the weights, one of `OFFICIAL`.
        url: address of a mirror, whose file has to be the same; None for torchvision's.

    Returns:
        The file.

    Raises:
        InputError: an unknown name, no connection, no such file there, or one of another hash.
    """
    weights = find(name)
    advice = f"download it elsewhere and give it to `jaxmotion weights fetch {name} --file FILE`"
    with locked(weights.path.parent, weights.path.name, wait=True):
        return download(url or weights.url, weights.path, weights.digests, advice)


def take(name: str, file: Path) -> Path:
    """Copies a file of official weights into the user's cache.

    Args:
        name: name of the weights, one of `OFFICIAL`.
        file: file to copy, torchvision's file, or the authors'.

    Returns:
        The file in the cache.

    Raises:
        InputError: an unknown name, or a file that cannot be read or is another one.
    """
    weights = find(name)
    with reading(file):
        found = wrong_digest(file, weights.digests)
        if found:
            raise InputError(
                f"{file}: its digest is {found}, expected {' or '.join(weights.digests)}"
            )
        with (
            locked(weights.path.parent, weights.path.name, wait=True),
            atomic_path(weights.path, durable=True) as temporary,
        ):
            shutil.copyfile(file, temporary)
    return weights.path


def verify(name: str) -> Path:
    """Reads cached weights once more, and compares their hash.

    Args:
        name: name of the weights, one of `OFFICIAL`.

    Returns:
        The file.

    Raises:
        InputError: an unknown name, or a file that is not there or has changed.
    """
    weights = find(name)
    if not weights.path.is_file():
        raise InputError(f"{weights.path}: not there; `jaxmotion weights fetch {name}` gets it")
    with reading(weights.path):
        found = wrong_digest(weights.path, weights.digests)
    if found:
        raise InputError(
            f"{weights.path}: its digest is {found}, expected {' or '.join(weights.digests)}; "
            f"`jaxmotion weights remove {name}`, then fetch it anew"
        )
    return weights.path


def remove(name: str) -> Path:
    """Removes weights from the user's cache, and what a download of them left.

    Args:
        name: name of the weights, one of `OFFICIAL`.

    Returns:
        The file that was there.

    Raises:
        InputError: an unknown name, or a file that is not there.
    """
    path = find(name).path
    parts = [place for place in (path, path.with_name(f"{path.name}.part")) if place.exists()]
    if not parts:
        raise InputError(f"{path}: not there, so that there is nothing to remove")
    with locked(path.parent, path.name, wait=True):
        for place in parts:
            place.unlink(missing_ok=True)
    return path


def format_table() -> str:
    """A line for each of `OFFICIAL`: name, estimator, size, whether it is there, what it is of."""
    rows = [("name", "estimator", "MB", "cached", "trained on")]
    for weights in OFFICIAL.values():
        there = "yes" if weights.path.is_file() else "no"
        rows.append(
            (weights.name, weights.estimator, f"{weights.megabytes}", there, weights.trained_on)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(f"{c:{w}}" for c, w in zip(row, widths, strict=False)), row[4]])
        for row in rows
    )
