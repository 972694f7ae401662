"""Which sequences an evaluation has: of a folder laid out like DAVIS, or of a built data set."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxmotion.data.davis import (
    SequenceFiles,
    find_files,
    frame_folder,
    mask_folder,
    sequence_folders,
    split_names,
)
from jaxmotion.data.file_sequences import open_files
from jaxmotion.data.flow_cache import FlowCache
from jaxmotion.data.layouts import flow_places, the_only
from jaxmotion.data.masks import MASK_SUFFIXES
from jaxmotion.data.record_sequences import open_records
from jaxmotion.data.records import PREFIX, find_built
from jaxmotion.errors import InputError
from jaxmotion.evaluation.protocol import PRESETS
from jaxmotion.evaluation.sequences import ScoredSequence

MAX_NAMED = 20  # sequences in one line

Found = tuple[list[ScoredSequence], dict[str, str]]
"""The sequences found, and by name of each other one asked for what is missing."""


def find_sequences(
    root: str | os.PathLike,
    flow_name: str | None,
    names: Sequence[str] = (),
    split: str | None = None,
) -> list[ScoredSequence]:
    """Lists the sequences to evaluate, all of which must be whole; see `look_for_sequences`."""
    found, missing = look_for_sequences(root, flow_name, names, split)
    for reason in missing.values():
        raise InputError(reason)
    return found


def look_for_sequences(
    root: str | os.PathLike,
    flow_name: str | None,
    names: Sequence[str] = (),
    split: str | None = None,
) -> Found:
    """Lists the sequences to evaluate, and sets aside missing and damaged ones.

    Args:
        root: a folder laid out like DAVIS, or `tfds:NAME/CONFIG` for a built data set.
        flow_name: name of a folder of `root/Flows`; None for masks alone.
        names: names of the sequences wanted; empty for all of the split.
        split: name of a list in `root/ImageSets`, or of a split of a built data set; None for every
            sequence that has both flow and annotation.

    Returns:
        The sequences that are whole, in the order asked for, otherwise by name; and by name of
        each other one what is missing.

    Raises:
        InputError: a folder or list is missing, or there is no sequence at all.
    """
    if names and split:
        raise InputError("name either sequences or a split, not both")
    found, missing = open_data(root).look(flow_name, names, split)
    if not found:
        raise InputError(next(iter(missing.values())))
    return found, missing


def open_data(root: str | os.PathLike) -> "BuiltData | DavisFolder":
    """The data of a root: a built data set for `tfds:NAME/CONFIG`, otherwise a folder."""
    text = os.fspath(root)
    if text.startswith(PREFIX):
        return BuiltData(text.removeprefix(PREFIX))
    return DavisFolder(Path(root))


@dataclass(frozen=True)
class BuiltData:
    """A data set that was built from its archives.

    Attributes:
        word: the NAME/CONFIG that it was built under.
    """

    word: str
    has_flows = True

    @property
    def folders(self) -> list[Path]:
        """The folders that are read, which results must not replace; an `InputError` if none."""
        return [find_built(self.word)]

    @property
    def name(self) -> str:
        """The name that it was built under."""
        return find_built(self.word).parent.parent.name

    @property
    def protocol(self) -> str:
        """The name of the protocol that it is scored by if none is named, a key of `PRESETS`."""
        return self.name if self.name in PRESETS else "davis2016"

    def look(self, flow_name: str | None, names: Sequence[str], split: str | None) -> Found:
        """Lists sequences; arguments as in `look_for_sequences`."""
        records = open_records(self.word, split, FlowCache(max_bytes=0))
        by_name = {record.name: record for record in records}
        root = PREFIX + self.word
        if len(by_name) < len(records):
            raise InputError(
                f"{root}: splits with sequences of one name, expected the option split"
            )
        found, missing = [], {}
        for name in dict.fromkeys(names or by_name):
            if name not in by_name:
                missing[name] = f"{root}: no sequence {name}, there are {_listed(by_name)}"
            elif by_name[name].place is None and names:
                missing[name] = f"{by_name[name].source}: no mask or box of {name}"
            elif by_name[name].place is not None:
                found.append(ScoredSequence(by_name[name]))
        if not found and not missing:
            raise InputError(f"{root}: no sequence has masks or boxes")
        return found, missing

    def left_out(self, flow_name: str | None) -> list[str]:
        """Says which sequences are not scored where no names are given, a line for each reason."""
        records = open_records(self.word, None, FlowCache(max_bytes=0))
        bare = [record.name for record in records if record.place is None]
        where = f"{PREFIX}{self.word}"
        return [f"left out, without masks or boxes in {where}: {_listed(bare)}"] if bare else []


@dataclass(frozen=True)
class DavisFolder:
    """A folder laid out like DAVIS.

    Attributes:
        root: the folder.
    """

    root: Path
    protocol = "davis2016"

    @property
    def folders(self) -> list[Path]:
        """The folders that are read, which results must not replace."""
        folders = mask_folder(self.root), frame_folder(self.root)
        return [*(folder.parent for folder in folders), self.root / "Flows"]

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.root.resolve().name

    @property
    def has_flows(self) -> bool:
        """Whether there is flow of any name."""
        return (self.root / "Flows").is_dir()

    def look(self, flow_name: str | None, names: Sequence[str], split: str | None) -> Found:
        """Lists sequences; arguments as in `look_for_sequences`."""
        root, annotations = self.root, mask_folder(self.root)
        flows = root / "Flows" / flow_name if flow_name is not None else None
        for folder in (root, annotations, *((flows.parent,) if flows else ())):
            if not folder.is_dir():
                raise InputError(f"{folder}: no such folder, expected the root of a DAVIS layout")
        if flows is not None and not flows.is_dir():
            known = sorted(path.name for path in flows.parent.iterdir() if path.is_dir())
            raise InputError(
                f"{flows}: no such folder of flows, found {', '.join(known) or 'none'}"
            )
        if split is not None and not split.strip():
            lists = root / "ImageSets"
            raise InputError(f"split {split!r}: expected the name of a list in {lists}")
        annotated = there = sequence_folders(annotations)
        places = flow_places(flows) if flows is not None else {}
        if flows is not None:
            there = annotated & places.keys()
        names = _listed_in(root, split) if split else names or sorted(there)
        if not names and not split:
            both = f"both a flow in {flows} and" if flows is not None else "masks, expected"
            raise InputError(f"{root}: no sequence has {both} an annotation")
        found, missing = [], {}
        for name in dict.fromkeys(names):
            try:
                found.append(_open(root, name, annotated, flows, places))
            except InputError as error:
                missing[name] = str(error)
        return found, missing

    def left_out(self, flow_name: str | None) -> list[str]:
        """Says which sequences are not scored where no names are given, a line for each reason."""
        annotations = mask_folder(self.root)
        if flow_name is None or not annotations.is_dir():
            return []
        flows = self.root / "Flows" / flow_name
        annotated = sequence_folders(annotations)
        with_flow = flow_places(flows).keys() if flows.is_dir() else annotated
        reasons = (
            (annotated - with_flow, f"annotated, but without flow in {flows}"),
            (with_flow - annotated, f"without masks in {annotations}"),
        )
        return [f"left out, {reason}: {_listed(names)}" for names, reason in reasons if names]


def _open(
    root: Path, name: str, annotated: set[str], flows: Path | None, places: dict[str, list[Path]]
) -> ScoredSequence:
    if name not in annotated:
        raise InputError(f"{mask_folder(root, name)}: no such folder of masks")
    if flows is not None and name not in places:
        raise InputError(_no_flow(flows, name))
    files: SequenceFiles = find_files(root, name, the_only(places[name]) if flows else None)
    if not files.masks:
        raise InputError(
            f"{mask_folder(root, name)}: no masks, expected {', '.join(MASK_SUFFIXES)}"
        )
    record = open_files(files, FlowCache(max_bytes=0))
    for fault in record.faults:
        raise InputError(fault)
    return ScoredSequence(record)


def _listed_in(root: Path, split: str) -> list[str]:
    lists = root / "ImageSets"
    listed = lists / f"{split}.txt"
    if not listed.exists() and not any(lists.glob(f"*/{split}.txt")):
        known = sorted({path.stem for path in lists.glob("**/*.txt")})
        raise InputError(
            f"{listed}: cannot be read (no such list, there are {', '.join(known) or 'none'})"
        )
    return split_names(root, split)


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _no_flow(flows: Path, name: str) -> str:
    if (flows / name).is_dir():
        return f"{flows / name}: no .flo file in this folder, expected one per pair of frames"
    return f"{flows}/{name}.npz: no such flow, nor a folder {flows}/{name}"
