"""Notes of the frames that each field of flow in a folder is of, so that names are not trusted.

`fields.jsonl` beside the flow has a line for each field: its name, what tells its two frames from
all others, and roughly what the first one looks like, by which a video is also known in another
encoding or size.
"""

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import reading

NOTES = "fields.jsonl"
_SIDE = 16  # of the picture that stands for a look
# Mean difference of two looks, in gray levels. A frame encoded anew, or made smaller, is less than
# 3 away from what it was (DAVIS, H.264 down to a constant rate factor of 35), another video 40.
_ALIKE = 6.0


@dataclass(frozen=True)
class FrameNote:
    """Note of the two frames of a field.

    Attributes:
        frames: digest of each frame's pixels, that of the field's name first.
        look: first frame in gray, uint8 `[16, 16]`, as bytes.
    """

    frames: tuple[str, str]
    look: bytes

    def looks_like(self, image: np.ndarray) -> bool:
        """Whether the first frame was this one `[H, W, 3]`, in whatever encoding or size."""
        one, other = (
            np.frombuffer(look, np.uint8).astype(int) for look in (self.look, _look(image))
        )
        return bool(np.abs(one - other).mean() < _ALIKE)


def note_frames(image0: np.ndarray, image1: np.ndarray) -> FrameNote:
    """The note of a field from one frame to another.

    Args:
        image0: first frame, uint8 `[H, W, 3]`.
        image1: frame that the flow goes to, uint8 `[H, W, 3]`.
    """
    return FrameNote((frame_digest(image0), frame_digest(image1)), _look(image0))


def frame_digest(image: np.ndarray) -> str:
    """Tells the pixels of a frame, uint8 `[H, W, 3]`, from those of any other."""
    content = hashlib.sha256(np.ascontiguousarray(image).data)
    content.update(str(image.shape).encode())
    return content.hexdigest()[:32]


def _look(image: np.ndarray) -> bytes:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).tobytes()


class FieldNotes:
    """The notes of a folder of flow."""

    def __init__(self, folder: Path):
        """Reads those that are there; a line cut short by a kill is left out.

        Args:
            folder: folder of the flow.

        Raises:
            InputError: the file cannot be read.
        """
        self._path, self._notes = folder / NOTES, {}
        with reading(self._path):
            text = self._path.read_text(errors="replace") if self._path.is_file() else ""
        self._cut_short = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                values = json.loads(line)
                one, other = map(str, values["frames"])
                look = base64.b64decode(values["look"], validate=True)
                if len(look) == _SIDE**2:
                    self._notes[str(values["field"])] = FrameNote((one, other), look)
            except (ValueError, TypeError, KeyError, RecursionError):
                continue

    def __len__(self) -> int:
        """Number of fields that have a note."""
        return len(self._notes)

    def get(self, name: str) -> FrameNote | None:
        """The note of a field; None where there is none."""
        return self._notes.get(name)

    def add(self, name: str, note: FrameNote) -> None:
        """Keeps the note of a field; it is on disk when this returns.

        Args:
            name: name of the field.
            note: note of its two frames.

        Raises:
            InputError: it cannot be written.
        """
        line = json.dumps(
            {"field": name, "frames": note.frames, "look": base64.b64encode(note.look).decode()}
        )
        try:
            with open(self._path, "a") as file:
                file.write(("\n" if self._cut_short else "") + line + "\n")
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{self._path}: cannot be written ({reason})") from error
        self._cut_short = False
        self._notes[name] = note

    def is_of(self, name: str, image: np.ndarray) -> bool:
        """Whether a field can be of a frame, as far as is noted.

        Args:
            name: name of the field.
            image: frame, uint8 `[H, W, 3]`.

        Returns:
            True where nothing is noted of that field, or the frame is the noted one, or one that
            looks like it and is not exactly the frame of other fields.
        """
        note = self._notes.get(name)
        if note is None:
            return True
        digest = frame_digest(image)
        if digest in self._fields_of:
            return name in self._fields_of[digest]
        return note.looks_like(image)

    @cached_property
    def _fields_of(self) -> dict[str, set[str]]:
        """The fields by the digest of their frame; frames may be the same, as in a still scene."""
        fields: dict[str, set[str]] = {}
        for name, note in self._notes.items():
            fields.setdefault(note.frames[0], set()).add(name)
        return fields


def notes_beside(path: str | os.PathLike) -> FieldNotes:
    """The notes of flow, a folder or an archive in one."""
    path = Path(path)
    return FieldNotes(path if path.is_dir() else path.parent)
