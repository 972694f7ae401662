"""Starting from the parameters of another network: fewer masks, a decoder more, a reach in time."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxmotion.errors import InputError
from jaxmotion.training.task import Params

_MASK_PARTS = ("head", "shortcut", "queries")


def warm_start(fresh: Params, trained: Params) -> Params:
    """Parameters of a new network, taken from a trained one wherever it has a counterpart.

    - What has the same name and shape is taken over.
    - A kernel over space becomes the middle frame of a kernel over space-time, the other frames
      zero: the new network starts by doing to each frame what the old one did.
      The same holds for what the shortcut sees of the frames around one.
    - Of the parts that exist once a mask (head, shortcut, queries) the first K are taken, so that
      the first mask stays the background; masks that are new keep their fresh parameters. A network
      with slots, which has one set of these parts for the background and one for all other masks,
      takes the mean over the others.
    - What has no counterpart, as a decoder, stays fresh.

    Args:
        fresh: parameters of the new network.
        trained: those of the old one.

    Returns:
        Parameters like ``fresh``.

    Raises:
        InputError: where no part of the backbone fits.
    """
    known = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(trained)}
    slots = "decoder" in fresh and "slots" in fresh["decoder"]
    taken = 0

    def take(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
        nonlocal taken
        name = jax.tree_util.keystr(path)
        old = known.get(name)
        if old is None:
            return leaf
        per_mask = any(f"'{part}'" in name for part in _MASK_PARTS)
        if "'shortcut'" in name:
            old = _widen(leaf, old)
        new = _fit_masks(leaf, old, slots=slots) if per_mask else _fit_kernel(leaf, old)
        if new is None:
            return leaf
        taken += "'unet'" in name
        return new

    started = jax.tree_util.tree_map_with_path(take, fresh)
    if not taken:
        raise InputError(
            "--start: no part of its U-net fits this network; expected a run with the same "
            "network.widths, network.stem and network.input"
        )
    return started


def _fit_kernel(leaf: jax.Array, old: jax.Array) -> jax.Array | None:
    """The old parameter in the shape of the new one, or None where it cannot be."""
    if old.shape == leaf.shape:
        return jnp.asarray(old, leaf.dtype)
    if leaf.ndim == 5 and old.shape == leaf.shape[1:]:
        return jnp.zeros_like(leaf).at[leaf.shape[0] // 2].set(old)
    return None


def _widen(leaf: jax.Array, old: jax.Array) -> jax.Array:
    """The weights of one frame as those of the middle frame of several."""
    frames, rest = divmod(leaf.shape[0], old.shape[0])
    if rest or frames == 1:
        return old
    rows = slice(frames // 2 * old.shape[0], (frames // 2 + 1) * old.shape[0])
    return jnp.zeros((leaf.shape[0], old.shape[1])).at[rows].set(old)


def _fit_masks(leaf: jax.Array, old: jax.Array, *, slots: bool) -> jax.Array | None:
    """The old parameter with as many masks as the new one; queries have them first, others last."""
    axis = next((a for a in range(leaf.ndim) if leaf.shape[a] != old.shape[a]), None)
    if axis is None:
        return jnp.asarray(old, leaf.dtype)
    if leaf.ndim != old.ndim or leaf.shape[:axis] != old.shape[:axis]:
        return None
    if slots:
        others = jnp.mean(old[..., 1:], axis=-1)
        return jnp.stack([old[..., 0], others], axis=-1)
    count = min(leaf.shape[axis], old.shape[axis])
    index = (slice(None),) * axis + (slice(count),)
    return leaf.at[index].set(old[index])
