"""What an array of flow has to be before it is used or written."""

import os

import numpy as np

from jaxmotion.errors import InputError


def check_finite(path: str | os.PathLike, flow: np.ndarray) -> None:
    """Refuses flow with NaN or infinite vectors.

    Args:
      path: of the file that it is of, for the message.
      flow: `[..., 2]`.

    Raises:
      InputError: says how many there are, and where the first is.
    """
    if not np.isfinite(flow).all():
        bad = ~np.isfinite(flow).all(axis=-1)
        where = ", ".join(str(int(i)) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{path}: {int(bad.sum())} NaN or infinite vectors, the first at [{where}], "
            "expected finite flow"
        )


def as_flow(path: str | os.PathLike, flow: np.ndarray, ndim: int) -> np.ndarray:
    """An array that is about to be written, if it is flow.

    Args:
      path: where it goes, for the message.
      flow: whatever was given.
      ndim: 3 for `[H, W, 2]`, 4 for `[T, H, W, 2]`.

    Returns:
      The array.

    Raises:
      InputError: another shape, or not finite.
    """
    flow = np.asarray(flow)
    if flow.ndim != ndim or flow.shape[-1] != 2 or 0 in flow.shape:
        layout = "[H, W, 2]" if ndim == 3 else "[T, H, W, 2]"
        raise InputError(f"{path}: cannot write a flow of shape {flow.shape}, expected {layout}")
    check_finite(path, flow)
    return flow
