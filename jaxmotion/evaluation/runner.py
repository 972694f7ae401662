"""Evaluates one method and the baselines on every sequence, one result at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.evaluation.baselines import BASELINES, UPPER_BOUND, two_motion_upper_bound
from jaxmotion.evaluation.davis import DavisSequence
from jaxmotion.evaluation.pictures import picture_strip
from jaxmotion.evaluation.protocol import (
    Predictor,
    Protocol,
    SequenceScores,
    score,
    segment,
    shrink_ground_truth,
    upsample_foreground,
)

ALL_BASELINES = (*BASELINES, UPPER_BOUND)


@dataclass(frozen=True)
class SequenceResult:
    """What one sequence gave.

    Attributes:
        name: Name of the sequence.
        scores: By method; the evaluated one first, then the baselines.
        picture: uint8 `[h, w, 3]`: flow, segments and foreground of some frames.
    """

    name: str
    scores: dict[str, SequenceScores]
    picture: np.ndarray


def evaluate(
    method: str,
    predict: Predictor,
    sequences: Sequence[DavisSequence],
    protocol: Protocol,
    baselines: Sequence[str] = ALL_BASELINES,
    *,
    include_frames: bool = False,
    on_progress: Callable[[str], None] = lambda text: None,
) -> Iterator[SequenceResult]:
    """Segments and scores sequence after sequence.

    Args:
        method: What to call the predictor in the results.
        predict: Flow `[T, h, w, 2]` to masks `[T, h, w, K]`.
        sequences: See `find_sequences`.
        protocol: Cuts, selection rule, frames that count.
        baselines: Names out of `ALL_BASELINES`; one that is the method itself is left out.
        include_frames: Show the video frames in the pictures.
        on_progress: Told what is being computed.

    Yields:
        The result of each sequence.

    Raises:
        InputError: Of the file at fault, when its sequence is reached; or an unknown baseline.
    """
    check_baselines(baselines)
    for sequence in sequences:
        on_progress(f"{sequence.name}: {method}")
        flow, gt = sequence.read()
        labels, foreground = segment(predict, flow, gt, protocol)
        scores = {method: score(foreground, gt, protocol)}
        for name in baselines:
            if name != method:
                on_progress(f"{sequence.name}: {name}")
                scores[name] = score(_baseline_foreground(name, flow, gt), gt, protocol)
        frame = sequence.read_frame if include_frames else None
        picture = picture_strip(flow, labels, foreground, gt, frame)
        yield SequenceResult(sequence.name, scores, picture)


def check_baselines(names: Sequence[str]) -> None:
    """Raises `InputError` for the name of a baseline that does not exist."""
    for name in names:
        if name not in ALL_BASELINES:
            raise InputError(
                f"baseline {name!r} is unknown, expected some of {', '.join(ALL_BASELINES)}"
            )


def baseline_predictor(name: str) -> Predictor:
    """A baseline as a predictor of two masks, background and foreground.

    Args:
        name: One of `BASELINES`.
    """
    baseline = BASELINES[name]

    def predict(flow: np.ndarray) -> np.ndarray:
        foreground = baseline(flow)
        return np.stack([1 - foreground, foreground], axis=-1)

    return predict


def _baseline_foreground(name: str, flow: np.ndarray, gt: np.ndarray) -> np.ndarray:
    if name == UPPER_BOUND:
        small = two_motion_upper_bound(flow, shrink_ground_truth(gt, flow.shape[1:3]))
    else:
        small = BASELINES[name](flow)
    return upsample_foreground(small, gt.shape[1:])
