"""Checks of the arguments of the metrics, all in one place."""

from typing import Any

import numpy as np


def binary_masks(axes: str, **masks: Any) -> list[np.ndarray]:
    """Masks of one shape as bool.

    Args:
        axes: names of the axes that they must have, such as `"[..., H, W]"`; exactly these where
            there are no dots.
        masks: bool, or integers of which all but 0 are foreground, by name.

    Returns:
        The masks, in the order given.

    Raises:
        ValueError: a shape has other axes, or is not that of the first mask.
        TypeError: a mask is neither bool nor integer.
    """
    arrays = {name: np.asarray(mask) for name, mask in masks.items()}
    for name, array in arrays.items():
        if array.dtype != bool and not np.issubdtype(array.dtype, np.integer):
            raise TypeError(
                f"{name} of {array.dtype}: expected bool or integers, threshold it first"
            )
    check_shapes(axes, arrays)
    return [array if array.dtype == bool else array != 0 for array in arrays.values()]


def label_arrays(**labels: Any) -> list[np.ndarray]:
    """Labels `[T, H, W]` of one shape.

    Args:
        labels: integers >= 0 by name.

    Returns:
        The labels, in the order given.

    Raises:
        ValueError: a shape is not `[T, H, W]`, or not that of the first, or a label is negative.
        TypeError: labels are no integers.
    """
    arrays = {name: np.asarray(array) for name, array in labels.items()}
    for name, array in arrays.items():
        if not np.issubdtype(array.dtype, np.integer):
            raise TypeError(f"{name} of {array.dtype}: expected integers >= 0")
        if array.size and array.min() < 0:
            raise ValueError(f"{name} with a label {array.min()}: expected integers >= 0")
    check_shapes("[T, H, W]", arrays)
    return list(arrays.values())


def check_shapes(axes: str, arrays: dict[str, np.ndarray]) -> None:
    """Checks that arrays have the axes named, and are all of the shape of the first.

    Args:
        axes: names of the axes, such as `"[T, H, W]"`; `...` stands for any number of them.
        arrays: arrays by name.

    Raises:
        ValueError: one has not; the message names it, its shape and what was expected.
    """
    (first, one), *_ = arrays.items()
    count = axes.count(",") + 1
    fits = one.ndim >= count - 1 if "..." in axes else one.ndim == count
    if not fits:
        raise ValueError(f"{first} {one.shape}: expected {axes}")
    for name, array in arrays.items():
        if array.shape != one.shape:
            raise ValueError(f"{name} {array.shape}: expected {one.shape}, the shape of {first}")
