"""Sequences that are records of a built data set."""

from functools import cached_property, partial
from typing import Any

import cv2
import numpy as np

from jaxmotion.data.fingerprints import content_fingerprint
from jaxmotion.data.flow_cache import FlowCache
from jaxmotion.data.masks import MAX_LABEL
from jaxmotion.data.records import PREFIX, Built, about_records, find_built, record_files
from jaxmotion.data.sequence import (
    FieldArrays,
    Frames,
    Reader,
    Sequence,
    Timeline,
    annotation_readers,
    number_frames,
)
from jaxmotion.errors import InputError


def open_records(spec: str, split: str | None, cache: FlowCache) -> list[Sequence]:
    """Opens the sequences of a built data set.

    Args:
        spec: name or path of the data set, as `find_built` takes it.
        split: name of the split, "train", "validation", ...; all when left out.
        cache: cache of their flow, which also knows the size wanted.

    Returns:
        The sequences, sorted by name.

    Raises:
        InputError: not built, no such split, or damaged.
    """
    folder = find_built(spec)
    built = Built.open(folder)
    if split and split not in built.splits:
        raise InputError(f"split {split!r}: {PREFIX}{spec} has {', '.join(built.splits)}")
    sequences = []
    for name in [split] if split else built.splits:
        about = about_records(built, name)
        sequences += [_open(built, name, i, entry, cache) for i, entry in enumerate(about)]
    return sorted(sequences, key=lambda sequence: sequence.name)


def _open(
    built: Built, split: str, index: int, about: dict[str, Any], cache: FlowCache
) -> Sequence:
    record = _Record(built, split, index, about, cache)
    readers: dict[str, Reader] = dict.fromkeys(("flow", "valid"), record.read_flow)
    if about["mask_frames"] or about["has_labels"]:
        readers |= annotation_readers(record.timeline, record.read_annotations)
    if about["box_frames"]:
        readers["boxes"] = record.read_boxes
    is_annotated = "labels" in readers or "boxes" in readers
    units = (about["height"], about["width"])
    return Sequence(
        name=about["name"],
        source=str(record.place),
        length=about["length"],
        readers=readers,
        size=cache.size or tuple(about["flow_size"]),
        half=True,  # all builders store it so
        units=units if all(units) else None,
        usable=np.ones(about["length"], bool),
        run=np.zeros(about["length"], int),
        place=record.timeline if is_annotated else None,
        annotations=record.read_annotations if is_annotated else None,
        frame_names=record.frame_names,
        paths=tuple(record_files(built.folder, split)),
        fingerprint=record.fingerprint,
        whole_fingerprint=partial(built.whole_fingerprint, split),
        old_fingerprint=record.old_fingerprint,
    )


class _Record:
    """One record, read field by field."""

    def __init__(
        self, built: Built, split: str, index: int, about: dict[str, Any], cache: FlowCache
    ):
        """Reads nothing yet."""
        self._built, self._split, self._index = built, split, index
        self._about, self._cache = about, cache
        self.place = built.place(split, index)

    def _read(self, *names: str) -> dict[str, Any]:
        return self._built.read(self._split, self._index, names)

    def _load(self) -> tuple[np.ndarray, np.ndarray]:
        record = self._read("flow", "valid")
        return record["flow"], record["valid"]

    @cached_property
    def annotated(self) -> list[int]:
        """The frames that have a mask, or where there is no mask at all, a box."""
        if self._about["has_labels"]:
            return list(range(self._about["length"]))
        return self._about["mask_frames"] or sorted(set(self._about["box_frames"]))

    def frame_names(self, num_frames: int) -> list[str]:
        """Names for so many frames, as `Sequence.frame_names` gives them."""
        names = self._about["frame_names"][:num_frames]
        return names if len(names) == num_frames else number_frames(num_frames)

    def timeline(self, every_frame: bool) -> Timeline:
        """The annotated frames, as `Sequence.place` finds them."""
        annotated, length = self.annotated, self._about["length"]
        names = self.frame_names(max(length + 1, len(self._about["frame_names"])))
        missing = sorted(set(range(len(names) - 1)) - set(annotated))
        if every_frame and missing:
            raise InputError(
                f"{self.place}: no mask of frame {names[missing[0]]} of {self._about['name']}, "
                "expected one of every frame"
            )
        files = tuple(self.place / f"{names[t]}.png" for t in annotated)
        return Timeline(tuple(names), tuple(annotated), f"frames of {self.place}", files)

    def read_flow(self, frames: Frames) -> FieldArrays:
        """Flow and valid."""
        flow, valid = self._cache.load(self.place, self._load)
        flow, valid = flow[list(frames)], valid[list(frames)]
        if not np.isfinite(flow).all():
            raise InputError(f"{self.place}: NaN or infinite vectors, expected finite flow")
        return {"flow": flow.astype(np.float32), "valid": valid.astype(np.float32)}

    def read_annotations(self, numbers: Frames) -> tuple[np.ndarray, np.ndarray]:
        """Masks, labels of a scene, or boxes; builders keep 255 for pixels that no one judges."""
        if self._about["has_labels"]:
            labels = self._read("labels")["labels"][list(numbers)]
        elif self._about["mask_frames"]:
            masks = self._read("masks")["masks"]
            labels = np.stack([self._decode(masks[i]) for i in numbers])
        else:
            size = self._about["height"], self._about["width"]
            boxes = self.read_boxes([self.annotated[i] for i in numbers])["boxes"]
            labels = np.stack([fill_box(box, size) for box in boxes])
        return labels, labels == MAX_LABEL

    def _decode(self, data: bytes) -> np.ndarray:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if values is None:
            raise InputError(f"{self.place}: damaged record, build the data set again")
        return values

    def read_boxes(self, frames: Frames) -> FieldArrays:
        """The box around the object of each frame; around all of them where there are several."""
        record = self._read("boxes", "box_frames")
        corners = record["boxes"].astype(np.float64)
        corners[:, 2:] += corners[:, :2]
        corners /= np.tile([self._about["width"], self._about["height"]], 2)
        boxes = np.full((len(frames), 4), np.nan)
        for i, t in enumerate(frames):
            those = corners[np.asarray(record["box_frames"]) == t]
            if len(those):
                low, high = those[:, :2].min(0), those[:, 2:].max(0)
                boxes[i] = *low, *(high - low)
        return {"boxes": boxes.astype(np.float32)}

    def fingerprint(self) -> bytes:
        """The fingerprint of the flow, as `Sequence.fingerprint` has it."""
        return self._built.fingerprint(self._split) + str(self._index).encode()

    def old_fingerprint(self) -> bytes:
        """The fingerprint of earlier versions, as `Sequence.old_fingerprint` has it."""
        return content_fingerprint(*self._load())


def fill_box(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels of a box.

    Args:
        box: x, y, width and height of the box, as shares of the frame.
        size: `(height, width)` of the frame.

    Returns:
        uint8 `[H, W]`, 1 in the box, whose edges are rounded to whole pixels; one pixel at least.
    """
    edges = np.array([box[:2], box[:2] + box[2:]], np.float64) * size[::-1]
    # A share is float32, so that 15.5 pixels may come back as 15.49999.
    (left, top), (right, bottom) = np.floor(np.round(edges, 3) + 0.5).astype(int)
    left, right = np.clip((left, max(right, left + 1)), 0, size[1])
    top, bottom = np.clip((top, max(bottom, top + 1)), 0, size[0])
    labels = np.zeros(size, np.uint8)
    labels[top:bottom, left:right] = 1
    return labels
