"""The methods and datasets to evaluate, as a command line or a suite file names them."""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from jaxmotion.baselines.threshold import BASELINES
from jaxmotion.errors import InputError
from jaxmotion.evaluation.discovery import BuiltData, open_data
from jaxmotion.evaluation.methods import Network, ResultFolder
from jaxmotion.evaluation.plan import DatasetPlan
from jaxmotion.evaluation.prediction import Predictor
from jaxmotion.evaluation.protocol import preset
from jaxmotion.files import reading, stamps
from jaxmotion.inference.adversarial import SalientMasks
from jaxmotion.inference.detector import FrameDetector
from jaxmotion.inference.instance_segmenter import InstanceSegmenter, TrackMasks
from jaxmotion.inference.nims import Nims
from jaxmotion.inference.num_masks import ChoosingSegmenter
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.models.loading import find_trained, load_trained
from jaxmotion.models.trained import Trained
from jaxmotion.options import Meta, from_json
from jaxmotion.stores import is_url

Text = Annotated[str, Meta(min_length=1)]
NumMasks = int | Literal["auto"]
_RANDOM = "random:"  # before a frame classifier: the same network with fresh parameters


@dataclass(frozen=True)
class SuiteEntry:
    """The entries of one dataset in a suite file, in the words of `jaxmotion eval`.

    Attributes:
        data: folder laid out like DAVIS, relative to the file; or `tfds:NAME/CONFIG`.
        name: name of the dataset; that of the folder if not given.
        protocol: name of the protocol; that of the data set if not given (`protocol_of`).
        flow: name of a folder of `Flows`.
        select: rule that selects the foreground segments; that of the protocol if not given.
        cut: frames of a cut, or several numbers, each of which makes a dataset.
        frames: frames that count, `"flow"` or `"official"`; those of the protocol if not given.
        split: name of a list in `ImageSets`.
        sequences: names of the sequences.
        compare: result folders by name, relative to the file.
    """

    data: Text
    name: Text = ""
    protocol: Text = ""
    flow: Text = "raft"
    select: Text = ""
    cut: int | Annotated[tuple[int, ...], Meta(min_length=1)] = 0
    frames: Text = ""
    split: Text = ""
    sequences: Annotated[tuple[Text, ...], Meta(min_length=1)] = ()
    compare: dict[str, Text] = field(default_factory=dict)


def plan_name(text: str) -> str:
    """A name for folders."""
    kept = "".join(c if c.isalnum() or c in "-_.+=" else "_" for c in text).lstrip(".")
    return kept or "data"


def named_path(text: str) -> tuple[str, Path]:
    """Reads `NAME=FOLDER`, or `FOLDER`, which gives its own name."""
    name, separator, folder = text.partition("=")
    if not separator or Path(text).exists():
        name, folder = Path(text).resolve().name, text
    if not name or not folder:
        raise InputError(f"{text}: expected NAME=FOLDER")
    return plan_name(name), Path(folder)


def result_folders(
    texts: Sequence[str], select: str | None = None, num_masks: NumMasks | None = None
) -> list[ResultFolder]:
    """Reads the result folders of a command line.

    Args:
        texts: folders of masks, each `NAME=FOLDER` or `FOLDER`.
        select: rule for all of them; None takes every label but 0 for foreground.
        num_masks: number that labels must be below.

    Raises:
        InputError: a folder is missing, or there can be no label.
    """
    if texts and num_masks == "auto":
        raise InputError("--num-masks auto: expected a number for folders of results")
    limit = None if num_masks == "auto" else num_masks
    if limit is not None and limit < 1:
        raise InputError(f"--num-masks {limit}: expected at least 1")
    found = []
    for text in texts:
        name, folder = named_path(text)
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of results, expected SEQUENCE/FRAME.png")
        found.append(ResultFolder(name, folder, select or "nonzero", limit))
    return found


def network(checkpoint: str, num_masks: NumMasks | None = None) -> Network:
    """A predictor by the name of a baseline, or a checkpoint.

    Args:
        checkpoint: the name of a baseline, or anything that `Segmenter.load` takes, or NAME= that.
            A frame classifier takes its place, which then chooses among layers of motion, and
            ``CLASSIFIER+SEGMENTER``, which chooses among segments (`inference.nims.Nims`).
            ``random:CLASSIFIER`` is the same network with fresh parameters: the randomization test.
        num_masks: number of masks, as `Segmenter.load` has it, or "auto" for that which each cut of
            a video chooses (`ChoosingSegmenter`); baselines have two.

    Raises:
        InputError: there is no such checkpoint, or it cannot have so many masks.
    """
    if checkpoint in BASELINES:
        name, named = checkpoint, Path(checkpoint)
    else:
        name, named = named_path(checkpoint)
    baseline = str(named)
    if baseline in BASELINES:
        if num_masks not in (None, 2):
            raise InputError(f"--num-masks {num_masks}: {baseline} has 2 masks, expected no other")
        load, identity = partial(_baseline_predictor, baseline), {"baseline": baseline}
        return Network(name, load, kind="baseline", identity=identity)
    if not named.exists() and ("+" in baseline or baseline.startswith(_RANDOM)):
        return _nims(name, *baseline.partition("+")[::2])
    given = checkpoint.rpartition("=")[2]  # a `Path` would make one slash of two
    source = given if is_url(given) else str(named)
    path = find_trained(source)
    if "=" not in checkpoint and path.is_file():
        name = plan_name(path.stem)
    elif "=" not in checkpoint and path.resolve().name == "best":
        name = plan_name(path.resolve().parent.name)
    best = path / "best"
    identity = {"num_masks": num_masks, "files": stamps(best if best.is_dir() else path)}
    load = partial(_predictor, str(path), num_masks)
    return Network(name, load, source=source, identity=identity)


