"""Results of versions that left no mark beside them."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from jaxmotion.optical_flow.colors import label_palette

_FILES = ("overlay.mp4", "theta.npz", "latents.npz", "latents.png")


def of_an_earlier_version(out: Path) -> Callable[[Path], bool]:
    """Tells the results of a version that left no mark beside them.

    They are all there, the labels have our palette, and none was touched after ``theta.npz``, which
    was written after the last of them.
    """
    theta, palette = out / "theta.npz", label_palette(256).tobytes()
    try:
        with np.load(theta, allow_pickle=False) as archive:
            is_ours = set(archive.files) == {"theta", "start", "length"}
        end = theta.stat().st_mtime_ns
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        is_ours, end = False, 0

    def is_label_picture(file: Path) -> bool:
        try:
            with Image.open(file) as image:
                return image.mode == "P" and bytes(image.getpalette() or ()) == palette
        except (OSError, SyntaxError, ValueError):
            return False

    def known(file: Path) -> bool:
        if not is_ours or not (out / "overlay.mp4").is_file() or file.is_symlink():
            return False
        if file.parent == out / "masks":
            return file.stat().st_mtime_ns <= end and is_label_picture(file)
        return file.parent == out and file.name in _FILES  # it wrote nothing else

    return known
