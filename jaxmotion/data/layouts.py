"""Where the flow of which sequence lies: the layouts of folders that a path may have."""

import os
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
    places = {path.stem: path for path in list_files(folder, (".npz",))}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and list_files(path, (".flo",)):
            if path.name in places:
                raise InputError(f"{path}: a folder and an .npz file of one name, expected one")
            places[path.name] = path
    return sorted(places.items())


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
    places = _sequences_of(folder)
    if not places:
        raise InputError(f"{folder}: {_contents(folder)}, expected SEQUENCE.npz or SEQUENCE/*.flo")
    if not split:
        return places
    there = dict(places)
    wanted = split_names(root, split)
    for name in wanted:
        if name not in there:
            raise InputError(f"{folder / name}: no flow of this sequence of the split {split!r}")
    return [(name, there[name]) for name in wanted]


def split_names(root: str | os.PathLike, split: str) -> list[str]:
    """The sequences of a split of a DAVIS-like root.

    Args:
      root: with `ImageSets/SPLIT.txt` or, as in the original archives, `ImageSets/*/SPLIT.txt`; a
        line is a name, or the original pair of paths of a frame and its annotation.
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
    with reading(path):
        text = path.read_text()
    lines = [line.split()[0] for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path}: empty, expected the name of a sequence in a line")
    return sorted({Path(line).parent.name if "/" in line else line for line in lines})
