"""The log of a run: JSON lines, TensorBoard, pictures and the final summary.

In an object store files do not grow: there the lines and TensorBoard's file are put anew every few
seconds (`jaxmotion.training.outbox`).
"""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path
from jaxmotion.stores import talking_to
from jaxmotion.training.outbox import Outbox


class MetricsLog:
    """Appends to ``metrics.jsonl`` and a TensorBoard file in a run's folder.

    Args:
        workdir: the run's folder.
        resume_step: lines past this step, left by a run that was killed after its last
            checkpoint, are dropped, so that each step stands in the file once.

    Attributes:
        board: folder of this machine for TensorBoard's files; what is written there goes to the
            run's folder in a store.
    """

    def __init__(self, workdir: Path, resume_step: int) -> None:
        self._workdir = workdir
        path = workdir / "metrics.jsonl"
        kept = [line for line in _complete_lines(path) if line["step"] <= resume_step]
        self._outbox = Outbox(workdir)
        path = self._outbox.folder / "metrics.jsonl"
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._lines = path.open("a")
        self.board = self._outbox.folder / "tensorboard"
        self._board = SummaryWriter(str(self.board), purge_step=resume_step + 1, flush_secs=30)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Logs scalars; the line is on the disk of this machine when this returns.

        Args:
            step: number of the training step.
            values: scalars by name.

        Raises:
            InputError: the file cannot be written.
        """
        try:
            self._lines.write(json.dumps({"step": step, **json_safe(values)}) + "\n")
            self._lines.flush()
            os.fsync(self._lines.fileno())
        except OSError as error:
            raise InputError(f"{self._lines.name}: cannot be written ({error.strerror})") from error
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def picture(self, step: int, image: np.ndarray | None) -> None:
        """Stores a picture as ``pictures/STEP.png``.

        Args:
            step: number of the training step.
            image: `[H, W, 3]` uint8; None stores nothing.
        """
        if image is None:
            return
        with atomic_path(self._workdir / "pictures" / f"{step:07d}.png") as path:
            Image.fromarray(image).save(path)
        self._board.add_image("masks", image, step, dataformats="HWC")

    def close(self) -> None:
        """Flushes and closes the files."""
        self._lines.close()
        self._board.close()
        self._outbox.close()


class SilentLog:
    """A log that stores nothing, for the processes beside the main one."""

    board = Path()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Ignores the scalars; arguments as in `MetricsLog.write`."""

    def picture(self, step: int, image: np.ndarray | None) -> None:
        """Ignores the picture; arguments as in `MetricsLog.picture`."""

    def close(self) -> None:
        """Closes nothing: there are no files."""


def append_metrics(workdir: Path, step: int, values: dict[str, float]) -> None:
    """Adds a line to the log of a run that has ended, unless it is there already.

    Args:
        workdir: the run's folder.
        step: number of the training step that the values belong to.
        values: scalars by name.
    """
    path = workdir / "metrics.jsonl"
    lines, line = _complete_lines(path), {"step": step, **json_safe(values)}
    if line not in lines:
        write_text(path, "".join(json.dumps(kept) + "\n" for kept in [*lines, line]))


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all.

    Args:
        path: file to write; one that is there already is replaced.
        text: whole content of the file.
    """
    with atomic_path(path, durable=True) as temporary:
        temporary.write_text(text)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a JSON file, whole or not at all.

    Args:
        path: file to write; one that is there already is replaced.
        values: content by name; NaN and infinity become null (`json_safe`).
    """
    write_text(path, json.dumps(json_safe(values), indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        InputError: where the file is missing or holds something else.
    """
    try:
        with talking_to(path):
            text = path.read_text()
        values = json.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable JSON file ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(values).__name__}")
    return values


def json_safe(values: dict[str, Any]) -> dict[str, Any]:
    """Replaces NaN and infinity, which JSON does not know, by None."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def _complete_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of an earlier run; one cut short by a kill is left out."""
    with talking_to(path):
        whole = path.read_text() if path.exists() else ""
    lines = []
    for text in whole.splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines
