"""Records of data sets built by `jaxmotion_datasets`, read without TensorFlow.

One record is one sequence. What each has is known from `sequences.json`, which lies beside the
records; without it, from reading all of them once.
"""

import json
import os
from pathlib import Path
from typing import Any

from jaxmotion.data.fingerprints import file_fingerprint, whole_fingerprint
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading

PREFIX = "tfds:"
NEEDED = ("name", "flow", "valid")
INDEX = "sequences.json"
_SHORT = ("frame_names", "mask_frames", "box_frames", "height", "width")
_INDEXED = (*_SHORT, "length", "flow_size", "has_labels")


def find_built(spec: str) -> Path:
    """The folder of a built data set.

    Args:
        spec: name or path of the data set: "NAME" or "NAME/CONFIG", with "/VERSION" or not, in
            TFDS's folder (`TFDS_DATA_DIR`, or ~/tensorflow_datasets), or the path of such a folder.

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


def write_index(folder: Path) -> None:
    """Writes `sequences.json` beside the records of a data set, so that they open without reading.

    Args:
        folder: folder of one version of a data set.

    Raises:
        InputError: not a readable data set, or the file cannot be written.
    """
    built = Built.open(folder)
    content = {
        split: {
            "bytes": _num_bytes(folder, split),
            "sequences": [built.describe(split, index) for index in range(built.count(split))],
        }
        for split in built.splits
    }
    with atomic_path(folder / INDEX) as temporary:
        temporary.write_text(json.dumps(content))


def about_records(built: "Built", split: str) -> list[dict[str, Any]]:
    """Descriptions of the records of a split, without decoding them.

    Args:
        built: opened data set.
        split: name of the split.

    Returns:
        A description of each record, as `Built.describe` gives it, from `sequences.json` or from
        reading all records.

    Raises:
        InputError: a damaged record.
    """
    known = _read_index(built, split)
    return known or [built.describe(split, index) for index in range(built.count(split))]


def _read_index(built: "Built", split: str) -> list[dict[str, Any]] | None:
    """The entry of a split in `sequences.json`; None where it is not there, or of other records."""
    folder = built.folder
    try:
        content = json.loads((folder / INDEX).read_text())[split]
        entries = content["sequences"]
        whole = all(isinstance(e["name"], str) and e.keys() >= {*_INDEXED} for e in entries)
        same = content["bytes"] == _num_bytes(folder, split) and len(entries) == built.count(split)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return entries if whole and same else None


def record_files(folder: Path, split: str) -> list[Path]:
    """The files that the records of a split lie in, in order.

    Args:
        folder: folder of one version of a data set.
        split: name of the split.
    """
    with reading(folder):
        return sorted(folder.glob(f"*-{split}.array_record*"))


def _num_bytes(folder: Path, split: str) -> int:
    with reading(folder):
        return sum(path.stat().st_size for path in record_files(folder, split))


class Built:
    """The records of a built data set."""

    def __init__(self, folder: Path, builder: Any):
        """Takes a builder of TFDS; `Built.open` makes one for a folder."""
        import tensorflow_datasets as tfds

        self.folder, self.splits = folder, sorted(builder.info.splits)
        self._features: dict[str, Any] = dict(builder.info.features or {})
        lacking = [name for name in NEEDED if name not in self._features]
        if lacking:
            raise InputError(
                f"{folder}: records without {', '.join(lacking)}, which training reads; expected a "
                "data set that this version of jaxmotion_datasets built"
            )
        # Masks stay the files that they are until one is asked for.
        files = tfds.features.Sequence(tfds.features.Text())
        self._features |= {"masks": files} if "masks" in self._features else {}
        self._dict = tfds.features.FeaturesDict
        self._fingerprints: dict[str, bytes] = {}
        self._whole_fingerprints: dict[str, bytes] = {}
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        self._sources = {
            split: builder.as_data_source(split=split, deserialize_method=raw)
            for split in self.splits
        }

    @classmethod
    def open(cls, folder: Path) -> "Built":
        """Opens the records of a folder; `InputError` where it is no sound data set."""
        import tensorflow_datasets as tfds

        try:
            return cls(folder, tfds.builder_from_directory(folder))
        except InputError:
            raise
        except Exception as error:  # TFDS knows no common base of its errors
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"{folder}: not a readable data set ({reason})") from error

    def has(self, name: str) -> bool:
        """Whether records have a feature."""
        return name in self._features

    def count(self, split: str) -> int:
        """Number of records of a split."""
        return len(self._sources[split])

    def place(self, split: str, index: int) -> Path:
        """The path that stands for a record in messages.

        Args:
            split: name of the split.
            index: index of the record in the split.
        """
        return self.folder / split / str(index)

    def read(self, split: str, index: int, names: tuple[str, ...]) -> dict[str, Any]:
        """Reads some features of a record; what is not asked for is not decoded.

        Args:
            split: name of the split.
            index: index of the record in the split.
            names: names of the features.

        Raises:
            InputError: the record is damaged.
        """
        wanted: Any = self._dict({name: self._features[name] for name in names})
        try:
            return wanted.deserialize_example_np(self._sources[split][index])
        except Exception as error:  # whatever ArrayRecord, protobuf or zlib make of damage
            place = self.place(split, index)
            raise InputError(f"{place}: damaged record, build the data set again") from error

    def fingerprint(self, split: str) -> bytes:
        """The fingerprint that tells the records of a split from others."""
        if split not in self._fingerprints:
            files = record_files(self.folder, split)
            self._fingerprints[split] = b"".join(map(file_fingerprint, files))
        return self._fingerprints[split]

    def whole_fingerprint(self, split: str) -> bytes:
        """The fingerprint of every byte of the records of a split."""
        if split not in self._whole_fingerprints:
            self._whole_fingerprints[split] = whole_fingerprint(record_files(self.folder, split))
        return self._whole_fingerprints[split]

    def describe(self, split: str, index: int) -> dict[str, Any]:
        """The description of a record that `sequences.json` holds.

        Args:
            split: name of the split.
            index: index of the record in the split.
        """
        record = self.read(split, index, (*NEEDED, *filter(self.has, _SHORT)))
        length, *size = record["flow"].shape[:3]
        return {
            "name": record["name"].decode(),
            "length": length,
            "flow_size": size,
            "frame_names": [name.decode() for name in record.get("frame_names", ())],
            "mask_frames": [int(frame) for frame in record.get("mask_frames", ())],
            "box_frames": [int(frame) for frame in record.get("box_frames", ())],
            "height": int(record.get("height", size[0])),
            "width": int(record.get("width", size[1])),
            "has_labels": self.has("labels"),
        }
