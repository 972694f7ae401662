"""The fields of a batch by the axes that a task gives them: their shapes, and what is wrong."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxmotion.errors import InputError

CLIPS, FRAMES = "B", "T"
"""The axes of clips and of frames, by name."""


def axes_of(spec: Mapping[str, str]) -> dict[str, list[str]]:
    """Splits the axes of each field into single names.

    Args:
        spec: axes by field, as `Task.spec` gives them, such as ``{"flow": "B T H W 2"}``.

    Returns:
        The names of the axes by field, in order.

    Raises:
        ValueError: where a field does not begin with the clips, or one axis stands twice in it.
    """
    axes = {name: words.split() for name, words in spec.items()}
    for name, found in axes.items():
        named = [axis for axis in found if not axis.isdecimal()]
        if found[:1] != [CLIPS] or len(set(named)) < len(named):
            raise ValueError(f"field {name!r}: {spec[name]!r}; expected B first, and no axis twice")
    return axes


def check_batch(spec: Mapping[str, str], batch: Mapping[str, Any]) -> None:
    """Checks that a batch has the fields that a task reads, each with its axes.

    Args:
        spec: axes by field, as `Task.spec` gives them, such as ``{"flow": "B T H W 2"}``.
        batch: arrays by field, or their shapes; fields that the task does not read are ignored.

    Raises:
        InputError: a field is missing or has another shape; the error names the field, its shape,
            and what was expected.
    """
    sizes: dict[str, tuple[int, str]] = {}
    for name, axes in axes_of(spec).items():
        if name not in batch:
            raise InputError(
                f"the clips have no field {name!r}: expected {_listed(spec)}, found "
                f"{', '.join(batch) or 'none'}"
            )
        shape, wanted = tuple(np.shape(batch[name])), f"[{', '.join(axes)}]"
        if len(shape) != len(axes):
            raise InputError(f"field {name!r} of shape {shape}: expected {wanted}")
        for axis, size in zip(axes, shape, strict=True):
            if axis.isdecimal():
                if size != int(axis):
                    raise InputError(f"field {name!r} of shape {shape}: expected {wanted}")
                continue
            known, first = sizes.setdefault(axis, (size, name))
            if size != known:
                raise InputError(
                    f"field {name!r} of shape {shape}: expected {wanted} with {axis} = {known}, as "
                    f"of field {first!r}"
                )


def example_batch(
    spec: Mapping[str, str], sizes: Mapping[str, int]
) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of a batch of float32, from which `Task.init` can be traced.

    Args:
        spec: axes by field, as `Task.spec` gives them, such as ``{"flow": "B T H W 2"}``.
        sizes: sizes by axis, such as ``{"T": 3}``; an axis that is missing here has size 1.
    """
    return {
        name: jax.ShapeDtypeStruct(
            tuple(int(axis) if axis.isdecimal() else sizes.get(axis, 1) for axis in axes),
            np.float32,
        )
        for name, axes in axes_of(spec).items()
    }


def same_shapes(fresh: Mapping[str, Any], trained: Mapping[str, Any]) -> None:
    """Checks that two networks have variables of the same names and shapes.

    Args:
        fresh: variables of the new network, a tree of arrays for each collection.
        trained: variables of the trained network that the new one starts from.

    Raises:
        InputError: two variables differ; the first of them is named.
    """
    here, there = (
        {
            jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
            for path, leaf in jax.tree_util.tree_leaves_with_path(dict(variables))
        }
        for variables in (fresh, trained)
    )
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            raise InputError(
                f"--start: {name} is {there.get(name, 'missing')} there, expected "
                f"{here.get(name, 'none')}"
            )


def _listed(spec: Mapping[str, str]) -> str:
    return ", ".join(f"{name} [{', '.join(words.split())}]" for name, words in spec.items())
