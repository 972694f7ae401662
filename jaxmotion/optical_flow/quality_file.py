"""The figures of `quality.json`, beside the flow of a video: read, added to and kept."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.quality import FlowQuality
from jaxmotion.options import from_json, to_json

QUALITY = "quality.json"


class Qualities:
    """The figures of `quality.json`, which is written now and then and at the end."""

    def __init__(self, path: Path, figures: dict[str, FlowQuality]):
        self._path, self._figures, self._num_written = path, figures, len(figures)

    def __contains__(self, name: str) -> bool:
        return name in self._figures

    def add(self, name: str, figures: FlowQuality) -> None:
        """Adds the figures of a field.

        Args:
            name: name of the field.
            figures: figures of its quality.
        """
        self._figures[name] = figures
        # The whole file each time, so the more seldom the longer it is.
        if len(self._figures) > 1.1 * self._num_written + 10:
            self.write()

    def mean(self, names: list[str]) -> FlowQuality:
        """The mean of the figures over the fields of these names."""
        return FlowQuality.mean([self._figures[name] for name in names])

    def write(self) -> None:
        """Writes the figures to the file, where some are new."""
        if len(self._figures) == self._num_written:
            return
        content = {
            "mean": to_json(FlowQuality.mean(list(self._figures.values()))),
            "frames": {name: to_json(figures) for name, figures in self._figures.items()},
        }
        with atomic_path(self._path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")
        self._num_written = len(self._figures)


@contextmanager
def kept_qualities(path: Path, wanted: bool) -> Iterator[Qualities]:
    """The figures that are there; those that are new are kept, however the block ends.

    Args:
        path: file of the figures, `quality.json`.
        wanted: whether to read the file where it is there; False starts with no figures.
    """
    qualities = Qualities(path, _read_qualities(path) if wanted else {})
    try:
        yield qualities
    finally:
        qualities.write()


def _read_qualities(path: Path) -> dict[str, FlowQuality]:
    with reading(path):
        if not path.exists():
            return {}
        text = path.read_text()
    try:
        frames = json.loads(text)["frames"]
        return {name: from_json(FlowQuality, figures) for name, figures in frames.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: damaged, remove it or give another folder") from error
