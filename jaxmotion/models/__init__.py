"""The shipped models: networks that are trained already, ``NAME.safetensors`` each.

This folder holds the files and finds them by name. `trained` says what a trained network is,
`files` reads and writes one as a file, `loading` finds it by path or name, `zoo` exports and lists.
"""

from importlib.resources import files
from pathlib import Path

__all__ = [
    "DEFAULT_CLASSIFIER",
    "DEFAULT_EVENTS",
    "DEFAULT_INSTANCES",
    "DEFAULT_LIVE",
    "DEFAULT_MODEL",
    "shipped_models",
]

DEFAULT_MODEL = "lt-ms-k4"
DEFAULT_CLASSIFIER = "saliency"
DEFAULT_EVENTS = "events"
DEFAULT_INSTANCES = "instances-video"
DEFAULT_LIVE = "st-ms-k4"
FOLDER = Path(str(files(__name__)))


def shipped_models() -> dict[str, Path]:
    """The files of the shipped models by their names, in the order of the alphabet."""
    files = {path.stem: path for path in FOLDER.glob("*.safetensors")}
    return {name: files[name] for name in sorted(files) if ".part" not in name}
