"""The pictures of the answer: segments as they come, what moves when it is known."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxmotion.answer.exports import Export, Frame
from jaxmotion.data.masks import write_labels
from jaxmotion.data.pictures import overlay, write_image
from jaxmotion.data.transforms import likeliest_labels
from jaxmotion.data.video import Video, VideoWriter
from jaxmotion.inference.outlines import sharpen
from jaxmotion.motion import FRAME_MOTION
from jaxmotion.saliency import saliency_map


class Pictures:
    """Writes the masks and the overlay into a folder, frame by frame.

    Args:
        folder: folder of the results.
        video: the video.
        sharpened: whether outlines follow the frames (`sharpen`) or are those of the masks.
    """

    def __init__(self, folder: Path, video: Video, sharpened: bool = True) -> None:
        self._folder, self._shown = folder, (video.fps, video.pixel_aspect)
        self._sharpened = sharpened
        self.names: list[str] = []

    def __enter__(self) -> "Pictures":
        with ExitStack() as stack:
            self._video = stack.enter_context(
                VideoWriter(self._folder / "overlay.mp4", *self._shown)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error_details: object) -> None:
        self._stack.__exit__(*error_details)  # pyright: ignore[reportArgumentType]

    def write(self, name: str, frame: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """Adds a frame.

        Args:
            name: name of the frame's pictures, without a suffix.
            frame: uint8 `[H, W, 3]`, the frame of the video.
            masks: `[h, w, K]`, probabilities of the segments.

        Returns:
            Labels of the frame, uint8 `[H, W]`.
        """
        if self._sharpened:
            masks = sharpen(masks, frame)
        labels = likeliest_labels(masks, frame.shape[:2])
        write_labels(self._folder / "masks" / f"{name}.png", labels)
        self._video.write(overlay(frame, labels))
        self.names.append(name)
        return labels


def salience(
    frames: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], moving: np.ndarray
) -> Iterator[np.ndarray]:
    """Maps how far what moves is from the motion of the rest.

    Args:
        frames: flow `[h, w, 2]`, masks `[h, w, K]` and valid `[h, w]` of each frame.
        moving: bool `[K]`, which segments move on their own.

    Yields:
        float32 `[h, w]` in [0, 1] for each frame, see `jaxmotion.saliency.saliency_map`.
    """
    for flow, masks, valid in frames:
        there = moving[masks.argmax(axis=-1)]
        flow, there, valid = (jnp.asarray(a, jnp.float32)[None, None] for a in (flow, there, valid))
        yield np.asarray(saliency_map(flow, there, FRAME_MOTION, valid=valid))[0, 0]


def write_answer(
    folder: Path,
    names: Sequence[str],
    video: Video,
    moving: np.ndarray,
    exports: list[Export],
    probabilities: Iterable[np.ndarray] = (),
    saliency: Iterable[np.ndarray] = (),
) -> None:
    """Writes the pictures and exports that depend on which segments move.

    Args:
        folder: folder of the results, in which the masks are.
        names: names of the frames, in order, without a suffix.
        video: the video; its frames are read again if an export needs them.
        moving: bool `[K]`, which segments move on their own.
        exports: further files to write of each frame.
        probabilities: maps `[h, w]`, one for each frame: the probability that something moves
            there. The last frame has the map of the one before. Empty to write no such pictures.
        saliency: maps `[h, w]` in [0, 1], one for each frame: the saliency of each pixel. The last
            frame has the map of the one before. Empty to write no such pictures.
    """
    soft = [
        (kind, iter(maps))
        for kind, maps in (("probabilities", probabilities), ("saliency", saliency))
    ]
    latest: dict[str, np.ndarray] = {}
    frames = iter(video) if any(export.needs_frames for export in exports) else None
    for index, name in enumerate(names):
        with Image.open(folder / "masks" / f"{name}.png") as picture:
            labels = np.asarray(picture)
        there = moving[labels]
        write_image(folder / "moving" / f"{name}.png", np.uint8(255) * there)
        for kind, maps in soft:
            found = next(maps, latest.get(kind))
            if found is not None:
                latest[kind] = found
                shown = cv2.resize(found, labels.shape[::-1], interpolation=cv2.INTER_LINEAR)
                shown = np.where(there, shown, 0) if kind == "saliency" else shown
                gray = np.rint(255 * np.clip(shown, 0, 1)).astype(np.uint8)
                write_image(folder / kind / f"{name}.png", gray)
        picture = None if frames is None else next(frames)
        for export in exports:
            export.write(Frame(index, name, labels, there, picture))
