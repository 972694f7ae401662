"""Places of the flow of sequences: the layouts of folders that a path may have."""

import logging
import os
from collections import Counter
from pathlib import Path

from jaxmotion.data.davis import flow_folder, split_names
from jaxmotion.errors import InputError
from jaxmotion.files import list_files, reading
from jaxmotion.optical_flow.fields import ARCHIVE, field_files, field_size
from jaxmotion.optical_flow.origin import DESCRIPTION

_log = logging.getLogger(__name__)

LAYOUTS = (
    "an .npz file (key 'flow', [T, H, W, 2]), a folder of .flo files or KITTI .png files, a folder "
    "of such folders or .npz files, or a DAVIS-like root with Flows/NAME/SEQUENCE.npz or "
    "Flows/NAME/SEQUENCE/*.flo"
)


def find_flow(
    root: str | os.PathLike, flow: str | None = None, split: str | None = None
) -> list[tuple[str, Path]]:
    """Finds out the layout of a path and lists its sequences, without reading them.

    Args:
        root: file or folder with one of the layouts of `LAYOUTS`.
        flow: NAME of `root/Flows/NAME`, for a DAVIS-like root with more than one; other layouts
            have no use for it.
        split: name of the list of sequences `root/ImageSets/SPLIT.txt`; all when left out.

    Returns:
        Names and paths of the sequences, sorted by name.

    Raises:
        InputError: nothing there, or a layout that is none of the known ones.
    """
    root = Path(root)
    with reading(root):
        if not root.exists():
            raise InputError(f"{root}: no such file or folder, expected scenes:LEVEL, {LAYOUTS}")
        if is_davis(root):
            return _davis_flow(root, flow, split)
        places = _places(root)
    if not places:
        raise InputError(f"{root}: {_contents(root)}, expected {LAYOUTS}")
    if split:
        raise InputError(
            f"split {split!r}: {root} is no DAVIS-like root (it has no folder Flows), expected "
            'one; or --data.split "", for all that is there'
        )
    return places


def is_davis(root: Path) -> bool:
    """Whether a folder is laid out like DAVIS, with flow."""
    return (root / "Flows").is_dir()


def _places(root: Path) -> list[tuple[str, Path]]:
    if root.is_file():
        if root.suffix.lower() not in (".npz", ".flo", ".png"):
            raise InputError(f"{root}: a {root.suffix or 'nameless'} file, expected {LAYOUTS}")
        return [(root.stem, root)]
    if has_flow(root) and not _is_one_of_many(field_files(root)[0]):
        if beside := [name for name in flow_places(root) if name != Path(ARCHIVE).stem]:
            _log.warning("%s: read as one sequence; left out: %s", root, ", ".join(beside))
        return [(root.resolve().name, root)]
    _tell_left_out(root)
    return [(name, the_only(paths)) for name, paths in flow_places(root).items()]


def _is_one_of_many(file: Path) -> bool:
    """Whether an archive is of a sequence `flow` beside others, not made by `jaxmotion flow`."""
    return file.name == ARCHIVE and not file.with_name(DESCRIPTION).is_file()


def _tell_left_out(folder: Path) -> None:
    """Names the folders in a folder of sequences that have no flow."""
    there = flow_places(folder)
    folders = (path for path in folder.iterdir() if path.is_dir())
    names = sorted(p.name for p in folders if not p.name.startswith(".") and p.name not in there)
    if there and names:
        _log.warning("%s: left out, no .flo file in: %s", folder, ", ".join(names))


def has_flow(folder: Path) -> bool:
    """Whether a folder holds the flow of one sequence; pictures are flow where they are KITTI's."""
    try:
        files = field_files(folder)
        return files[0].suffix.lower() != ".png" or field_size(files[0])[0] == 1
    except InputError:
        return False


def flow_places(folder: Path) -> dict[str, list[Path]]:
    """Places where the flow of each sequence may lie in a folder of flow.

    Args:
        folder: folder of flow, with SEQUENCE.npz, or folders SEQUENCE of one sequence each
            (`has_flow`).

    Returns:
        All places by the name of the sequence, sorted; `the_only` takes the one.

    Raises:
        InputError: no such folder, or one that cannot be read.
    """
    places: dict[str, list[Path]] = {}
    for path in list_files(folder, (".npz",)):
        places.setdefault(path.stem, []).append(path)
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and has_flow(path):
            places.setdefault(path.name, []).append(path)
    return dict(sorted(places.items()))


def the_only(places: list[Path]) -> Path:
    """The place of a sequence's flow, where it is clear which.

    Args:
        places: places of the flow of one sequence, from `flow_places`.

    Returns:
        The place.

    Raises:
        InputError: there are several, such as a folder and an `.npz` file of one name.
    """
    if len(places) > 1:
        raise InputError(
            f"{places[-1]}: flow of the same sequence as {places[0].name}, expected one of them"
        )
    return places[0]


def _contents(folder: Path) -> str:
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if not entries:
        return "an empty folder"
    kinds = Counter("folder" if p.is_dir() else f"{p.suffix or 'other'} file" for p in entries)
    return "holds " + ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in kinds.most_common(4))


def _davis_flow(root: Path, flow: str | None, split: str | None) -> list[tuple[str, Path]]:
    folder = flow_folder(root, flow)
    places = flow_places(folder)
    if not places:
        raise InputError(f"{folder}: {_contents(folder)}, expected SEQUENCE.npz or SEQUENCE/*.flo")
    if not split:
        _tell_left_out(folder)
    wanted = split_names(root, split) if split else list(places)
    for name in wanted:
        if name not in places:
            raise InputError(f"{folder / name}: no flow of this sequence of the split {split!r}")
    return [(name, the_only(places[name])) for name in wanted]
