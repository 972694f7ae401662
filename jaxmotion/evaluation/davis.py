"""A folder laid out like DAVIS: which sequences it holds, their flow, masks and frames.

ROOT/Annotations/480p/SEQ/*.png      masks, see `jaxmotion.data.masks`; non-zero = foreground
ROOT/JPEGImages/480p/SEQ/*.jpg       frames; needed for pictures, and where only some are annotated
ROOT/Flows/NAME/SEQ.npz              key "flow" [T, h, w, 2], or
ROOT/Flows/NAME/SEQ/*.flo            one file per flow
ROOT/ImageSets/SPLIT.txt             one sequence name per line, optional

Flow, masks and frames belong together by their names, see `jaxmotion.data.pairing`. An `.npz` has
none: it must have as many fields as there are frames, or one less.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from jaxmotion.data.layouts import flow_places, split_names, the_only
from jaxmotion.data.masks import MASK_SUFFIXES
from jaxmotion.data.video import FRAME_SUFFIXES
from jaxmotion.errors import InputError
from jaxmotion.evaluation.davis_sequence import RESOLUTION, DavisSequence
from jaxmotion.files import list_files, numbered

MAX_NAMED = 20  # sequences in one line


def find_sequences(
    root: str | os.PathLike,
    flow_name: str | None,
    names: Sequence[str] = (),
    split: str | None = None,
) -> list[DavisSequence]:
    """Lists the sequences to evaluate.

    Args:
        root: Folder laid out like DAVIS.
        flow_name: Folder of `root/Flows`; None for masks alone.
        names: The sequences wanted.
        split: Or the name of a list in `root/ImageSets`. Without either, every sequence that has
            both flow and annotation.

    Returns:
        The sequences, in the order asked for, otherwise by name.

    Raises:
        InputError: A folder, list, flow or annotation is missing.
    """
    found, missing = look_for_sequences(root, flow_name, names, split)
    for reason in missing.values():
        raise InputError(reason)
    return found


def look_for_sequences(
    root: str | os.PathLike,
    flow_name: str | None,
    names: Sequence[str] = (),
    split: str | None = None,
) -> tuple[list[DavisSequence], dict[str, str]]:
    """As `find_sequences`, but sets aside the sequences that are missing.

    Returns:
        The sequences found, and by name of each other one asked for what is missing.

    Raises:
        InputError: A folder or list is missing, or there is no sequence at all.
    """
    root = Path(root)
    annotations = root / "Annotations" / RESOLUTION
    flows = root / "Flows" / flow_name if flow_name is not None else None
    for folder in (root, annotations, *((flows.parent,) if flows else ())):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder, expected the root of a DAVIS layout")
    if flows is not None and not flows.is_dir():
        known = sorted(path.name for path in flows.parent.iterdir() if path.is_dir())
        raise InputError(f"{flows}: no such folder of flows, found {', '.join(known) or 'none'}")
    if names and split:
        raise InputError("name either sequences or a split, not both")
    if split is not None and not split.strip():
        raise InputError(f"split {split!r}: expected the name of a list in {root / 'ImageSets'}")
    annotated = _folders(annotations)
    there = annotated
    places = flow_places(flows) if flows is not None else {}
    if flows is not None:
        there = annotated & places.keys()
    if split:
        listed = root / "ImageSets" / f"{split}.txt"
        if not listed.exists() and not any((root / "ImageSets").glob(f"*/{split}.txt")):
            known = sorted({path.stem for path in (root / "ImageSets").glob("**/*.txt")})
            raise InputError(
                f"{listed}: cannot be read (no such list, there are {', '.join(known) or 'none'})"
            )
        names = split_names(root, split)
    elif not names:
        names = sorted(there)
        if not names:
            both = f"both a flow in {flows} and" if flows is not None else "masks, expected"
            raise InputError(f"{root}: no sequence has {both} an annotation")
    found, missing = [], {}
    for name in dict.fromkeys(names):
        try:
            if name not in annotated:
                raise InputError(f"{annotations / name}: no such folder of masks")
            flow = None
            if flows is not None:
                if name not in places:
                    raise InputError(_no_flow(flows, name))
                flow = the_only(places[name])
            masks = _pictures(annotations / name, MASK_SUFFIXES)
            if not masks:
                raise InputError(
                    f"{annotations / name}: no masks, expected {', '.join(MASK_SUFFIXES)}"
                )
            frames = _pictures(root / "JPEGImages" / RESOLUTION / name, FRAME_SUFFIXES)
            found.append(DavisSequence(name, flow, masks, frames))
        except InputError as error:
            missing[name] = str(error)
    if not found:
        raise InputError(next(iter(missing.values())))
    return found, missing


def left_out(root: str | os.PathLike, flow_name: str | None) -> list[str]:
    """Says which sequences are not scored where no names are given, because they lack a part.

    Args:
        root: Folder laid out like DAVIS.
        flow_name: Folder of `root/Flows`; None for masks alone, which lack nothing.

    Returns:
        A line for those without flow and one for those without masks, where there are any.
    """
    annotations = Path(root) / "Annotations" / RESOLUTION
    if flow_name is None or not annotations.is_dir():
        return []
    flows = Path(root) / "Flows" / flow_name
    annotated = _folders(annotations)
    with_flow = flow_places(flows).keys() if flows.is_dir() else annotated
    lines = []
    for names, reason in (
        (annotated - with_flow, f"annotated, but without flow in {flows}"),
        (with_flow - annotated, f"without masks in {annotations}"),
    ):
        if names:
            shown = sorted(names)[:MAX_NAMED]
            more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
            lines.append(f"left out, {reason}: {', '.join(shown)}{more}")
    return lines


def _folders(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")}


def _pictures(folder: Path, suffixes: Sequence[str]) -> tuple[Path, ...]:
    """The pictures of a folder in the order of their numbers; none where there is no folder."""
    files = list_files(folder, suffixes) if folder.is_dir() else []
    return tuple(numbered(files)[0]) if files else ()


def _no_flow(flows: Path, name: str) -> str:
    if (flows / name).is_dir():
        return f"{flows / name}: no .flo file in this folder, expected one per pair of frames"
    return f"{flows}/{name}.npz: no such flow, nor a folder {flows}/{name}"
