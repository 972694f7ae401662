"""Flow of many videos of one's own, whether it is there already or has to be estimated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from jaxmotion.data.layouts import has_flow
from jaxmotion.data.sources import FlowSource, open_source
from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.data.video import open_video
from jaxmotion.errors import InputError
from jaxmotion.files import reading
from jaxmotion.optical_flow.arrays import known_flow
from jaxmotion.optical_flow.estimators import Estimator, estimate_sequence


class Sized(Protocol):
    """Something that works at a size of its own."""

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """The size for flow of a given size."""
        ...


def flow_of_video(
    path: Path, estimator: Estimator, network: Sized
) -> tuple[np.ndarray, np.ndarray]:
    """Flow of a video at the size that a network works at.

    Args:
        path: a video file, a folder of frames, or flow: a ``.npz`` or a folder of ``.flo`` files.
        estimator: estimator of the flow of a video.
        network: network whose size counts.

    Returns:
        Flow `[T, h, w, 2]`, pixels per frame of the video, and where it is known, `[T, h, w]`.

    Raises:
        InputError: nothing there, or something that is neither.
    """
    fields = list(_fields(path, estimator, network))
    return np.stack([flow for flow, _ in fields]), np.stack([known for _, known in fields])


def _fields(
    path: Path, estimator: Estimator, network: Sized
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    with reading(path):
        is_flow = has_flow(path) if path.is_dir() else path.suffix == ".npz" and path.exists()
    if is_flow:
        source = open_source(path)
        assert isinstance(source, FlowSource)
        sequence = source.sequences[0]
        for frame in range(sequence.length):
            read = sequence.read(("flow", "valid"), [frame])
            size = network.working_size(*read["valid"].shape[1:])
            small = resize_flow_and_valid(read["flow"], read["valid"], size)
            yield small[0][0], small[1][0]
        return
    for flow in estimate_sequence(open_video(path), estimator):
        flow, known = known_flow(str(path), flow, None)
        size = network.working_size(*known.shape)
        yield resize_flow_and_valid(flow, known.astype(np.float32), size)


def videos_in(folder: Path) -> list[Path]:
    """The videos in a folder: files, folders of frames, and flow, in the order of their names.

    Args:
        folder: folder that holds them.

    Raises:
        InputError: no such folder, or none in it.
    """
    with reading(folder):
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if not found:
        raise InputError(f"{folder}: no video in it")
    return found
