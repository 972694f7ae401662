"""What to evaluate on, as a command line or a suite file says it."""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxmotion.errors import InputError
from jaxmotion.evaluation.discovery import data_name, is_built, protocol_of
from jaxmotion.evaluation.methods import ResultFolder
from jaxmotion.evaluation.protocol import preset
from jaxmotion.evaluation.suite import DatasetPlan
from jaxmotion.files import reading

# What a dataset of a suite file may say, and as what.
KEYS: dict[str, type | tuple[type, ...]] = {
    "data": str,
    "name": str,
    "protocol": str,
    "flow": str,
    "select": str,
    "cut": (int, list),
    "frames": str,
    "split": str,
    "sequences": list,
    "compare": dict,
}


def plan_name(text: str) -> str:
    """A name for folders."""
    kept = "".join(c if c.isalnum() or c in "-_.+=" else "_" for c in text).lstrip(".")
    return kept or "data"


def named_path(text: str) -> tuple[str, Path]:
    """Reads `NAME=FOLDER`, or `FOLDER`, which gives its own name."""
    name, separator, folder = text.partition("=")
    if not separator or Path(text).exists():
        name, folder = Path(text).resolve().name, text
    if not name or not folder:
        raise InputError(f"{text}: expected NAME=FOLDER")
    return plan_name(name), Path(folder)


def result_folders(
    texts: Sequence[str], select: str | None = None, num_masks: int | None = None
) -> list[ResultFolder]:
    """The result folders of a command line.

    Args:
        texts: `NAME=FOLDER` or `FOLDER`.
        select: Rule for all of them; None takes every label but 0 for foreground.
        num_masks: Labels must be below it.

    Raises:
        InputError: A folder is missing, or there can be no label.
    """
    if num_masks is not None and num_masks < 1:
        raise InputError(f"--num-masks {num_masks}: expected at least 1")
    found = []
    for text in texts:
        name, folder = named_path(text)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of results, expected SEQUENCE/FRAME.png")
        found.append(ResultFolder(name, folder, select or "nonzero", num_masks))
    return found


def read_suite(path: str | Path) -> list[DatasetPlan]:
    """Reads a suite file: TOML with a table `[[dataset]]` for each dataset.

    A dataset has `data`, and what else it needs of `name`, `protocol`, `flow`, `select`, `cut` (a
    number, or a list of numbers that makes a dataset of each), `frames`, `split`, `sequences` and
    `compare` (a table of names and folders). Paths are relative to the file.

    Raises:
        InputError: The file cannot be read, or says what is not known.
    """
    path = Path(path)
    with reading(path):
        data = path.read_bytes()
    try:
        content = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file ({error})") from error
    entries = content.pop("dataset", None)
    if content or not isinstance(entries, list) or not entries:
        unknown = f", not {', '.join(content)}" if content else ""
        raise InputError(f"{path}: expected a table [[dataset]] for each dataset{unknown}")
    plans = [plan for entry in entries for plan in _plans(path, entry)]
    names = [plan.name for plan in plans]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: two datasets are called {name!r}, give each a name")
    return plans


def _plans(path: Path, entry: Any) -> list[DatasetPlan]:
    _check_types(path, entry)
    if "data" not in entry:
        raise InputError(f"{path}: a dataset without data, expected data = FOLDER")
    data = entry["data"]
    root = Path(data) if is_built(data) else path.parent / data
    cuts = entry.get("cut", 0)
    cuts = cuts if isinstance(cuts, list) else [cuts]
    plans = []
    try:
        name = plan_name(entry.get("name", data_name(root)))
        compare = [
            replace(folder, name=plan_name(key))
            for key, text in entry.get("compare", {}).items()
            for folder in result_folders([str(path.parent / text)])
        ]
        for cut in cuts:
            protocol = preset(
                entry.get("protocol", protocol_of(root)),
                select=entry.get("select"),
                cut=cut,
                frames=entry.get("frames"),
            )
            plans.append(
                DatasetPlan(
                    name=name + (f"_cut{cut}" if len(cuts) > 1 else ""),
                    root=root,
                    flow=entry.get("flow", "raft"),
                    protocol=protocol,
                    sequences=tuple(entry.get("sequences", ())),
                    split=entry.get("split"),
                    methods=tuple(compare),
                )
            )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return plans


def _check_types(path: Path, entry: Any) -> None:
    """Checks keys and types of a dataset; what the values may be is the protocol's to say."""
    if not isinstance(entry, dict):
        raise InputError(f"{path}: expected a table [[dataset]] for each dataset, not {entry!r}")
    for key, value in entry.items():
        if key not in KEYS:
            raise InputError(f"{path}: {key!r} is unknown, expected {', '.join(KEYS)}")
        if not isinstance(value, KEYS[key]) or isinstance(value, bool) or value in ("", []):
            raise InputError(f"{path}: {key} = {value!r} is of the wrong type, or empty")
    for cut in cuts if isinstance(cuts := entry.get("cut", 0), list) else [cuts]:
        if not isinstance(cut, int) or isinstance(cut, bool):
            raise InputError(f"{path}: cut = {cuts!r}, expected numbers of frames")
    for key in ("sequences", "compare"):
        values = entry.get(key, ())
        values = values.values() if isinstance(values, dict) else values
        if not all(isinstance(value, str) and value for value in values):
            raise InputError(f"{path}: {key} = {entry[key]!r}, expected texts")
