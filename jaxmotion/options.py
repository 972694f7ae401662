"""Configurations and result files: frozen dataclasses whose fields are checked where they are made.

What a field may hold stands in its annotation: a type, a `Literal`, a tuple or a dictionary of
these, a number with its `Meta`. msgspec reads it. `check_fields`, called in ``__post_init__``, so
checks the same on the command line, in Python, and in what `from_json` reads from a file.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from jaxmotion.errors import InputError

T = TypeVar("T")

MOST = 2**31 - 1
"""The largest count: steps are numbered in 32 bits on the devices."""

Count = Annotated[int, Meta(ge=1, le=MOST)]
CountOrZero = Annotated[int, Meta(ge=0, le=MOST)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, eq=False)
class OneOf:
    """Annotates a field that holds one of several dataclasses, of which there may come more.

    Its fields stand on the command line, and in errors, among those of the outer dataclass.

    Attributes:
        kinds: the dataclasses by the value of their field ``kind``; it may grow.
    """

    kinds: Mapping[str, type]


_MAY_BE_NAN = "NaN in Python, null in JSON"
Figure = Annotated[float, _MAY_BE_NAN]
"""A measured number of a result; NaN where there is none."""


def check_fields(config: Any, option: str = "") -> None:
    """Checks the fields of a frozen dataclass against their annotations.

    A list becomes a tuple, a number of numpy one of Python; no value becomes another one.

    Args:
        config: the instance, in its ``__post_init__``.
        option: prefix of the names of the fields on the command line, such as `optimizer`.

    Raises:
        InputError: names the field, its value, and what was expected.
    """
    for name, hint in _hints(type(config)).items():
        value = getattr(config, name)
        object.__setattr__(config, name, _checked(hint, value, _join(option, name)))


def to_json(config: Any) -> dict[str, Any]:
    """A dataclass as plain JSON values, see `plain`."""
    return plain(dataclasses.asdict(config))


def plain(value: Any, digits: int | None = None) -> Any:
    """Values for JSON: NaN and infinity, which it does not know, become null.

    Args:
        value: nested dictionaries, lists and tuples of values that JSON knows.
        digits: decimal places that numbers are rounded to; None leaves them as they are.
    """
    if isinstance(value, Mapping):
        return {name: plain(entry, digits) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry, digits) for entry in value]
    if not isinstance(value, float):
        return value
    return None if not math.isfinite(value) else value if digits is None else round(value, digits)


def from_json(kind: type[T], values: Any, option: str = "") -> T:
    """Makes a dataclass from what `to_json` gave.

    Fields that the values lack take their defaults, so that older files still load. Of a field
    that is one of several dataclasses, the entry ``kind`` says which; the first one may lack it.

    Args:
        kind: class of the dataclass to make.
        values: fields by name, as JSON holds them.
        option: prefix of the names of the fields on the command line, such as `optimizer`.

    Raises:
        InputError: on a field that the dataclass does not have, or a value that it refuses.
    """
    if not isinstance(values, dict):
        raise InputError(f"{option or kind.__name__} {shown(values)}: expected fields by name")
    hints = _hints(kind)
    unknown = sorted(values.keys() - hints.keys())
    if unknown:
        raise InputError(f"{kind.__name__} has no field {shown(', '.join(unknown), quoted=False)}")
    fields = {
        name: _decoded(hints[name], value, _join(option, name)) for name, value in values.items()
    }
    try:
        return kind(**fields)
    except InputError:
        raise
    except (ValueError, TypeError) as error:  # of a class that says it in its own words
        raise InputError(f"{option or kind.__name__}: {error}") from error


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Lists the fields that differ between two JSON configurations, as ``name: old → new``.

    Args:
        old: the earlier configuration, as `to_json` gives it.
        new: the later configuration, as `to_json` gives it.
        prefix: text in front of the names of the fields.
    """
    rows = []
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            rows += differences(a, b, f"{prefix}{name}.")
        elif _as_python(a) != _as_python(b):
            rows.append(f"{prefix}{name}: {a} → {b}")
    return rows


def shown(value: Any, *, quoted: bool = True) -> str:
    """Formats a value for a message of one line, however long it is.

    Args:
        value: value of any type.
        quoted: whether text stands in quotation marks.
    """
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


