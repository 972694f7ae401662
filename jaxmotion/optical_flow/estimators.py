"""Estimating flow between frames: the estimators by name, and a stream of frames turned to flow."""

import functools
import inspect
import itertools
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import cv2
import numpy as np

from jaxmotion.errors import InputError


class Estimator(Protocol):
    """Anything that gives the flow from one frame to another.

    `name` and `settings` say what made a flow, in the file beside it.
    """

    @property
    def name(self) -> str:
        """Its name in `ESTIMATORS`."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that tell this estimator's flow from another's, ready for JSON."""
        ...

    def __call__(self, image0: np.ndarray, image1: np.ndarray) -> np.ndarray:
        """Estimates the flow from one frame to another.

        Args:
            image0: first frame, uint8 `[H, W, 3]`.
            image1: frame that the flow goes to, uint8 `[H, W, 3]`.

        Returns:
            float32 `[H, W, 2]`, pixels.
        """
        ...


@dataclass(frozen=True)
class DIS:
    """Dense inverse search: fast, without training, on one CPU core, from OpenCV.

    Attributes:
        preset: name of the settings, "ultrafast", "fast" or "medium" of OpenCV, the slower the
            finer; or "fine": to the finest scale, with more and smoother refinement.

    References:
        Kroeger et al., Fast optical flow using dense inverse search, ECCV 2016.
    """

    preset: str = "fine"

    name: str = field(default="dis", init=False)

    def __post_init__(self):
        if self.preset not in _DIS_PRESETS:
            raise InputError(f"preset {self.preset!r}: expected one of {', '.join(_DIS_PRESETS)}")

    @property
    def settings(self) -> dict[str, Any]:
        """The preset."""
        return {"preset": self.preset}

    def __call__(self, image0: np.ndarray, image1: np.ndarray) -> np.ndarray:
        """Estimates the flow from `image0` to `image1`, both uint8 `[H, W, 3]`."""
        gray0, gray1 = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (image0, image1))
        try:
            # A new solver for every pair: one holds its buffers, so threads must not share it.
            base, changes = _DIS_PRESETS[self.preset]
            solver = cv2.DISOpticalFlow.create(base)
            for name, value in changes.items():
                getattr(solver, f"set{name}")(value)
            solver.setFinestScale(min(solver.getFinestScale(), _coarsest_scale(*gray0.shape)))
            flow = solver.calc(gray0, gray1, None)  # pyright: ignore[reportCallIssue, reportArgumentType]
            return np.asarray(flow, np.float32)
        except cv2.error as error:
            height, width = gray0.shape
            raise InputError(
                f"frames of {width} x {height} are too small for DIS flow, expected 12 x 8 or more"
            ) from error


def _coarsest_scale(height: int, width: int) -> int:
    """Halvings of the frames with which OpenCV begins.

    Where its preset ends before that, it chooses scales by the width alone, and crashes on frames
    that are wide and low.
    """
    if min(height, width) < _PATCH:
        return 0  # OpenCV refuses these itself
    by_motion = math.log2(max(height, width) / (4 * _PATCH)) + 0.5
    return max(0, int(min(by_motion, math.log2(min(height, width) / _PATCH))))


_PATCH = 8  # pixels, of every preset

# OpenCV's preset, and what is set otherwise.
_DIS_PRESETS: dict[str, tuple[int, dict[str, float]]] = {
    "ultrafast": (cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST, {}),
    "fast": (cv2.DISOPTICAL_FLOW_PRESET_FAST, {}),
    "medium": (cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, {}),
    "fine": (
        cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
        {
            "FinestScale": 0,
            "VariationalRefinementIterations": 20,
            "VariationalRefinementAlpha": 40.0,
        },
    ),
}


def _raft(
    name: str,
    weights: str | os.PathLike | None = None,
    iterations: int = 20,
    correlation: Literal["auto", "all_pairs", "on_demand"] = "auto",
) -> Estimator:
    # Imported late: DIS needs neither Flax nor a compiler.
    from jaxmotion.optical_flow.raft.estimator import RAFTEstimator

    return RAFTEstimator(name, weights, iterations, correlation)


def _soflow(weights: str | os.PathLike | None = None, iterations: int | None = None) -> Estimator:
    from jaxmotion.optical_flow.soflow import SoFlowEstimator

    return SoFlowEstimator(weights, iterations)


ESTIMATORS: dict[str, Callable[..., Estimator]] = {
    "dis": DIS,
    "raft": functools.partial(_raft, "raft"),
    "raft_small": functools.partial(_raft, "raft_small"),
    "soflow": _soflow,
}


def make_estimator(name: str, **settings: Any) -> Estimator:
    """Makes an estimator of `ESTIMATORS` by name.

    Args:
        name: name of the estimator, "dis", "soflow", or "raft" and "raft_small", which need
            `weights`.
        **settings: settings of that estimator, the arguments of `DIS`, `soflow.SoFlowEstimator` or
            `raft.estimator.RAFTEstimator`; None stands for what the estimator takes by itself.

    Returns:
        The estimator.

    Raises:
        InputError: an unknown name, a setting that the estimator does not have, or a bad one.
    """
    if name not in ESTIMATORS:
        raise InputError(f"estimator {name!r}: unknown, expected one of {', '.join(ESTIMATORS)}")
    make = ESTIMATORS[name]
    given = {setting: value for setting, value in settings.items() if value is not None}
    known = list(inspect.signature(make).parameters)
    for setting in given:
        if setting not in known:
            raise InputError(
                f"estimator {name}: has no setting {setting!r}, expected {', '.join(known)}"
            )
    return make(**given)


def estimate_sequence(
    frames: Iterable[np.ndarray], estimator: Estimator, workers: int = 1
) -> Iterator[np.ndarray]:
    """Flow of a video from each frame to the next, in a stream, with a few frames in memory.

    Args:
        frames: N frames, uint8 `[H, W, 3]`, in order.
        estimator: estimator of the flow of two frames.
        workers: number of threads that each work on a pair of frames.

    Yields:
        N - 1 fields float32 `[H, W, 2]`.
    """
    pairs = itertools.pairwise(frames)
    if workers == 1:
        yield from itertools.starmap(estimator, pairs)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="flow") as pool:
        try:
            # The first pair is alone: what compiles then does so once.
            waiting = deque(pool.submit(estimator, *pair) for pair in itertools.islice(pairs, 1))
            ahead = workers
            while waiting:
                # More pairs are read before this one is passed on: no worker is idle meanwhile.
                flow = waiting.popleft().result()
                for pair in itertools.islice(pairs, ahead):
                    waiting.append(pool.submit(estimator, *pair))
                ahead = 1
                yield flow
        finally:
            pool.shutdown(cancel_futures=True)
