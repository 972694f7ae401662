"""The input of a network: flow fields checked, and the size that a network works at."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.optical_flow.arrays import known_flow

Field = np.ndarray | tuple[np.ndarray, np.ndarray | None]
"""The flow `[H, W, 2]` of a frame, or that and where it is known, `[H, W]`."""

SegmentedField = tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Flow `[H, W, 2]` and masks `[H, W, K]` of a frame, and possibly where the flow is known."""

# Sides of the working size are multiples of at least this, so that videos of about the same shape
# share a compiled program.
_SIDE_MULTIPLE = 8


def working_size(
    size: tuple[int, int], trained: tuple[int, int], reduction: int
) -> tuple[int, int]:
    """The size that a network works at for flow of a given size.

    Args:
        size: rows and columns of the flow.
        trained: rows and columns of the clips in training.
        reduction: number of pixels of a side that become one at the network's coarsest level.

    Returns:
        Rows and columns: the flow's own size where training had it, else about the same aspect
        ratio with about as many pixels as in training.
    """
    if size == trained:
        return size
    multiple = max(reduction, _SIDE_MULTIPLE)
    scale = math.sqrt(math.prod(trained) / math.prod(size))
    rows, columns = (max(multiple, round(side * scale / multiple) * multiple) for side in size)
    return rows, columns


def checked_flow(
    flow: np.ndarray, valid: np.ndarray | None, name: str = "flow", layout: str = "[T, H, W, 2]"
) -> tuple[np.ndarray, np.ndarray]:
    """Checks flow, and sets it to zero where it is unknown.

    Args:
        flow: optical flow in pixels per frame, with the axes of ``layout``.
        valid: where the flow is known, in {0, 1}, without the last axis; None for everywhere.
        name: name of the flow in an error.
        layout: axes of the flow, such as ``"[T, H, W, 2]"``.

    Returns:
        Flow and where it is known, both float32.

    Raises:
        InputError: on another shape, or values that cannot be flow.
    """
    flow = np.asarray(flow)
    if flow.dtype != np.float64:  # what is too long for float32 is unknown, not infinite
        flow = flow.astype(np.float32, copy=False)
    if flow.ndim != layout.count(",") + 1 or flow.shape[-1] != 2 or 0 in flow.shape:
        raise InputError(f"{name} of shape {flow.shape}: expected {layout}")
    flow, known = known_flow(name, flow, valid)
    return flow.astype(np.float32, copy=False), known.astype(np.float32)


def checked_fields(frames: Iterable[Field]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Checks the flow of each frame in turn, as `checked_flow` does.

    Args:
        frames: fields `[H, W, 2]`, or pairs of one and where it is known.

    Raises:
        InputError: as `checked_flow`, or on a field of another size than those before.
    """
    size = None
    for index, frame in enumerate(frames):
        field, known = frame if isinstance(frame, tuple) else (frame, None)
        name = f"flow field {index}"
        if np.shape(field) != (size or np.shape(field)):
            raise InputError(f"{name} of shape {np.shape(field)}: expected {size} as before")
        size = np.shape(field)
        yield checked_flow(field, known, name, "[H, W, 2]")
