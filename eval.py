"""Scores a segmenter on a folder laid out like DAVIS: ``python eval.py --help``."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from jaxmotion.cli import run_command
from jaxmotion.errors import InputError
from jaxmotion.evaluation.baselines import BASELINES
from jaxmotion.evaluation.davis import find_sequences
from jaxmotion.evaluation.protocol import Predictor, Protocol
from jaxmotion.evaluation.report import write_report
from jaxmotion.evaluation.runner import (
    ALL_BASELINES,
    SequenceResult,
    baseline_predictor,
    check_baselines,
    evaluate,
)
from jaxmotion.evaluation.tables import format_table, score_table, write_scores
from jaxmotion.segmenter import Segmenter
from jaxmotion.training.compilation_cache import enable_compilation_cache


@dataclass(frozen=True)
class EvalConfig:
    """Scores a segmenter beside training-free baselines, with the official DAVIS measures.

    Attributes:
        data: folder with Annotations/480p/SEQ/*.png and Flows/NAME/SEQ.npz (or SEQ/*.flo).
        out: where scores.json, scores.csv and report.html go.
        checkpoint: a training run's folder, or the name of a baseline.
        flow: which flow, a folder of Flows.
        select: which segments are the foreground: except_largest, best_subset, overlap or
            linear_assignment.
        cut: frames segmented at once and selected together; 0 is the whole sequence.
        num_masks: another K than in training, for a network with slots.
        frames: score every frame that has a flow, or leave out the first as the official
            benchmark does.
        sequences: only these.
        split: or those of ImageSets/SPLIT.txt.
        baselines: which to compare with; "none" for none.
        include_frames: show the video frames in the report.
    """

    data: Path
    out: Path
    checkpoint: str = "otsu"
    flow: str = "raft"
    select: str = "except_largest"
    cut: int = 0
    num_masks: int | None = None
    frames: Literal["flow", "official"] = "flow"
    sequences: tuple[str, ...] = ()
    split: str | None = None
    baselines: tuple[str, ...] = ALL_BASELINES
    include_frames: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(argv: Sequence[str]) -> None:
    """Evaluates, writes the results and prints the tables.

    What is done when a file turns out wrong, or when the run is interrupted, is kept and marked
    as partial.

    Args:
        argv: the options.

    Raises:
        InputError: an option or a file is not what was expected.
    """
    config = tyro.cli(EvalConfig, args=argv, prog="eval.py")
    protocol = Protocol(config.select, config.cut, config.frames)
    baselines = () if config.baselines == ("none",) else config.baselines
    check_baselines(baselines)
    sequences = find_sequences(config.data, config.flow, config.sequences, config.split)
    method, predict = load_predictor(config.checkpoint, config.num_masks)
    make_folder(config.out)
    enable_compilation_cache()

    started, results = time.time(), []
    try:
        with tqdm(total=len(sequences), unit="sequence", dynamic_ncols=True) as bar:
            for result in evaluate(
                method,
                predict,
                sequences,
                protocol,
                baselines,
                include_frames=config.include_frames,
                on_progress=bar.set_description,
            ):
                results.append(result)
                partial = len(results) < len(sequences)
                write_scores(config.out, results, protocol, config.flow, partial)
                bar.update()
    finally:
        if results:
            partial = len(results) < len(sequences)
            write_report(config.out, results, protocol, config.flow, partial)
            print_tables(results)
            print(
                f"{len(results)} of {len(sequences)} sequences in {time.time() - started:.0f} s: "
                f"{config.out}/scores.json, scores.csv, report.html"
            )


def load_predictor(checkpoint: str, num_masks: int | None = None) -> tuple[str, Predictor]:
    """The method to evaluate, and what to call it.

    Args:
        checkpoint: the name of a baseline, or anything that `Segmenter.load` takes.
        num_masks: as `Segmenter.load`; baselines have two.

    Raises:
        InputError: there is no such checkpoint.
    """
    if checkpoint in BASELINES:
        return checkpoint, baseline_predictor(checkpoint)
    segmenter = Segmenter.load(checkpoint, num_masks=num_masks)
    path = Path(checkpoint).resolve()
    return (path.parent if path.name == "best" else path).name, segmenter


def make_folder(folder: Path) -> None:
    """Makes the folder for the results, before anything is computed that could not be kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror or error})") from error


def print_tables(results: Sequence[SequenceResult]) -> None:
    """Mean J and mean F of every method on every sequence."""
    for statistic, title in (("J_mean", "J"), ("F_mean", "F")):
        print(format_table(score_table(results, statistic), title), end="\n\n")


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
