"""A trained network as one file that can be passed on: ``NAME.safetensors``.

The tensors are the parameters in float16, named by their way through the network
(``unet/left_0/...``); of a task with more collections than parameters, the others have the name
of their collection and ``:`` in front. The metadata has one entry, ``jaxmotion``, in JSON, with
``format`` (1), ``config``, ``step``, ``metrics`` and ``provenance``, as in `Trained`.

Where files must be small, some tensors lie beside it in ``NAME.part2.safetensors`` and so on. All
have the same metadata then, with ``parts``, how many there are.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.locks import locked
from jaxmotion.models.trained import (
    Trained,
    check_variables,
    flat_variables,
    nested_variables,
    without_folders,
)
from jaxmotion.options import CountOrZero, Meta, from_json, shown, to_json
from jaxmotion.output_folder import take_place
from jaxmotion.tensors import read_safetensors, write_safetensors
from jaxmotion.training.config import read_config
from jaxmotion.training.metrics import json_safe

SUFFIX = ".safetensors"
FORMAT = 1
_ENTRY = "jaxmotion"


@dataclass(frozen=True)
class _Note:
    """The metadata of a network, its configuration apart."""

    step: CountOrZero
    metrics: dict[str, float | None]
    provenance: dict[str, str]
    parts: Annotated[int, Meta(ge=1, le=1_000)] = 1


_NOTED = {field.name for field in dataclasses.fields(_Note)}


def write_model(path: str | os.PathLike, trained: Trained, part_bytes: int | None = None) -> None:
    """Writes a trained network as one file, whole or not at all, with its parts if it has any.

    An error or an interrupt leaves an earlier model as it was. Only a process that is killed at the
    very moment when the parts change places leaves some of each, which `read_model` then says.

    Of the paths in its configuration only the last names are kept: a folder of the machine that
    trained it says nothing on another one.

    Args:
        path: the file, ``NAME.safetensors``. An earlier model file of that name is replaced.
        trained: the network. Its parameters are rounded to float16.
        part_bytes: the most parameters that one file may hold, a single tensor apart; one file
            holds them all if not given.

    Raises:
        InputError: something else is at ``path`` or where a part goes, another run writes there, or
            it cannot be written; or a parameter is out of the range of float16.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(f"{path}: expected the name of a file, NAME{SUFFIX}")
    with np.errstate(over="ignore"):  # told below, by name
        halves = {
            name: np.asarray(leaf).astype(np.float16)
            for name, leaf in flat_variables(trained.variables).items()
        }
    for name, half in halves.items():
        if not np.isfinite(half).all():
            raise InputError(
                f"{path}: parameter {name} is NaN or beyond ±65504, which float16 cannot hold"
            )
    parts = [halves] if part_bytes is None else _divide(halves, part_bytes)
    note = {
        "format": FORMAT,
        "config": to_json(without_folders(trained.config)),
        "step": trained.step,
        "metrics": json_safe(dict(trained.metrics)),
        "provenance": dict(trained.provenance),
    }
    if len(parts) > 1:
        note["parts"] = len(parts)
    metadata = {_ENTRY: json.dumps(note)}
    names = [_part(path, number).name for number in range(1, len(parts) + 1)]
    with locked(path.parent, path.name):
        replaced = _replaced_files(path, names)
        new = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            new.mkdir()
            for name, part in zip(names, parts, strict=True):
                write_safetensors(new / name, part, metadata)
            take_place(new, path.parent, replaced)
        except InputError as error:
            raise InputError(str(error).replace(str(new), str(path.parent))) from error
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)


def model_paths(path: str | os.PathLike) -> list[Path]:
    """The files of a model: its own, and those of its other parts, as it says itself."""
    path = Path(path)
    metadata = _metadata(path)
    if _ENTRY not in metadata:
        return [path]
    try:
        count = _read_note(path, metadata[_ENTRY])[1]
    except InputError:
        return [path]
    parts = (_part(path, number) for number in range(2, count + 1))
    return [path, *(part for part in parts if _metadata(part) == metadata)]


