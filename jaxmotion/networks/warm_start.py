"""Starting from the parameters of another network: fewer masks, a decoder more, a reach in time."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxmotion.errors import InputError

# Parts of the network by the first names of their parameters; whatever else there is counts as one
# of the decoder's.
_BACKBONE, _HEADS = ("unet", "stem"), ("head", "shortcut")
# Parts of the U-net that are a choice, and start by changing nothing.
_ATTENTION = ("middle", "gate")
# What the stem sees of where the flow is known, and a kernel of it that sees raw flow or none.
_KNOWN, _STEM, _STEM_BIAS = "known", "stem/Conv_0/kernel", "stem/Conv_0/bias"

Params = Any
Shapes = Mapping[str, Any]
Rule = Callable[[jax.Array, jax.Array], jax.Array]
"""From a fresh parameter and the trained one to what the new network starts with."""


@dataclass(frozen=True)
class Match:
    """The parameters that a new network takes of a trained one.

    Attributes:
        rules: rule by the name of a parameter of the new network, which makes it from the trained
            one; a parameter that is not here keeps its fresh value.
        words: description of the rules in a line, for the user.
    """

    rules: Mapping[str, Rule]
    words: str


def warm_start(fresh: Params, trained: Params) -> Params:
    """Parameters of a new network, taken from a trained one as `match_params` says.

    Args:
        fresh: parameters of the new network.
        trained: parameters of the trained network.

    Returns:
        Parameters like ``fresh``.

    Raises:
        InputError: where backbone, head or shortcut do not fit.
    """
    known, start = (cast(dict[str, Any], flatten_dict(p, sep="/")) for p in (trained, fresh))
    rules = match_params(fresh, trained).rules
    if _of(known, (_KNOWN,)) and not _of(start, (_KNOWN,)):  # all is known: a constant of the stem
        constant = sum(jnp.sum(known[name], (0, 1, 2)) for name in _of(known, (_KNOWN,)))
        known[_STEM_BIAS] = known[_STEM_BIAS] + constant
    started = {
        name: rules[name](leaf, known[name]) if name in rules else leaf
        for name, leaf in start.items()
    }
    return unflatten_dict(started, sep="/")


def backbone_params(params: Params) -> Params:
    """The parameters of the backbone alone, of any network that has one.

    Args:
        params: parameters of the network.
    """
    return {name: params[name] for name in (*_BACKBONE, _KNOWN) if name in params}


def match_params(fresh: Params, trained: Params) -> Match:
    """Matches the parameters of a new network with those of a trained one, by shapes alone.

    - The backbone (U-net and stem) is taken whole. A kernel over space becomes the middle frame of
      a kernel over space-time, the other frames zero, and one over space-time the middle of a
      longer one: the new network starts by doing to each frame what the old one did. A kernel over
      space-time becomes its sum over time in a network that sees one frame alone: it starts by
      doing to a frame what the old one did to a clip in which this frame stays.
    - The stem of ``"raw_and_residual"`` without its raw flow is that of ``"residual"``; the other
      way round the raw flow starts at zero.
    - The known channel starts at zero where it is new. A network without it starts as the old one
      was where all is known, which is a constant of the stem.
    - Of the linear maps to masks (head, shortcut) the first K are taken, so that the first mask
      stays the background; masks that are new keep their fresh parameters. A network with slots,
      which has one set of these parts for the background and one for all other masks, takes the
      mean over the others. What the shortcut sees of the frames around one starts at zero.
    - Attention over space and time is taken whole, or, where it does not fit, not at all.
    - A decoder is taken whole, its queries as the masks, or where it does not fit, as one of
      another kind, not at all.

    Args:
        fresh: parameters of the new network, or their shapes.
        trained: parameters of the trained network, or their shapes.

    Raises:
        InputError: where backbone, head or shortcut do not fit.
    """
    new: Shapes = flatten_dict(fresh, sep="/")
    old: Shapes = flatten_dict(trained, sep="/")
    rules = _whole(new, old, _BACKBONE, "U-net", _backbone_rule)
    if _of(old, (_KNOWN,)) and _of(new, (_KNOWN,)):
        rules |= _whole(new, old, (_KNOWN,), "known channel", _backbone_rule)
    slots = any(name.startswith("decoder/slots/") for name in new)
    head_rule = partial(_head_rule, slots=slots)
    for part in _HEADS:
        # Of other features the shortcut stays fresh, a threshold.
        if part == "shortcut" and _stem_words(new, old):
            continue
        if _of(old, (part,)) and _of(new, (part,)):
            rules |= _whole(new, old, (part,), part, head_rule)
    others = {_part(name) for name in (*new, *old)} - {*_BACKBONE, *_HEADS, *_ATTENTION, _KNOWN}
    for parts, called in ((tuple(others), "decoder"), *(((part,), part) for part in _ATTENTION)):
        with suppress(InputError):  # else all of it stays fresh
            rules |= _whole(new, old, parts, called, _decoder_rule)
    return Match(rules, _words(new, old, rules))


def _whole(
    new: Shapes,
    old: Shapes,
    parts: tuple[str, ...],
    called: str,
    rule_of: Callable[[str, tuple[int, ...], tuple[int, ...]], Rule | None],
) -> dict[str, Rule]:
    """The rules of parts that are taken altogether or not at all."""
    rules = {}
    for name in sorted({*_of(new, parts), *_of(old, parts)}):
        here, there = (tuple(known[name].shape) if name in known else None for known in (new, old))
        rule = None if here is None or there is None else rule_of(name, here, there)
        if rule is None:
            raise InputError(
                f"--start: its {called} does not fit this network: {name} is {_size(there)} there, "
                f"expected {_size(here)}; expected a run with the same network.widths, "
                "network.stem, network.input, network.down and network.up, and a kernel as long "
                "in time or shorter, or of one frame here"
            )
        rules[name] = rule
    return rules


def _backbone_rule(name: str, here: tuple[int, ...], there: tuple[int, ...]) -> Rule | None:
    if here == there:
        return _same
    if len(here) == 5 and there == here[1:]:
        return lambda leaf, trained: _middle(leaf, trained[None], axis=0)
    if len(here) == len(there) == 5 and here[1:] == there[1:] and here[0] > there[0]:
        return partial(_middle, axis=0)
    if len(there) == 5 and here == there[1:]:
        return lambda leaf, trained: _same(leaf, jnp.sum(trained, axis=0))
    if name == _STEM and {here[2], there[2]} == {3, 5} and here[3:] == there[3:]:
        return partial(_last, axis=2)
    return None


def _head_rule(
    name: str, here: tuple[int, ...], there: tuple[int, ...], *, slots: bool
) -> Rule | None:
    if len(here) != len(there):
        return None
    shortcut = name == "shortcut/kernel"
    widen, narrow = (
        shortcut and _holds(*sizes) for sizes in ((here[0], there[0]), (there[0], here[0]))
    )
    if here[:-1] != there[:-1] and not (widen or narrow):
        return None

    def rule(leaf: jax.Array, trained: jax.Array) -> jax.Array:
        if widen:
            wide = jnp.zeros((here[0], there[1]), leaf.dtype)
            trained = _middle(wide, trained, axis=0)
        elif narrow:  # as the kernels of the backbone, which lose their reach in time with it
            trained = jnp.sum(trained.reshape(-1, here[0], there[1]), axis=0)
        if here[-1] == there[-1]:
            return _same(leaf, trained)
        if slots and there[-1] > 1:
            others = jnp.mean(trained[..., 1:], axis=-1)
            return jnp.stack([trained[..., 0], others], axis=-1).astype(leaf.dtype)
        return _first(leaf, trained, axis=-1)

    return rule


def _decoder_rule(name: str, here: tuple[int, ...], there: tuple[int, ...]) -> Rule | None:
    if here == there:
        return _same
    if name == "decoder/queries" and here[1:] == there[1:]:
        return partial(_first, axis=0)
    # What the queries say of the frames around one, as the shortcut itself.
    if _part(name) == "shortcut_of_queries" and here[:-1] == there[:-1]:
        return partial(_middle, axis=-1) if _holds(here[-1], there[-1]) else None
    return None


def _holds(frames: int, fewer: int) -> bool:
    """Whether what is seen of so many frames is what is seen of one, an odd number of times."""
    return frames > fewer and frames % fewer == 0 and frames // fewer % 2 == 1


def _same(leaf: jax.Array, trained: jax.Array) -> jax.Array:
    return jnp.asarray(trained, leaf.dtype)


def _middle(leaf: jax.Array, trained: jax.Array, axis: int) -> jax.Array:
    """Zeros like the new parameter, with the trained one in the middle."""
    size = trained.shape[axis]
    start = (leaf.shape[axis] - size) // 2
    index = [slice(None)] * leaf.ndim
    index[axis] = slice(start, start + size)
    return jnp.zeros_like(leaf).at[tuple(index)].set(trained)


def _last(leaf: jax.Array, trained: jax.Array, axis: int) -> jax.Array:
    """Zeros like the new parameter, with as many of the last channels as both have."""
    count = min(leaf.shape[axis], trained.shape[axis])
    index = [slice(None)] * leaf.ndim
    index[axis] = slice(-count, None)
    return jnp.zeros_like(leaf).at[tuple(index)].set(trained[tuple(index)])


def _first(leaf: jax.Array, trained: jax.Array, axis: int) -> jax.Array:
    """The new parameter, with as many masks from the trained one as both have."""
    index = [slice(None)] * leaf.ndim
    index[axis] = slice(min(leaf.shape[axis], trained.shape[axis]))
    return leaf.at[tuple(index)].set(trained[tuple(index)])


def _words(new: Shapes, old: Shapes, rules: Mapping[str, Rule]) -> str:
    heads = [(new[name].shape[-1], old[name].shape[-1]) for name in rules if _part(name) == "head"]
    here, there = heads[0] if heads else (0, 0)
    masks = f" ({there} masks there, {here} here)" if here != there else ""
    if masks and any(name.startswith("decoder/slots/") for name in new):
        masks = f" (the background, and the mean of {there - 1} other masks)"

    taken = {"head": masks, "stem": _stem_words(new, old), "unet": _reach_words(new, old)}

    def listed(names: Mapping[str, Any], words: Mapping[str, str]) -> str:
        parts = sorted(set(map(_part, names)))
        return ", ".join(part + words.get(part, "") for part in parts) or "nothing"

    fresh, unused = ({n: 0 for n in names if n not in rules} for names in (new, old))
    return (
        f"taken: {listed(rules, taken)}; "
        f"fresh: {listed(fresh, {_KNOWN: ' (from zero)'})}; "
        f"not used: {listed(unused, {_KNOWN: ' (all counts as known)'})}"
    )


def _stem_words(new: Shapes, old: Shapes) -> str:
    here, there = (known[_STEM].shape[2] if _STEM in known else 0 for known in (new, old))
    if here == there:
        return ""
    return " (without raw flow)" if here < there else " (raw flow from zero)"


def _reach_words(new: Shapes, old: Shapes) -> str:
    summed = any(
        name in old and len(old[name].shape) > len(leaf.shape) for name, leaf in new.items()
    )
    return " (summed over time)" if summed else ""


def _of(shapes: Shapes, parts: tuple[str, ...]) -> list[str]:
    return [name for name in shapes if _part(name) in parts]


def _part(name: str) -> str:
    first, _, rest = name.partition("/")
    inner = rest.partition("/")[0]
    return inner if first == "unet" and inner in _ATTENTION else first


def _size(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "×".join(map(str, shape)) or "a number"
