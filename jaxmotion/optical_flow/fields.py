"""The fields of a video's flow: their files, the headers of these, and all fields at once.

They are an `.npz`, or a folder with one file a field, or with a `flow.npz`.
"""

import os
from pathlib import Path

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.files import list_files, numbered, reading
from jaxmotion.optical_flow.arrays import known_flow
from jaxmotion.optical_flow.formats import (
    flo_size,
    flow_npz_size,
    read_flow_and_valid,
    read_flow_npz,
)
from jaxmotion.optical_flow.kitti import kitti_size
from jaxmotion.optical_flow.npz import open_npz

ARCHIVE = "flow.npz"  # all fields of a folder in one file
UNFINISHED = "unfinished"  # the folder of an archive's fields until all are there


def read_flow_sequence(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Reads the flow of a whole video.

    Args:
        path: place of the flow: an `.npz` file, a folder of numbered `.flo` or KITTI `.png` files
            or with a `flow.npz`, or one such file.

    Returns:
        flow float32 `[T, H, W, 2]`, zero where unknown, and bool `[T, H, W]`, where it is known.

    Raises:
        InputError: nothing there, a missing frame, files of different sizes, or a bad file.
    """
    with reading(path):
        files = [Path(path)] if Path(path).is_file() else flow_files(path)
    if files[0].suffix.lower() == ".npz":
        flow, known = known_flow(files[0], *read_flow_npz(files[0]))
        return flow.astype(np.float32, copy=False), known
    fields = []
    for file in files:
        fields.append(read_flow_and_valid(file))
        (height, width), first = fields[-1][1].shape, fields[0][1].shape
        if (height, width) != first:
            raise InputError(
                f"{file}: {width} x {height}, expected {first[1]} x {first[0]} as {files[0].name}"
            )
    flow, known = (np.stack(arrays) for arrays in zip(*fields, strict=True))
    return flow, known


def flow_files(folder: str | os.PathLike) -> list[Path]:
    """Lists the flow files of a folder in the order of their numbers.

    Args:
        folder: folder of the flow of one sequence.

    Returns:
        The `.flo` files; where there is none, the `flow.npz` alone, or else the `.png` files.

    Raises:
        InputError: no such folder, no such file in it, or a gap in the numbering.
    """
    files, missing = numbered(field_files(folder))
    if missing:
        raise InputError(f"{min(missing.values())}: missing frame in a sequence of {len(files)}")
    return files


def field_files(folder: str | os.PathLike) -> list[Path]:
    """The files that the fields of a folder are in.

    Args:
        folder: folder of the flow of one sequence.

    Returns:
        Its `.flo` files; where there is none, its `flow.npz` alone, or else its `.png` files. At
        least one, by name.

    Raises:
        InputError: no such folder, no such file in it, or an archive that is not finished.
    """
    folder = Path(folder)
    files = list_files(folder, (".flo",))
    if not files and (folder / ARCHIVE).is_file():
        return [folder / ARCHIVE]
    files = files or list_files(folder, (".png",))
    if not files and (folder / UNFINISHED).is_dir():
        raise InputError(
            f"{folder}: its {ARCHIVE} is not finished; run the same jaxmotion flow again"
        )
    if not files:
        raise InputError(
            f"{folder}: no flow in this folder, expected {ARCHIVE} or a file per pair of frames "
            "(there is no .flo file, nor a KITTI .png)"
        )
    return files


def field_size(file: str | os.PathLike) -> tuple[int, int, int]:
    """Reads the header of a file of flow.

    Args:
        file: file of flow, an `.npz`, a `.flo` or a KITTI `.png`.

    Returns:
        `(T, height, width)`; T is 1 where a file is a field.

    Raises:
        InputError: missing, of another kind, or not what its suffix says.
    """
    match Path(file).suffix.lower():
        case ".npz":
            return flow_npz_size(file)
        case ".flo":
            return 1, *flo_size(file)
        case ".png":
            return 1, *kitti_size(file)
    raise InputError(f"{file}: unknown kind of flow file, expected .flo, .png (KITTI) or .npz")


def named_fields(path: str | os.PathLike) -> list[Path]:
    """The names of the fields of a video's flow, for pairing them with frames.

    Args:
        path: place of the flow: an `.npz` file, a folder of fields or with a `flow.npz`, or one
            field.

    Returns:
        A path for each field in order, whose stem is its name: its file, or its place in an
        archive. Empty where an archive does not name its fields.

    Raises:
        InputError: no such folder, no such file in it, or a gap in the numbering.
    """
    with reading(path):
        files = [Path(path)] if Path(path).is_file() else flow_files(path)
    if files[0].suffix.lower() != ".npz":
        return files
    names = archive_names(files[0])
    return [files[0] / name for name in names] if len(names) == field_size(files[0])[0] else []


def archive_names(path: str | os.PathLike) -> list[str]:
    """The names of the fields in an archive; none where nobody noted them.

    Args:
        path: `.npz` file of the flow.

    Raises:
        InputError: it cannot be read.
    """
    with open_npz(path, "damaged, expected an .npz file of flow") as archive:
        if "names" not in archive.names:
            return []
        names = archive.read("names")
    return [str(name) for name in names] if names.ndim == 1 else []
