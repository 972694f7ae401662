"""Small archives in the layouts of the originals, drawn by rule, and the command that builds."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

SIZE = (48, 64)
FLOW_SIZE = (6, 8)


def frame(t: int, seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Smooth texture that moves by 2 pixels to the right per frame."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[0], size[1] + 40, 3), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)  # pyright: ignore
    return smooth[:, 40 - 2 * t : 40 - 2 * t + size[1]]


def mask(t: int, value: int = 255, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A block that moves."""
    labels = np.zeros(size, np.uint8)
    labels[5:20, 10 + t : 30 + t] = value
    return labels


def write(path: Path, picture: np.ndarray) -> None:
    """Writes a picture, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def write_flow(path: Path, count: int, seed: int, dtype: type = np.float16) -> np.ndarray:
    """Writes an .npz of random flow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flow = np.random.default_rng(seed).normal(0, 3, (count, *FLOW_SIZE, 2)).astype(dtype)
    np.savez_compressed(path, flow=flow)
    return flow


def make_davis(
    root: Path,
    splits: dict[str, Sequence[str]],
    num_frames: int = 4,
    pairs: bool = True,
) -> None:
    """DAVIS 2016 as in its archive, with flow beside it."""
    names = [name for names in splits.values() for name in names]
    for seed, name in enumerate(names):
        for t in range(num_frames):
            write(root / f"JPEGImages/480p/{name}/{t:05d}.jpg", frame(t, seed))
            write(root / f"Annotations/480p/{name}/{t:05d}.png", mask(t))
        write_flow(root / f"Flows/made/{name}.npz", num_frames - 1, seed)
    for split, members in splits.items():
        lines = []
        for name in members:
            for t in range(num_frames) if pairs else (0,):
                file = f"480p/{name}/{t:05d}"
                pair = f"/JPEGImages/{file}.jpg /Annotations/{file}.png"
                lines.append(pair if pairs else name)
        for folder in ("480p", "1080p") if pairs else (".",):  # the original has both
            path = root / "ImageSets" / folder / f"{split}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def build(capfd):
    """Runs `python -m jaxmotion_datasets build`; gives its exit status and the lines it printed."""
    from jaxmotion_datasets.__main__ import build_datasets

    from jaxmotion.cli import run_command

    def run(name: str, manual_dir: Path, data_dir: Path, *options: str) -> tuple[int, str, str]:
        words = ["build", name, "--manual-dir", str(manual_dir), "--data-dir", str(data_dir)]
        status = run_command(build_datasets, [*words, *options])
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return run


def records(folder: Path, split: str) -> dict[str, dict]:
    """The records of a split by name."""
    import tensorflow_datasets as tfds

    source = tfds.builder_from_directory(folder).as_data_source(split=split)
    found = [source[i] for i in range(len(source))]
    for record in found:
        record["masks"] = np.array(record["masks"])  # of one size: TFDS gives them as a list
    return {record["name"].decode(): record for record in found}
