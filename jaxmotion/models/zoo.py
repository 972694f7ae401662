"""Trained networks to pass on: any run as one file, and a table of those that are shipped."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import jaxmotion
from jaxmotion.errors import InputError
from jaxmotion.models.files import model_paths, read_model, write_model
from jaxmotion.models.loading import find_trained, load_trained
from jaxmotion.models.trained import Trained
from jaxmotion.tasks.segmentation_config import SegmentationConfig
from jaxmotion.training.config import Config
from jaxmotion.training.metrics import read_json

_NOT_A_QUALITY = ("steps", "minutes")


def export_model(
    path_or_name: str | Path,
    out: str | Path,
    *,
    trained_on: str = "",
    command: str = "",
    metrics: Sequence[str] = (),
    part_megabytes: float | None = None,
) -> Trained:
    """Writes a trained network as one file to share.

    Args:
        path_or_name: a run, or anything else that `load_trained` takes. Of a run, the numbers in
            its ``summary.json`` join the metrics, if they are of the same parameters.
        out: the file, ``NAME.safetensors``; an earlier model file of that name is replaced.
        trained_on: data that the network was trained on, in words.
        command: command that trained the network.
        metrics: JSON files whose numbers at top level join the metrics, such as the ``scores.json``
            of ``eval.py``. ``NAME=FILE`` puts ``NAME_`` before theirs.
        part_megabytes: the most that one file may hold; the rest goes into files beside it.

    Returns:
        What was written, before it was rounded to float16.

    Raises:
        InputError: as `load_trained` and `write_model`; or a file of metrics has none.
    """
    trained = load_trained(path_or_name)
    known = dict(trained.metrics) | _summary(find_trained(path_or_name), trained)
    for text in metrics:
        known |= _read_metrics(text)
    said = {"trained_on": trained_on, "command": command, "exported_by": _code()}
    provenance = dict(trained.provenance) | {name: words for name, words in said.items() if words}
    trained = trained._replace(metrics=known, provenance=provenance)
    write_model(out, trained, None if part_megabytes is None else int(part_megabytes * 1e6))
    return trained


def model_megabytes(path: Path) -> float:
    """Size of a model file with its parts."""
    return sum(file.stat().st_size for file in model_paths(path)) / 1e6


def format_models(models: Mapping[str, Path]) -> str:
    """A table of model files, and below it what each was trained on, labels included.

    Args:
        models: the files by name.

    Raises:
        InputError: as `read_model`.
    """
    rows = [("name", "method", "K", "parameters", "size", "metrics")]
    taught = []
    for name, path in models.items():
        trained = read_model(path)
        quality = (
            f"{metric} {value:.3f}"
            for metric, value in trained.metrics.items()
            if value is not None and metric not in _NOT_A_QUALITY
        )
        rows.append(
            (
                name,
                *_method(trained.config),
                f"{trained.num_parameters / 1e6:.2f} M",
                f"{model_megabytes(path):.1f} MB",
                ", ".join(quality),
            )
        )
        if "trained_on" in trained.provenance:
            taught.append(f"{name} was trained on: {trained.provenance['trained_on']}")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join([*(line.rstrip() for line in lines), *taught])


def _method(config: Config) -> tuple[str, str]:
    """The method, and the number of segments where it has one."""
    if not isinstance(config.task, SegmentationConfig):
        return config.task.kind, ""
    network, length = config.task.network, config.data.clip_length
    names = {"linear": "EM" if length == 1 else "ST-MS", "slots": "LT-MS-SA"}
    return names.get(network.decoder.kind, "LT-MS"), str(network.num_masks)


def _summary(path: Path, trained: Trained) -> dict[str, float]:
    """The figures that training ended with, unless it went on to other parameters since."""
    run = path.parent if path.name == "best" else path
    if not (run / "summary.json").is_file():
        return {}
    summary = _numbers(read_json(run / "summary.json"))
    same = summary.get("validation_loss") == trained.metrics.get("validation_loss")
    return summary if same else {}


def _read_metrics(text: str) -> dict[str, float]:
    name, separator, file = text.partition("=")
    if not separator or Path(text).exists():
        name, file = "", text
    numbers = _numbers(read_json(Path(file)))
    if not numbers:
        raise InputError(f"{file}: no numbers at its top level, expected metrics by name")
    return {f"{name}_{key}" if name else key: value for key, value in numbers.items()}


def _numbers(values: Mapping[str, object]) -> dict[str, float]:
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _code() -> str:
    """The version of this code, with the commit where it is a checkout."""
    version, root = f"jaxmotion {jaxmotion.__version__}", Path(jaxmotion.__file__).parent.parent
    if not (root / ".git").exists():
        return version
    git = ("git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12")
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return version
    return f"{version}, commit {done.stdout.strip()}"