def _checked(hint: Any, value: Any, path: str) -> Any:
    """The value in the types of Python, where the annotation allows it."""
    if kinds := _dataclasses(hint):
        if isinstance(value, kinds):
            return value
        raise InputError(f"{path} {shown(value)}: expected {_words(hint)}")
    try:
        plain = _as_python(value)
        if _is_finite(plain) or _has_figures(hint):
            return msgspec.convert(plain, hint)
    except (msgspec.ValidationError, RecursionError):
        pass
    raise InputError(f"{path} {shown(value)}: expected {_words(hint)}")


def _decoded(hint: Any, value: Any, path: str) -> Any:
    """A value of JSON; what holds dataclasses is built part by part, so each error has its path."""
    if kinds := _dataclasses(hint):
        several = len(kinds) > 1 or _one_of(hint)
        kind = _of_kind(kinds, value, path) if several else next(iter(kinds))
        if not _one_of(hint) or not isinstance(value, dict):
            return from_json(kind, value, path)
        return from_json(kind, value, path.rpartition(".")[0])
    if hint == Figure:
        return math.nan if value is None else _checked(float, value, path)
    arguments = typing.get_args(hint)
    match typing.get_origin(hint), value:
        case origin, list() if origin is tuple and arguments[1:] == (Ellipsis,):
            return tuple(_decoded(arguments[0], v, f"{path}[{i}]") for i, v in enumerate(value))
        case origin, dict() if origin is dict:
            return {k: _decoded(arguments[1], v, _join(path, shown(k))) for k, v in value.items()}
    return _checked(hint, value, path)


def _dataclasses(hint: Any) -> tuple[type, ...]:
    """The dataclasses that a field may hold; none where it holds plain values."""
    if note := _one_of(hint):
        return tuple(note.kinds.values())
    if typing.get_origin(hint) is Annotated:
        hint = typing.get_args(hint)[0]
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    kinds = typing.get_args(hint) if union else (hint,)
    found = all(dataclasses.is_dataclass(kind) and isinstance(kind, type) for kind in kinds)
    return kinds if found else ()


def _one_of(hint: Any) -> OneOf | None:
    notes = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
    return next((note for note in notes if isinstance(note, OneOf)), None)


def _of_kind(kinds: tuple[type, ...], values: Any, path: str) -> type:
    """Which of several dataclasses the values are of, by their entry ``kind``."""
    if not isinstance(values, dict) or "kind" not in values:
        return kinds[0]
    names = {_literal(_hints(kind)["kind"]): kind for kind in kinds}
    name = values["kind"]
    if not isinstance(name, str) or name not in names:
        expected = " or ".join(map(repr, names))
        raise InputError(f"{_join(path, 'kind')} {shown(name)}: expected {expected}")
    return names[name]


def _literal(hint: Any) -> Any:
    """The one value of an annotation, behind its notes."""
    first = typing.get_args(hint)[0]
    return _literal(first) if typing.get_args(first) else first


def _as_python(value: Any) -> Any:
    """The value with numbers of Python for those of numpy, and tuples as lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_as_python(entry) for entry in value]
    return value


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        value = list(value.values())
    return not isinstance(value, list) or all(map(_is_finite, value))


def _has_figures(hint: Any) -> bool:
    return hint == Figure or any(map(_has_figures, typing.get_args(hint)))


_NAMES = {
    int: "a whole number",
    float: "a finite number",
    bool: "True or False",
    str: "a text",
    types.NoneType: "None",
}


def _words(hint: Any) -> str:
    """The values that an annotation allows, in words."""
    arguments = typing.get_args(hint)
    match typing.get_origin(hint):
        case typing.Annotated:
            meta = next((note for note in arguments[1:] if isinstance(note, Meta)), Meta())
            if typing.get_origin(arguments[0]) is tuple:
                size = _limits(meta.min_length, meta.max_length)
                return f"{size} values, each {_words(arguments[0])}"
            limits = _limits(meta.ge, meta.le, meta.gt, meta.lt)
            return f"{_words(arguments[0])} {limits}".rstrip()
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
    return _NAMES.get(hint) or f"a {getattr(hint, '__name__', hint)}"


def _limits(
    least: float | None,
    most: float | None,
    above: float | None = None,
    below: float | None = None,
) -> str:
    if least is not None and most is not None:
        return f"from {least:,} to {most:,}"
    ends = {"of at least": least, "above": above, "of at most": most, "below": below}
    return " and ".join(f"{word} {end:,}" for word, end in ends.items() if end is not None)
