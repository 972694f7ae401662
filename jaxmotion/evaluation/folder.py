"""The folder of an evaluation: what lies there, kept up to date while it runs.

Where RUN is `DATASET/METHOD`:

    scores.json  scores.csv     the headline, per sequence
    frames.csv  datasets.csv    per frame, per dataset
    evaluation.json             the tree of `results`
    report.html                 written from it
    masks/RUN/SEQ/00000.png     the result as official tools read it, indexed PNG
    segments/RUN/SEQ/00000.png  the K segments, indexed PNG
    pictures/DATASET/           what the report shows, see `SequenceScores.pictures`
    state/RUN/SEQ.json          one finished sequence, for a suite that is taken up again
"""

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from jaxmotion.data.masks import write_label_pictures
from jaxmotion.errors import InputError
from jaxmotion.evaluation.comparison import with_differences
from jaxmotion.evaluation.results import Evaluation, dumps, loads
from jaxmotion.evaluation.tables import dataset_csv, frame_csv, scores_dict, sequence_csv
from jaxmotion.files import atomic_path
from jaxmotion.options import plain
from jaxmotion.output_folder import Results, replaced_folder

MASK_FOLDERS = ("masks", "segments")
# What is written without being asked for.
FILES = (
    "scores.json", "scores.csv", "frames.csv", "datasets.csv", "evaluation.json", "report.html",
)  # fmt: skip


class Scores:
    """The scores in a folder while an evaluation runs.

    The files are written whole, and grow with what is scored: to write them after every sequence
    would take a time quadratic in the number of sequences. So a writing waits until the one before
    took no more than a tenth of the time since it began.

    Attributes:
        evaluation: what is known so far; None before anything is scored. When `kept_scores` has
            ended, it has its paired differences.
    """

    def __init__(self, folder: Path) -> None:
        self.evaluation: Evaluation | None = None
        self._folder, self._next = folder, 0.0

    def update(self, evaluation: Evaluation) -> None:
        """Takes what is known now, and writes it if it is time to.

        Raises:
            InputError: the folder cannot be written to.
        """
        if not any(run.sequences for dataset in evaluation.datasets for run in dataset.runs):
            return
        self.evaluation = evaluation
        begun = time.monotonic()
        if begun >= self._next:
            write_scores(self._folder, evaluation)
            ended = time.monotonic()
            self._next = ended + 9 * (ended - begun)


@contextmanager
def kept_scores(
    out: Path,
    reads: Sequence[Path],
    finish: Callable[[Path, Evaluation], None],
    *,
    masks: bool = False,
) -> Iterator[Scores]:
    """Keeps a folder for one evaluation, which ends there in order, early or not.

    Args:
        out: folder of the evaluation, created if missing.
        reads: folders that are read, which results must not replace.
        finish: function that writes the report, called with the folder and the evaluation, if there
            is anything.
        masks: whether masks are written; those of an earlier evaluation that have no
            successor go.

    Yields:
        What is to be told of every result.

    Raises:
        InputError: the folder cannot be used, or has files that are not ours.
    """
    names = (*FILES, *(MASK_FOLDERS if masks else ()))
    results = Results(out, "eval", names, of_an_earlier_version=_of_an_earlier_version(out))
    scores = Scores(out)
    with results.claimed(reads):
        inputs = {path.resolve() for path in reads}
        earlier = [
            file
            for file in results.known_files(MASK_FOLDERS)
            if inputs.isdisjoint(file.resolve().parents)
        ]
        with results.in_place():
            try:
                yield scores
            finally:
                if scores.evaluation is not None:
                    kept = scores.evaluation if masks else Evaluation(())
                    _remove_outdated_masks(earlier, out, kept)
                    scores.evaluation = with_differences(scores.evaluation)
                    write_scores(out, scores.evaluation)
                    finish(out, scores.evaluation)


def write_scores(folder: Path, evaluation: Evaluation) -> None:
    """Writes `scores.json`, `scores.csv`, `frames.csv`, `datasets.csv` and `evaluation.json`.

    Args:
        folder: folder to write to, created if missing.
        evaluation: the evaluation, as far as it got.

    Raises:
        InputError: the folder cannot be written to.
    """
    files = {
        "frames.csv": frame_csv(evaluation),
        "scores.csv": sequence_csv(evaluation),
        "datasets.csv": dataset_csv(evaluation),
        "evaluation.json": dumps(evaluation),
        "scores.json": json.dumps(plain(scores_dict(evaluation)), indent=2) + "\n",
    }
    for name, text in files.items():
        with atomic_path(folder / name) as path:
            path.write_text(text, encoding="utf-8")


def write_masks(
    out: Path,
    names: tuple[str, str, str],
    frame_names: Sequence[str],
    masks: np.ndarray,
    segments: np.ndarray,
) -> None:
    """Writes masks and segments of a sequence, in the place of earlier ones.

    Args:
        out: folder to write to.
        names: names of dataset, method and sequence.
        frame_names: names of the T files, without suffix.
        masks: uint8 `[T, H, W]`, the foreground masks.
        segments: uint8 `[T, H, W]`, the segment of each pixel.

    Raises:
        InputError: a file cannot be written.
    """
    for folder, pictures in zip(_mask_folders(out, *names), (masks, segments), strict=True):
        with replaced_folder(folder) as new:
            write_label_pictures(new, frame_names, pictures)


def _mask_folders(out: Path, dataset: str, method: str, sequence: str) -> list[Path]:
    return [out / part / dataset / method / sequence for part in MASK_FOLDERS]


def _remove_outdated_masks(files: Iterable[Path], out: Path, evaluation: Evaluation) -> None:
    """Removes those of some masks that belong to no scores of an evaluation."""
    kept = {
        folder
        for dataset in evaluation.datasets
        for run in dataset.runs
        for sequence in run.sequences
        for folder in _mask_folders(out, dataset.name, run.method, sequence.name)
    }
    for file in files:
        if kept.isdisjoint(file.parents):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(f"{file}: cannot be removed ({error.strerror})") from error
            for folder in itertools.takewhile(lambda folder: folder != out, file.parents):
                with suppress(OSError):  # not empty
                    folder.rmdir()


def _of_an_earlier_version(out: Path) -> Callable[[Path], bool]:
    """Tells the results of a version that left no mark beside them: there is an evaluation."""
    try:
        datasets = loads((out / "evaluation.json").read_text(encoding="utf-8")).datasets
    except (OSError, ValueError):
        return lambda file: False
    masks = [out / part / dataset.name for part in MASK_FOLDERS for dataset in datasets]
    return lambda file: file.parent == out or not set(masks).isdisjoint(file.parents)