def _predictor(path: str, num_masks: NumMasks | None) -> Predictor:
    """What gives masks by a checkpoint: a segmenter, or what `_WITHOUT_MASKS` makes of it."""
    if num_masks == "auto":
        return ChoosingSegmenter.load(path)
    if num_masks is None:
        trained = load_trained(path)
        if trained.config.task.kind in _WITHOUT_MASKS:
            return _WITHOUT_MASKS[trained.config.task.kind](trained)
    return Segmenter.load(path, num_masks=num_masks)


# Networks that do not segment by themselves, by the kind of their task.
_WITHOUT_MASKS: dict[str, Callable[[Trained], Predictor]] = {
    "classification": lambda trained: Nims(FrameDetector.of(trained)),
    "adversarial": SalientMasks.of,
    "instances": lambda trained: TrackMasks(InstanceSegmenter.of(trained)),
}


def _nims(name: str, classifier: str, segmenter: str) -> Network:
    """NIMS that chooses among the segments of a network, or among layers of motion."""
    trained, parts = classifier.removeprefix(_RANDOM), [segmenter] if segmenter else []
    paths = [find_trained(part) for part in (trained, *parts)]
    folders = [path / "best" if (path / "best").is_dir() else path for path in paths]

    def load() -> Nims:
        detector = FrameDetector.load(trained)
        if classifier != trained:
            detector = detector.randomized()
        return Nims(detector, Segmenter.load(segmenter) if segmenter else None)

    return Network(
        name,
        load,
        source="+".join([classifier, *parts]),
        identity={"classifier": classifier, "files": [stamps(folder) for folder in folders]},
    )


def read_suite(path: str | Path) -> list[DatasetPlan]:
    """Reads a suite file: TOML with a table `[[dataset]]`, a `SuiteEntry`, for each dataset.

    Raises:
        InputError: the file cannot be read, or says what is not known.
    """
    path = Path(path)
    with reading(path):
        data = path.read_bytes()
    try:
        content = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file ({error})") from error
    entries = content.pop("dataset", None)
    if content or not isinstance(entries, list) or not entries:
        unknown = f", not {', '.join(content)}" if content else ""
        raise InputError(f"{path}: expected a table [[dataset]] for each dataset{unknown}")
    try:
        plans = [plan for entry in entries for plan in _plans(path.parent, entry)]
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    names = [plan.name for plan in plans]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: two datasets are called {name!r}, give each a name")
    return plans


def _plans(folder: Path, values: Any) -> list[DatasetPlan]:
    if not isinstance(values, dict):
        raise InputError(f"expected a table [[dataset]] for each dataset, not {values!r}")
    known = [field.name for field in fields(SuiteEntry)]
    for key in values:
        if key not in known:
            raise InputError(f"{key!r} is unknown, expected {', '.join(known)}")
    if "data" not in values:
        raise InputError("a dataset without data, expected data = FOLDER")
    entry = from_json(SuiteEntry, values)
    built = isinstance(open_data(entry.data), BuiltData)
    root = Path(entry.data) if built else folder / entry.data
    data = open_data(root)
    name = plan_name(entry.name or data.name)
    compare = [
        replace(results, name=plan_name(key))
        for key, text in entry.compare.items()
        for results in result_folders([str(folder / text)])
    ]
    cuts = (entry.cut,) if isinstance(entry.cut, int) else entry.cut
    return [
        DatasetPlan(
            name=name + (f"_cut{cut}" if len(cuts) > 1 else ""),
            root=root,
            flow=entry.flow,
            protocol=preset(
                entry.protocol or data.protocol,
                select=entry.select or None,
                cut=cut,
                frames=entry.frames or None,
            ),
            sequences=entry.sequences,
            split=entry.split or None,
            methods=tuple(compare),
        )
        for cut in cuts
    ]


def _baseline_predictor(name: str) -> Predictor:
    """A baseline as a predictor of two masks, background and foreground."""

    def predict(flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        foreground = BASELINES[name](flow, valid)
        return np.stack([1 - foreground, foreground], axis=-1)

    return predict
