"""Grounds of aerial scenes: two families of procedural pictures, and pictures of a folder.

Scenes to train on are drawn over the first family, open country; those to test on over the other
one, fields and roofs, so that nothing is scored on a ground of the kind that it was trained on.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import list_files, reading

Ground = Callable[[np.random.Generator, int], np.ndarray]
"""Draws a square picture, float32 `[side, side, 3]` of mean about 0 and deviation about 1."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def country(rng: np.random.Generator, side: int) -> np.ndarray:
    """Open country: noise of many scales, strips of another shade, and trees.

    Args:
        rng: source of the random draws.
        side: rows and columns of the picture.
    """
    picture = _fractal(rng, side, rng.uniform(0.5, 0.9))
    y, x = np.mgrid[:side, :side].astype(np.float32)
    for _ in range(rng.integers(0, 4)):
        angle, width = rng.uniform(0, np.pi), rng.uniform(3, 25)
        across = (x - rng.uniform(0, side)) * np.cos(angle) + (y - rng.uniform(0, side)) * np.sin(
            angle
        )
        picture += _soft(width / 2 - np.abs(across))[..., None] * _shade(rng, 1.0)
    for _ in range(rng.poisson(side**2 / rng.uniform(800, 8000))):
        radius = rng.uniform(2, 9)
        center = rng.uniform(0, side, 2)
        _paint_disc(picture, center, radius, _shade(rng, 1.0) - 0.7, rng)
    return _standard(picture)


def fields(rng: np.random.Generator, side: int) -> np.ndarray:
    """Fields with rows of crops, each of its own shade, and rectangular roofs.

    Args:
        rng: source of the random draws.
        side: rows and columns of the picture.
    """
    y, x = np.mgrid[:side, :side].astype(np.float32)
    number = int(rng.integers(4, 20))
    centers = rng.uniform(0, side, (number, 2)).astype(np.float32)
    nearest = np.full((side, side), np.inf, np.float32)
    cell = np.zeros((side, side), int)
    for index, (column, row) in enumerate(centers):
        distance = (x - column) ** 2 + (y - row) ** 2
        cell[distance < nearest] = index
        nearest = np.minimum(nearest, distance)
    shades = np.stack([_shade(rng, 1.0) for _ in range(number)])
    angle, period = rng.uniform(0, np.pi, number), rng.uniform(4, 14, number)
    height = rng.uniform(0, 0.6, number)
    along = x * np.cos(angle)[cell] + y * np.sin(angle)[cell]
    rows = np.sin(2 * np.pi * along / period[cell]) * height[cell]
    picture = shades[cell] + rows[..., None] + 0.5 * _fractal(rng, side, rng.uniform(0.3, 0.6))
    for _ in range(rng.poisson(side**2 / 6000)):
        turn, center = rng.uniform(0, np.pi), rng.uniform(0, side, 2)
        half = rng.uniform(4, 16, 2)
        u = (x - center[0]) * np.cos(turn) + (y - center[1]) * np.sin(turn)
        v = (y - center[1]) * np.cos(turn) - (x - center[0]) * np.sin(turn)
        roof = _soft(np.minimum(half[0] - np.abs(u), half[1] - np.abs(v)))[..., None]
        picture = picture * (1 - roof) + roof * (_shade(rng, 1.5) + 0.5 * np.sign(u)[..., None])
    return _standard(picture.astype(np.float32))


def pictures(folder: str | Path) -> Ground:
    """Grounds that are parts of a folder's pictures, turned and enlarged at random.

    Args:
        folder: folder of pictures, of any size.

    Returns:
        The ground.

    Raises:
        InputError: no picture in it, or one that cannot be read.
    """
    folder = Path(folder)
    with reading(folder):
        files = sorted(list_files(folder, _SUFFIXES))
    if not files:
        raise InputError(f"{folder}: no pictures in this folder, expected PNG or JPEG files")
    known: dict[Path, np.ndarray] = {}

    def ground(rng: np.random.Generator, side: int) -> np.ndarray:
        file = files[rng.integers(len(files))]
        if file not in known:
            read = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if read is None:
                raise InputError(f"{file}: cannot be read, expected a picture")
            known[file] = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
        picture = known[file]
        height, width = picture.shape[:2]
        turn, scale = rng.uniform(0, 360), rng.uniform(0.7, 1.5)
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), turn, scale)
        matrix[:, 2] += matrix[:, :2] @ -rng.uniform(0, (width, height))
        flags = cv2.INTER_LINEAR
        part = cv2.warpAffine(
            picture, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        return _standard(part.astype(np.float32))

    return ground


def _fractal(rng: np.random.Generator, side: int, persistence: float) -> np.ndarray:
    """Noise of many scales; each is weaker than the next wider one by a factor."""
    picture = np.zeros((side, side, 3), np.float32)
    weight, cells = 1.0, 3
    while cells < side:
        gray = rng.normal(size=(cells, cells, 1)) + 0.25 * rng.normal(size=(cells, cells, 3))
        fine = cv2.resize(gray.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
        picture += np.float32(weight) * fine
        weight, cells = weight * persistence, cells * 2
    return picture


def _shade(rng: np.random.Generator, spread: float) -> np.ndarray:
    return (spread * rng.normal() + 0.25 * rng.normal(size=3)).astype(np.float32)


def _soft(inside: np.ndarray) -> np.ndarray:
    """Cover of a pixel by what begins at a signed distance of 0."""
    return np.clip(inside + 0.5, 0, 1)


def _paint_disc(
    picture: np.ndarray,
    center: np.ndarray,
    radius: float,
    shade: np.ndarray,
    rng: np.random.Generator,
) -> None:
    reach = int(radius) + 2
    left, top = (max(0, int(c) - reach) for c in center)
    part = picture[top : int(center[1]) + reach, left : int(center[0]) + reach]
    y, x = np.mgrid[: part.shape[0], : part.shape[1]]
    distance = np.hypot(x + left - center[0], y + top - center[1])
    cover = _soft(radius - distance)[..., None]
    part[:] = part * (1 - cover) + cover * (shade + 0.3 * rng.normal(size=part.shape))


def _standard(picture: np.ndarray) -> np.ndarray:
    return (picture - picture.mean()) / (picture.std() + 1e-3)
