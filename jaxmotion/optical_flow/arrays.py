"""Checks of arrays of flow before they are used or written, and their known vectors.

What is unknown is said in two ways: by `valid`, an array beside the flow, and by a vector that no
motion can have, which is how Middlebury's files say it.
"""

import os

import numpy as np

from jaxmotion.errors import InputError

# What moves further than its frame is wide has no match. But a field may be smaller than the frames
# whose pixels its vectors count: shrunk, as one of 128 x 224 for frames of 4K (3840 x 2160), whose
# diagonal is 17 times as long; or cut out of them, so that no field is taken for less than 4096.
_DIAGONALS = 20
_LEAST_BOUND = 4096.0


def longest_component(height: int, width: int) -> float:
    """The bound on u and on v above which no motion is: 20 diagonals of the field, 4096 at least.

    Args:
        height: number of rows of the field.
        width: number of columns of the field.

    Returns:
        Pixels per frame; far below the 1e9 above which Middlebury's files call a vector unknown.
    """
    return max(_DIAGONALS * float(np.hypot(height, width)), _LEAST_BOUND)


def known_vectors(flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Tells which vectors are known: those marked valid that a motion can have.

    Args:
        flow: `[..., H, W, 2]`, pixels per frame; what is above `longest_component`, or not finite,
            is unknown.
        valid: `[..., H, W]`, where the flow is known, as `as_valid` takes it; everywhere by
            default.

    Returns:
        True where a vector is known, bool `[..., H, W]`.
    """
    flow = np.asarray(flow)
    bound = np.float32(longest_component(*flow.shape[-3:-1]))
    known = np.all(np.abs(flow) <= bound, axis=-1)
    return known if valid is None else known & as_valid("valid", valid, flow.shape[:-1])


def as_valid(name: str | os.PathLike, valid: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An array that says where flow is known.

    Args:
        name: name of the array in a message.
        valid: bool; integers, of which 0 is unknown and what is above known; or floats 0 and 1.
        shape: shape that it must have.

    Returns:
        bool, of that shape.

    Raises:
        InputError: another shape or kind, or values between, below or not finite.
    """
    valid = np.asarray(valid)
    if valid.shape != tuple(shape):
        raise InputError(f"{name} has the shape {valid.shape}, expected {tuple(shape)} as the flow")
    if valid.dtype == bool:
        return valid
    if valid.dtype.kind not in "iuf":
        raise InputError(f"{name} of type {valid.dtype}: expected bool, or numbers 0 and 1")
    allowed = valid >= 0 if valid.dtype.kind in "iu" else (valid == 0) | (valid == 1)
    if not allowed.all():
        raise InputError(
            f"{name} holds {valid[~allowed][0]:g}: expected 0 (unknown) or 1 (known); "
            "a share of what is known has to be cut first, as valid >= 0.5"
        )
    return valid > 0


def check_finite(
    path: str | os.PathLike, flow: np.ndarray, valid: np.ndarray | None = None
) -> None:
    """Refuses flow with NaN or infinite vectors where it is not marked unknown.

    Args:
        path: file that the flow is from, for the message.
        flow: vectors to check, `[..., 2]`.
        valid: bool `[...]`, where they are known; everywhere by default.

    Raises:
        InputError: says how many there are, and where the first is.
    """
    bad = ~np.isfinite(flow).all(axis=-1)
    if valid is not None:
        bad &= valid
    if bad.any():
        where = ", ".join(str(int(i)) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{path}: {int(bad.sum())} NaN or infinite vectors, the first at [{where}], "
            "expected finite flow; what is not finite can be marked unknown (`valid`)"
        )


def known_flow(
    name: str | os.PathLike, flow: np.ndarray, valid: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Flow that is ready for use, with nothing left of what is unknown.

    Args:
        name: name of the flow in a message.
        flow: `[..., H, W, 2]`, pixels per frame; what it holds where it is not valid does not
            matter.
        valid: `[..., H, W]`, where the flow is known, as `as_valid` takes it; everywhere by
            default.

    Returns:
        The flow, zero where it is unknown, and bool `[..., H, W]`, where it is known
        (`known_vectors`).

    Raises:
        InputError: vectors that are not finite where they are valid; another `valid` than
            `as_valid` takes.
    """
    if valid is not None:
        valid = as_valid(f"{name}: valid", valid, flow.shape[:-1])
    check_finite(name, flow, valid)
    known = known_vectors(flow, valid)
    return (flow if known.all() else np.where(known[..., None], flow, flow.dtype.type(0))), known


def as_flow(
    path: str | os.PathLike, flow: np.ndarray, ndim: int, valid: np.ndarray | None = None
) -> np.ndarray:
    """An array that is about to be written, if it is flow.

    Args:
        path: file that it goes to, for the message.
        flow: array to check.
        ndim: number of axes, 3 for `[H, W, 2]`, 4 for `[T, H, W, 2]`.
        valid: bool, where the flow has to be finite; everywhere by default.

    Returns:
        The array.

    Raises:
        InputError: another shape, or not finite.
    """
    flow = np.asarray(flow)
    if flow.ndim != ndim or flow.shape[-1] != 2 or 0 in flow.shape:
        layout = "[H, W, 2]" if ndim == 3 else "[T, H, W, 2]"
        raise InputError(f"{path}: cannot write a flow of shape {flow.shape}, expected {layout}")
    check_finite(path, flow, valid)
    return flow
