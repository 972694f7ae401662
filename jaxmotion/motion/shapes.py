"""Checks of the shapes of arrays, made where a program is traced: they cost nothing at run time.

Without the checks, axes in another order, another number of segments or a batch of one would be
broadcast, and give a number that looks like any other.
"""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp


def check_shapes(**arguments: tuple[Any, str]) -> None:
    """Compares the shapes of arrays with the names of their axes.

    Args:
        **arguments: value (None where it was not given) and axes of each argument, by its name,
            such as `flow=(flow, "B T H W 2")`. A number is a size; a letter stands for one size in
            all arguments, that of the first which has it. A scalar has no axes, "".

    Raises:
        ValueError: for the first argument that is no array or has another shape.
    """
    sizes: dict[str, int] = {}
    for name, (value, names) in arguments.items():
        if value is None:
            continue
        axes = names.split()
        shape = getattr(value, "shape", () if isinstance(value, (int, float)) else None)
        if shape is None:
            raise ValueError(f"{name} must be an array; got {type(value).__name__}")
        expected = [int(axis) if axis.isdigit() else sizes.get(axis) for axis in axes]
        try:
            chex.assert_shape(value, expected)
        except AssertionError:
            here = [
                axis if size is None else str(size)
                for axis, size in zip(axes, expected, strict=True)
            ]
            numbers = f" = [{', '.join(here)}]" if here != axes else ""
            raise ValueError(
                f"{name} must have shape [{', '.join(axes)}]{numbers}; got {shape}"
            ) from None
        sizes |= dict(zip(axes, shape, strict=True))


def promoted(*arrays: Any) -> tuple[jax.Array, ...]:
    """The arrays in one floating-point type: float32, or float64 where one of them is.

    A sum in bfloat16 would count pixels to eight bits only.
    """
    arrays = tuple(map(jnp.asarray, arrays))
    dtype = functools.reduce(jnp.promote_types, (array.dtype for array in arrays), jnp.float32)
    return tuple(array.astype(dtype) for array in arrays)
