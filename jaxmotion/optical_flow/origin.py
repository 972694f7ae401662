"""Origin of the flow of a folder: `flow.json` beside it, which later runs and readers look at."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.fields import ARCHIVE

DESCRIPTION = "flow.json"
_NOT_COMPARED = ("version", "source")  # a video may be renamed; its frames are compared


@dataclass(frozen=True)
class FlowOrigin:
    """Origin of flow, as `flow.json` beside it says.

    Attributes:
        estimator: name of the estimator.
        settings: settings of the estimator, ready for JSON.
        gap: number of frames from one to the other.
        backward: whether the flow goes to the earlier frame.
        source: name of the video, where it is noted; it may have been renamed since.
        size: `(height, width)` of the frames, in whose pixels vectors are measured, where noted.
    """

    estimator: str
    settings: dict[str, Any]
    gap: int = 1
    backward: bool = False
    source: str | None = field(default=None, compare=False)
    size: tuple[int, int] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        """Direction and gap in words."""
        return f"{'backward' if self.backward else 'forward'} flow with a gap of {self.gap}"


def read_flow_origin(path: str | os.PathLike) -> FlowOrigin | None:
    """Reads the origin of flow, where it was noted.

    Args:
        path: folder of flow, or the `flow.npz` in it.

    Returns:
        The origin; None for flow without a `flow.json`.

    Raises:
        InputError: a `flow.json` that is not one of ours.
    """
    path = Path(path)
    file = (path.parent if path.name == ARCHIVE else path) / DESCRIPTION
    with reading(file):
        if not file.is_file():
            return None
        text = file.read_text(errors="replace")
    try:
        found = json.loads(text)
        gap, direction = int(found["gap"]), found["direction"]
        if gap < 1 or direction not in ("forward", "backward"):
            raise ValueError
        settings, source = dict(found["settings"]), found.get("source")
        size = tuple(found.get(side) for side in ("height", "width"))
        return FlowOrigin(
            str(found["estimator"]),
            settings,
            gap,
            direction == "backward",
            source if isinstance(source, str) else None,
            size if all(type(side) is int and side > 0 for side in size) else None,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{file}: damaged, expected what jaxmotion flow writes") from error


def describe(folder: Path, description: Mapping[str, Any], ours: tuple[str, ...]) -> None:
    """Writes `flow.json`, or checks that the one which is there says the same.

    Args:
        folder: folder of the flow.
        description: content of the file, ready for JSON.
        ours: names of files and folders that none but a run of ours makes.

    Raises:
        InputError: other flow is there, or flow that nothing is known of.
    """
    path = folder / DESCRIPTION
    with reading(folder):
        text = path.read_text(errors="replace") if path.exists() else None
        inside = sorted(folder.iterdir())
    strangers = [
        entry
        for entry in inside
        if entry.suffix.lower() in (".flo", ".png", ".npz") or entry.name in ours
    ]
    if text is None and strangers:
        raise InputError(f"{strangers[0]}: flow of another origin? give another folder")
    if text is None:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(description, indent=2) + "\n")
        return
    try:
        found = dict(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: damaged, remove it or give another folder") from error
    for key, value in description.items():
        if key in _NOT_COMPARED:
            continue
        if _telling(found.get(key)) != _telling(value):
            raise InputError(
                f"{folder}: holds flow with {key} {found.get(key)!r}, not {value!r}; "
                "give another folder"
            )


def _telling(value: Any) -> Any:
    """A value as JSON gives it back, without the name of a file whose content is there as well."""
    if isinstance(value, dict):
        return {k: _telling(v) for k, v in value.items() if f"{k}_sha256" not in value}
    return list(value) if isinstance(value, tuple) else value
