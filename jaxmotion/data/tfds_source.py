"""Clips from data sets built by `jaxmotion_datasets`, read without TensorFlow."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxmotion.data.sequences import FlowCache, FlowSequence
from jaxmotion.data.transforms import Size
from jaxmotion.errors import InputError
from jaxmotion.files import reading

PREFIX = "tfds:"
NEEDED = ("name", "flow", "valid")


class RecordCache(FlowCache):
    """Reads and keeps the flow of records, as `FlowCache` does that of files."""

    def __init__(self, size: Size | None = None, max_bytes: int = 2**31):
        """Starts empty; see `FlowCache`."""
        super().__init__(size, max_bytes)
        self._records: dict[Path, Callable[[], dict[str, Any]]] = {}

    def add(self, place: Path, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Makes a record known under a path, and keeps its flow while there is room.

        Args:
          place: what names it; no file.
          read: reads it.

        Returns:
          The record.

        Raises:
          InputError: the record cannot be read.
        """
        self._records[place] = read
        record = self._record(place)
        self.keep(place, self.noted(place, record["flow"], record["valid"]))
        return record

    def read(self, sequence: FlowSequence, frames: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """See `FlowCache.read`."""
        flow, valid = self.load(sequence.files[0])
        return flow[list(frames)].astype(np.float32), valid[list(frames)].astype(np.float32)

    def _record(self, place: Path) -> dict[str, Any]:
        try:
            return self._records[place]()
        except Exception as error:  # whatever ArrayRecord, protobuf or zlib make of a damaged file
            raise InputError(f"{place}: damaged record, build the data set again") from error

    def _load(self, file: Path) -> tuple[np.ndarray, np.ndarray]:
        record = self._record(file)
        return self.noted(file, record["flow"], record["valid"])


def find_built(spec: str) -> Path:
    """The folder of a built data set.

    Args:
      spec: "NAME" or "NAME/CONFIG", with "/VERSION" or not, in TFDS's folder (`TFDS_DATA_DIR`, or
        ~/tensorflow_datasets), or the path of such a folder.

    Returns:
      The folder of one version, the latest where none is named.

    Raises:
      InputError: no such data set has been built, or several configurations and none is named.
    """
    home = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
    folder = home / Path(spec).expanduser()  # an absolute path stays what it is
    if not folder.is_dir() and Path(spec).is_dir():
        folder = Path(spec)
    with reading(folder):
        found = sorted(path.parent for path in folder.glob("**/dataset_info.json"))
    found = [path for path in found if not path.name.startswith("incomplete.")]
    if not found:
        name = Path(spec).parts[0] if spec else "NAME"
        raise InputError(
            f"{PREFIX}{spec}: no data set built in {folder}, expected one by "
            f"python -m jaxmotion_datasets build {name}"
        )
    configs = sorted({path.parent.name for path in found})
    if len(configs) > 1:
        raise InputError(f"{PREFIX}{spec}: {folder} has {configs}, expected the name of one")
    return max(found, key=lambda path: [int(n) if n.isdigit() else 0 for n in path.name.split(".")])


def open_records(
    spec: str, split: str | None, size: Size | None
) -> tuple[tuple[FlowSequence, ...], RecordCache]:
    """The sequences of a built data set, and what reads their flow.

    Args:
      spec: see `find_built`.
      split: "train", "validation", ...; all when left out.
      size: `(height, width)` to resize to.

    Returns:
      The sequences sorted by name, and the cache.

    Raises:
      InputError: not built, no such split, or damaged.
    """
    import tensorflow_datasets as tfds

    folder = find_built(spec)
    try:
        builder: Any = tfds.builder_from_directory(folder)
        known = sorted(builder.info.splits)
        if split and split not in known:
            raise InputError(f"split {split!r}: {PREFIX}{spec} has {', '.join(known)}")
        features: Any = builder.info.features or {}
        lacking = [name for name in NEEDED if name not in features]
        if lacking:
            raise InputError(
                f"{folder}: records without {', '.join(lacking)}, which training reads; expected a "
                "data set that this version of jaxmotion_datasets built"
            )
        # Only the flow is decoded: masks cost time, and ground truth has no place in training.
        wanted = tfds.features.FeaturesDict({name: features[name] for name in NEEDED})
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        sources = [
            (name, builder.as_data_source(split=name, deserialize_method=raw))
            for name in ([split] if split else known)
        ]
    except InputError:
        raise
    except Exception as error:  # TFDS knows no common base of its errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{folder}: not a readable data set ({reason})") from error
    cache, sequences = RecordCache(size), []
    for name, source in sources:
        for index in range(len(source)):
            place = folder / name / str(index)
            record = cache.add(place, partial(_read, source, index, wanted))
            count, *shape = record["flow"].shape[:3]
            sequences.append(
                FlowSequence(
                    name=record["name"].decode(),
                    files=(place,),
                    sound=np.ones(count, bool),
                    run=np.zeros(count, int),
                    size=tuple(size or shape),
                )
            )
    return tuple(sorted(sequences, key=lambda sequence: sequence.name)), cache


def _read(source: Any, index: int, features: Any) -> dict[str, Any]:
    return features.deserialize_example_np(source[index])
