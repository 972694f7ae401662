"""The layout of DAVIS: the one place that knows where what lies in such a folder.

ROOT/Annotations/480p/SEQ/*.png      masks, see `jaxmotion.data.masks`; non-zero = foreground
ROOT/JPEGImages/480p/SEQ/*.jpg       frames; needed for pictures, and where only some are annotated
ROOT/Flows/NAME/SEQ.npz              key "flow" [T, h, w, 2], or
ROOT/Flows/NAME/SEQ/*.flo            one file per flow (or KITTI's .png, or a flow.npz)
ROOT/ImageSets/SPLIT.txt             one sequence name per line, optional

Flow, masks and frames belong together by their names, see `jaxmotion.data.pairing`. An `.npz` has
none, unless `jaxmotion flow` wrote it: it must have as many fields as there are frames, or one
less.
"""

import collections.abc
import os
import re
from dataclasses import dataclass
from pathlib import Path

from jaxmotion.data.masks import MASK_SUFFIXES
from jaxmotion.data.video import FRAME_SUFFIXES
from jaxmotion.errors import InputError
from jaxmotion.files import list_files, numbered, reading

RESOLUTION = "480p"


@dataclass(frozen=True)
class SequenceFiles:
    """Files of the parts of one sequence. Flow t goes from frame t to frame t + 1.

    Attributes:
        name: name of the sequence.
        flow: `.npz` file, or folder of one sequence's flow; None where there is none.
        masks: files of the masks, one per annotated frame, in order; may be empty.
        frames: files of the pictures, one per frame, in order; may be empty.
    """

    name: str
    flow: Path | None
    masks: tuple[Path, ...] = ()
    frames: tuple[Path, ...] = ()


def mask_folder(root: Path, name: str = "", annotations: str = "Annotations") -> Path:
    """The folder of the masks of a sequence.

    Args:
        root: folder laid out like DAVIS.
        name: name of the sequence; left out, the folder of all.
        annotations: name of the folder of annotations.
    """
    return root / annotations / RESOLUTION / name


def frame_folder(root: Path, name: str = "") -> Path:
    """The folder of the frames of a sequence.

    Args:
        root: folder laid out like DAVIS.
        name: name of the sequence; left out, the folder of all.
    """
    return root / "JPEGImages" / RESOLUTION / name


def flow_folder(root: Path, flow: str | None) -> Path:
    """The folder of the flow of all sequences.

    Args:
        root: folder laid out like DAVIS.
        flow: NAME of Flows/NAME; None where there is only one.

    Returns:
        The folder, which is there.

    Raises:
        InputError: no such folder, or several and none is named.
    """
    with reading(root):
        names = sorted(path.name for path in (root / "Flows").iterdir() if path.is_dir())
    if not flow and len(names) != 1:
        raise InputError(f"{root / 'Flows'}: holds {names}, expected the option flow to name one")
    folder = root / "Flows" / (flow or names[0])
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, there are {names}")
    return folder


def find_files(root: Path, name: str, flow: Path | None) -> SequenceFiles:
    """Finds the masks and frames of a sequence.

    Args:
        root: folder laid out like DAVIS.
        name: name of the sequence.
        flow: file or folder of its flow; None for none.

    Returns:
        What is there; masks and frames may be missing.

    Raises:
        InputError: files that are not one numbered series.
    """
    masks = _pictures(mask_folder(root, name), MASK_SUFFIXES)
    return SequenceFiles(name, flow, masks, _pictures(frame_folder(root, name), FRAME_SUFFIXES))


def sequence_folders(folder: Path) -> set[str]:
    """The names of the folders in a folder, but for hidden ones."""
    with reading(folder):
        return {p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")}


def _pictures(folder: Path, suffixes: collections.abc.Sequence[str]) -> tuple[Path, ...]:
    """The pictures of a folder in the order of their numbers; none where there is no folder."""
    files = list_files(folder, suffixes) if folder.is_dir() else []
    return tuple(numbered(files)[0]) if files else ()


def split_names(root: str | os.PathLike, split: str) -> list[str]:
    """The sequences of a split of a DAVIS-like root.

    Args:
        root: folder with `ImageSets/SPLIT.txt` or, as in the original archives,
            `ImageSets/*/SPLIT.txt`; a line is a name, or the original pair of paths of a frame and
            its annotation (`read_list`).
        split: name of the list, SPLIT.

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
    return sorted({sequence_name(words[0]) for words in read_list(path)})


def sequence_name(word: str) -> str:
    """The sequence that the first word of a line names: itself, or the folder of a frame."""
    return Path(word).parent.name if "/" in word else word


def read_list(path: Path) -> list[list[str]]:
    """The words of the lines of a list of sequences, but for comments (`# ...`) and empty lines.

    Args:
        path: text file in UTF-8, with the mark at its start that Windows' editor writes or
            without.

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
