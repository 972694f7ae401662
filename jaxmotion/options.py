"""Configurations: frozen dataclasses whose fields are checked where they are made.

What a field may hold stands in its annotation: a type, a `Literal`, a tuple of these, a number with
its `Range`. `check_fields`, called in ``__post_init__``, reads it, so that the same is checked on
the command line, in Python, and in what `from_json` reads from the file of a run or a model.
"""

import contextlib
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import numpy as np

from jaxmotion.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """What a number may be, or how many entries a tuple may have; ends are included.

    Attributes:
        least: None for no end, as for `most`.
        most: see `least`.
        above: an end that is not included, as `below`.
        below: see `above`.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"from {self.least:,} to {self.most:,}"
        ends = {
            "of at least": self.least,
            "above": self.above,
            "of at most": self.most,
            "below": self.below,
        }
        return " and ".join(f"{word} {end:,}" for word, end in ends.items() if end is not None)


MOST = 2**31 - 1
"""Of any count: steps are numbered in 32 bits on the devices."""

Count = Annotated[int, Range(1, MOST)]
CountOrZero = Annotated[int, Range(0, MOST)]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]


class _UnexpectedError(Exception):
    """A value that its annotation does not allow."""


def check_fields(config: Any, option: str = "") -> None:
    """Checks the fields of a frozen dataclass against their annotations.

    A list becomes a tuple, a number of numpy one of Python; no value becomes another one.

    Args:
        config: the instance, in its ``__post_init__``.
        option: what the command line puts before the names of its fields.

    Raises:
        InputError: names the field, its value, and what was expected.
    """
    for name, hint in _hints(type(config)).items():
        value = getattr(config, name)
        plain = _expect(hint, value, _join(option, name))
        if plain is not value:
            object.__setattr__(config, name, plain)


def to_json(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON values."""
    return dataclasses.asdict(config)


def from_json(kind: type[T], values: Any, option: str = "") -> T:
    """A configuration from what `to_json` gave.

    Fields that the values lack take their defaults, so that older checkpoints still load.

    Args:
        kind: the dataclass.
        values: what JSON holds of it.
        option: what the command line puts before the names of its fields.

    Raises:
        InputError: on a field that the configuration does not have, or a value that it refuses.
    """
    if not isinstance(values, dict):
        raise InputError(f"{option or kind.__name__} {shown(values)}: expected fields by name")
    hints = _hints(kind)
    unknown = sorted(values.keys() - hints.keys())
    if unknown:
        raise InputError(f"{kind.__name__} has no field {shown(', '.join(unknown), quoted=False)}")
    fields = {}
    for name, value in values.items():
        path, hint = _join(option, name), hints[name]
        fields[name] = (
            from_json(hint, value, path)
            if dataclasses.is_dataclass(hint) and isinstance(hint, type)
            else _expect(hint, value, path)
        )
    try:
        return kind(**fields)
    except InputError:
        raise
    except (ValueError, TypeError) as error:  # of a class that says it in its own words
        raise InputError(f"{option or kind.__name__}: {error}") from error


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """The fields that differ between two JSON configurations, as ``name: old → new``."""
    rows = []
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            rows += differences(a, b, f"{prefix}{name}.")
        elif _lists(a) != _lists(b):
            rows.append(f"{prefix}{name}: {a} → {b}")
    return rows


def shown(value: Any, *, quoted: bool = True) -> str:
    """A value for a message of one line, however long it is."""
    try:
        text = repr(value) if quoted else str(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or what is too deep
        text = f"a huge {type(value).__name__}"
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= 80 else f"{text[:77]}…"


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def _join(option: str, name: str) -> str:
    return f"{option}.{name}" if option else name


def _expect(hint: Any, value: Any, path: str) -> Any:
    try:
        return _plain(hint, value)
    except _UnexpectedError:
        expected = _words(hint)
        raise InputError(f"{path} {shown(value)}: expected {expected}") from None


def _plain(hint: Any, value: Any) -> Any:
    """The value in the types of Python, where the annotation allows it."""
    if isinstance(value, np.generic):
        value = value.item()
    arguments = typing.get_args(hint)
    match typing.get_origin(hint):
        case typing.Annotated:
            plain = _plain(arguments[0], value)
            size = len(plain) if isinstance(plain, tuple) else plain
            if any(isinstance(note, Range) and size not in note for note in arguments[1:]):
                raise _UnexpectedError
            return plain
        case typing.Literal:
            for choice in arguments:
                if type(value) is type(choice) and value == choice:
                    return value
            raise _UnexpectedError
        case origin if origin is dict:
            if not isinstance(value, dict):
                raise _UnexpectedError
            key, entry = arguments
            return {_plain(key, k): _plain(entry, v) for k, v in value.items()}
        case types.UnionType | typing.Union:
            for choice in arguments:
                try:
                    return _plain(choice, value)
                except _UnexpectedError:
                    continue
            raise _UnexpectedError
        case origin if origin is tuple:
            if not isinstance(value, list | tuple):
                raise _UnexpectedError
            plain = tuple(_plain(h, v) for h, v in _pairs(arguments, value))
            return value if plain == value else plain
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            if math.isfinite(value):
                return float(value)
        raise _UnexpectedError
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _UnexpectedError
    return value


def _pairs(hints: tuple[Any, ...], values: Any) -> Iterator[tuple[Any, Any]]:
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = hints[:1] * len(values)
    if len(hints) != len(values):
        raise _UnexpectedError
    return zip(hints, values, strict=True)


def _words(hint: Any) -> str:
    """What an annotation allows, in words."""
    arguments = typing.get_args(hint)
    match typing.get_origin(hint):
        case typing.Annotated:
            range_ = next((str(note) for note in arguments[1:] if isinstance(note, Range)), "")
            if typing.get_origin(arguments[0]) is tuple:
                return f"{range_} values, each {_words(arguments[0])}"
            return f"{_words(arguments[0])} {range_}".rstrip()
        case typing.Literal:
            return " or ".join(repr(choice) for choice in arguments)
        case types.UnionType | typing.Union:
            return " or ".join(_words(choice) for choice in arguments)
        case origin if origin is dict:
            return f"{_words(arguments[1])} by name"
        case origin if origin is tuple:
            many = arguments[1:] == (Ellipsis,)
            kinds = {_words(a): None for a in (arguments[:1] if many else arguments)}
            return f"{'' if many else f'{len(arguments)} values, each '}{' and '.join(kinds)}"
    names = {
        int: "a whole number",
        float: "a finite number",
        bool: "True or False",
        str: "a text",
        types.NoneType: "None",
    }
    return names.get(hint) or f"a {hint.__name__}"


def _lists(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
