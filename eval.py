"""Scores a segmenter on a folder laid out like DAVIS: ``python eval.py --help``."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

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


@dataclass(frozen=True)
class EvalConfig:
    """Scores a segmenter beside training-free baselines, with the official DAVIS measures.

    Attributes:
        data: Folder with Annotations/480p/SEQ/*.png and Flows/NAME/SEQ.npz (or SEQ/*.flo).
        out: Where scores.json, scores.csv and report.html go.
        checkpoint: A training run's folder, a shipped model, or the name of a baseline.
        flow: Which flow, a folder of Flows.
        select: Which segments are the foreground: except_largest, best_subset, overlap or
            linear_assignment.
        cut: Frames segmented at once and selected together; 0 is the whole sequence.
        frames: Score every frame that has a flow, or as the official benchmark without the first.
        sequences: Only these.
        split: Or those of ImageSets/SPLIT.txt.
        baselines: Which to compare with; "none" for none.
        include_frames: Show the video frames in the report.
    """

    data: Path
    out: Path
    checkpoint: str = "otsu"
    flow: str = "raft"
    select: str = "except_largest"
    cut: int = 0
    frames: Literal["flow", "official"] = "flow"
    sequences: tuple[str, ...] = ()
    split: str | None = None
    baselines: tuple[str, ...] = ALL_BASELINES
    include_frames: Annotated[bool, tyro.conf.FlagConversionOff] = False


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status: 2 for wrong input, 130 when interrupted."""
    config = tyro.cli(
        EvalConfig,
        args=args,
        prog="eval.py",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        run(config)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def run(config: EvalConfig) -> list[SequenceResult]:
    """Evaluates, writes the results and prints the tables.

    What is done when a file turns out wrong, or when the run is interrupted, is kept and marked
    as partial.

    Args:
        config: The options.

    Returns:
        The result of every sequence.

    Raises:
        InputError: An option or a file is not what was expected.
    """
    protocol = Protocol(config.select, config.cut, config.frames)
    baselines = () if config.baselines == ("none",) else config.baselines
    check_baselines(baselines)
    sequences = find_sequences(config.data, config.flow, config.sequences, config.split)
    method, predict = load_predictor(config.checkpoint)
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
                write_scores(
                    config.out, results, protocol, config.flow, len(results) < len(sequences)
                )
                bar.update()
    finally:
        if results:
            write_report(config.out, results, protocol, config.flow, len(results) < len(sequences))
            for statistic, title in (("J_mean", "J"), ("F_mean", "F")):
                print(format_table(score_table(results, statistic), title), end="\n\n")
            done = f"{len(results)} of {len(sequences)} sequences, {time.time() - started:.0f} s"
            print(f"{done}: {config.out}/scores.json, scores.csv, report.html")
    return results


def load_predictor(checkpoint: str) -> tuple[str, Predictor]:
    """The method to evaluate, and what to call it.

    Args:
        checkpoint: Name of a baseline, or anything that `Segmenter.load` takes.

    Raises:
        InputError: There is no such checkpoint.
    """
    if checkpoint in BASELINES:
        return checkpoint, baseline_predictor(checkpoint)
    # Only now: the baselines need no network.
    from jaxmotion.segmenter import Segmenter

    segmenter = Segmenter.load(checkpoint)
    return Path(checkpoint).resolve().name, segmenter


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
