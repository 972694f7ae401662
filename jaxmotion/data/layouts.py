"""Where the flow of which sequence lies: the layouts of folders that a path may have."""

import os
import re
from collections import Counter
from pathlib import Path

from jaxmotion.errors import InputError
from jaxmotion.files import list_files, reading

LAYOUTS = (
    "an .npz file (key 'flow', [T, H, W, 2]), a folder of .flo files, a folder of such folders or "
    ".npz files, or a DAVIS-like root with Flows/NAME/SEQUENCE.npz or Flows/NAME/SEQUENCE/*.flo"
)


def find_sequences(
    root: str | os.PathLike, flow: str | None = None, split: str | None = None
) -> list[tuple[str, Path]]:
    """Finds out which layout a path has and lists its sequences, without reading them.

    Args:
      root: see `LAYOUTS`.
      flow: NAME of `root/Flows/NAME`, for a DAVIS-like root with more than one; other layouts have
        no use for it.
      split: name of the list of sequences `root/ImageSets/SPLIT.txt`; all when left out.

    Returns:
      Names and paths of the sequences, sorted by name.

    Raises:
      InputError: nothing there, or a layout that is none of the known ones.
    """
    with reading(root):
        return _find_sequences(Path(root), flow, split)


def _find_sequences(root: Path, flow: str | None, split: str | None) -> list[tuple[str, Path]]:
    if not root.exists():
        raise InputError(f"{root}: no such file or folder, expected scenes:LEVEL, {LAYOUTS}")
    if root.is_file():
        if root.suffix.lower() not in (".npz", ".flo"):
            raise InputError(f"{root}: a {root.suffix or 'nameless'} file, expected {LAYOUTS}")
        places = [(root.stem, root)]
    elif (root / "Flows").is_dir():
        places, split = _davis_sequences(root, flow, split), None
    elif list_files(root, (".flo",)):
        places = [(root.resolve().name, root)]
    else:
        places = _sequences_of(root)
    if not places:
        raise InputError(f"{root}: {_contents(root)}, expected {LAYOUTS}")
    if split:
        raise InputError(f"split {split!r}: {root} is no DAVIS-like root (it has no folder Flows)")
    return places


def _sequences_of(folder: Path) -> list[tuple[str, Path]]:
    return [(name, the_only(paths)) for name, paths in flow_places(folder).items()]


def flow_places(folder: Path) -> dict[str, list[Path]]:
    """Where the flow of each sequence may lie in a folder of flow.

    Args:
      folder: with SEQUENCE.npz or SEQUENCE/*.flo.

    Returns:
      All places by the name of the sequence, sorted; see `the_only`.

    Raises:
      InputError: no such folder, or one that cannot be read.
    """
    places: dict[str, list[Path]] = {}
    for path in list_files(folder, (".npz",)):
        places.setdefault(path.stem, []).append(path)
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and list_files(path, (".flo",)):
            places.setdefault(path.name, []).append(path)
    return dict(sorted(places.items()))


def the_only(places: list[Path]) -> Path:
    """The place of a sequence's flow, where it is clear which.

    Args:
      places: one of the values of `flow_places`.

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


def _davis_sequences(root: Path, flow: str | None, split: str | None) -> list[tuple[str, Path]]:
    names = sorted(path.name for path in (root / "Flows").iterdir() if path.is_dir())
    if not flow and len(names) != 1:
        raise InputError(f"{root / 'Flows'}: holds {names}, expected the option flow to name one")
    folder = root / "Flows" / (flow or names[0])
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, there are {names}")
    places = flow_places(folder)
    if not places:
        raise InputError(f"{folder}: {_contents(folder)}, expected SEQUENCE.npz or SEQUENCE/*.flo")
    wanted = split_names(root, split) if split else list(places)
    for name in wanted:
        if name not in places:
            raise InputError(f"{folder / name}: no flow of this sequence of the split {split!r}")
    return [(name, the_only(places[name])) for name in wanted]


def split_names(root: str | os.PathLike, split: str) -> list[str]:
    """The sequences of a split of a DAVIS-like root.

    Args:
      root: with `ImageSets/SPLIT.txt` or, as in the original archives, `ImageSets/*/SPLIT.txt`; a
        line is a name, or the original pair of paths of a frame and its annotation (`read_list`).
      split: SPLIT.

    Returns:
      The names, sorted.

    Raises:
      InputError: no such list, several that differ (those of 480p and 1080p name the same), or an
        empty one.
    """
    folder = Path(root) / "ImageSets"
    with reading(folder):
        found = [folder / f"{split}.txt"]
        if not found[0].is_file():
            found = sorted(folder.glob(f"*/{split}.txt"))
    lists = {tuple(_names_in(path)) for path in found}
    if len(lists) != 1:
        known = sorted({path.stem for path in folder.glob("**/*.txt")})
        raise InputError(f"{folder}: {len(lists)} lists of the split {split!r}, there are {known}")
    return list(lists.pop())


def _names_in(path: Path) -> list[str]:
    names = [words[0] for words in read_list(path)]
    return sorted({Path(name).parent.name if "/" in name else name for name in names})


def read_list(path: Path) -> list[list[str]]:
    """The words of the lines of a list of sequences, but for comments (`# ...`) and empty lines.

    Args:
      path: a text file in UTF-8, with the mark at its start that Windows' editor writes or without.

    Returns:
      At least one line of at least one word.

    Raises:
      InputError: missing, not text, or empty.
    """
    with reading(path):
        data = path.read_bytes()
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not a text file in UTF-8, expected a list of sequences"
        ) from error
    words = [re.sub(r"(^|\s)#.*", "", line).split() for line in lines]
    words = [line for line in words if line]
    if not words:
        raise InputError(f"{path}: empty, expected the name of a sequence in a line")
    return words