def read_model(path: str | os.PathLike) -> Trained:
    """Reads what `write_model` wrote.

    Args:
        path: the model file.

    Returns:
        The network, its parameters in float32.

    Raises:
        InputError: no such file, a damaged one, one that is no model of jaxmotion or that a later
            version wrote, or parameters that are not those of the network in its configuration.
    """
    tensors, metadata = read_safetensors(path)
    if _ENTRY not in metadata:
        raise InputError(
            f"{path}: no model of jaxmotion, expected a file that `jaxmotion export` wrote"
        )
    trained, num_parts = _read_note(path, metadata[_ENTRY])
    for number in range(2, num_parts + 1):
        part = _part(Path(path), number)
        more, other = read_safetensors(part)
        if other != metadata:
            raise InputError(f"{part}: no part of {path}, expected what was written with it")
        twice = sorted(tensors.keys() & more.keys())
        if twice:
            raise InputError(f"{part}: holds {shown(twice[0])}, as another part of {path} does")
        tensors |= more
    check_variables(path, trained.config, tensors)
    single = {}
    for name, tensor in tensors.items():
        with np.errstate(over="ignore"):  # told below
            single[name] = tensor.astype(np.float32) if tensor.dtype.kind == "f" else tensor
        if tensor.dtype.kind != "f" or not np.isfinite(single[name]).all():
            raise InputError(f"{path}: parameter {name} holds integers, NaN or infinity")
    variables = nested_variables(single)
    return trained._replace(params=variables.pop("params"), collections=variables)


def _part(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.stem}.part{number}{SUFFIX}")


def _divide(tensors: Mapping[str, np.ndarray], most: int) -> list[dict[str, np.ndarray]]:
    """The tensors in order, in as many parts as it takes."""
    parts: list[dict[str, np.ndarray]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if parts[-1] and size + tensor.nbytes > most:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += tensor.nbytes
    return parts


def _replaced_files(path: Path, names: Sequence[str]) -> list[str]:
    """The files of the earlier model, by name; refuses to replace any other."""
    earlier = model_paths(path)
    for file in map(path.with_name, names):
        is_model = _ENTRY in _metadata(file) if file == path else _is_part(file)
        if os.path.lexists(file) and file not in earlier[1:] and not is_model:
            kind = "model file" if file == path else f"part of {path.name}"
            raise InputError(f"{file}: is there and no {kind}, so it is kept; expected a new name")
    return [file.name for file in earlier if os.path.lexists(file)]


def _is_part(path: Path) -> bool:
    """Whether a file is one of several of a model, as a killed run may have left it."""
    try:
        return int(json.loads(_metadata(path)[_ENTRY]).get("parts", 1)) > 1
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return False


def _metadata(path: Path) -> dict[str, str]:
    """The notes of a file; none where it cannot be read."""
    try:
        return read_safetensors(path)[1]
    except InputError:
        return {}


def _read_note(path: str | os.PathLike, text: str) -> tuple[Trained, int]:
    """All but the parameters, and how many parts these are in."""
    damaged = InputError(f"{path}: its metadata is damaged, expected what `jaxmotion export` wrote")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged from error
    if not isinstance(values, dict) or "format" not in values:
        raise damaged
    if type(values["format"]) is not int or values["format"] != FORMAT:
        raise InputError(
            f"{path}: a model file of format {shown(values['format'])}, expected {FORMAT}; a later "
            "version of jaxmotion reads it"
        )
    try:
        note = from_json(_Note, {name: values[name] for name in values.keys() & _NOTED})
    except InputError as error:
        raise InputError(f"{damaged} ({error})") from error
    config = read_config(path, values.get("config"))
    return Trained(config, {}, note.step, note.metrics, note.provenance), note.parts
