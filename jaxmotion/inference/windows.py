"""Runs a network on the windows of a video, with few programs compiled for it."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Any

import jax
import numpy as np

from jaxmotion.data.windows import InferenceConfig
from jaxmotion.training.compilation_cache import quick_compilation

# Windows are run together until they are about this many frames.
_FRAMES_AT_ONCE = 8


class ShapedFunction:
    """A function of trees of arrays, compiled once for all that have the same shapes.

    Attributes:
        seconds: seconds spent on compiling so far.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Makes the function of one that gives a tree of arrays; nothing is compiled yet."""
        self._function = jax.jit(function)
        self._compiled: dict[tuple[tuple[int, ...], ...], Callable[..., Any]] = {}
        self._lock = threading.Lock()
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Applies the function to these arguments; its arrays are numpy's."""
        return jax.tree.map(np.asarray, self.prepare(*arguments)(*arguments))

    def prepare(self, *arguments: Any) -> Callable[..., Any]:
        """Compiles the function for such arguments, unless that is done or under way.

        Args:
            *arguments: arguments, or `jax.ShapeDtypeStruct` in the place of arrays.

        Returns:
            The program, a function of the arguments.
        """
        shapes = tuple(leaf.shape for leaf in jax.tree.leaves(arguments))
        with self._lock:
            if shapes not in self._compiled:
                start = time.perf_counter()
                options = quick_compilation(jax.default_backend())
                self._compiled[shapes] = self._function.lower(*arguments).compile(options)
                self.seconds += time.perf_counter() - start
            return self._compiled[shapes]


def run_windows(
    function: Callable[..., Any],
    frames: Iterable[tuple[np.ndarray, ...]],
    inference: InferenceConfig,
    *,
    bucketed: bool,
) -> Iterator[tuple[int, int, Any]]:
    """Applies a function of clips to the windows of a video, some at a time.

    The function always gets the same number of windows; the last ones are filled up with zeros.

    Args:
        function: function from arrays `[N, T, ...]`, one for each part of a frame, to a tree of
            arrays `[N, ...]`.
        frames: the parts `[...]` of each frame.
        inference: length and overlap of the windows.
        bucketed: whether windows are filled up with frames of zeros to a `bucket_length`.

    Yields:
        Number of the first frame, length, and result of each window in turn.
    """
    at_once, _ = clip_size(1, inference, bucketed=bucketed)
    windows = inference.cut(frames)
    while group := list(islice(windows, at_once)):
        size = clip_size(len(group[0][1]), inference, bucketed=bucketed)
        clips = [np.zeros((*size, *part.shape), np.float32) for part in group[0][1][0]]
        for number, (_, window) in enumerate(group):
            for index, parts in enumerate(window):
                for clip, part in zip(clips, parts, strict=True):
                    clip[number, index] = part
        results = function(*clips)
        for number, (start, window) in enumerate(group):
            yield start, len(window), jax.tree.map(itemgetter(number), results)


def each_frame_once(windows: Iterable[tuple[int, int, Any]]) -> Iterator[Any]:
    """The result of each frame of a video in turn, from the first window that has it.

    Args:
        windows: number of the first frame, length, and result of each window, as `run_windows`
            gives them.
    """
    done = 0
    for start, length, result in windows:
        yield from by_frame(result, length)[done - start :]
        done = start + length


def by_frame(result: Any, length: int) -> list[Any]:
    """Takes the result of a window apart, frame by frame.

    Args:
        result: tree of arrays `[T, ...]`.
        length: number of frames of the window, at most T; what is behind them is left out.

    Returns:
        A tree of arrays `[...]` for each frame.
    """
    return [jax.tree.map(itemgetter(index), result) for index in range(length)]


def clip_size(num_frames: int, inference: InferenceConfig, *, bucketed: bool) -> tuple[int, int]:
    """The number of clips, and of frames of each, that `run_windows` gives to a function.

    Args:
        num_frames: number of frames of the video.
        inference: length and overlap of the windows.
        bucketed: whether windows are filled up with frames of zeros to a `bucket_length`.
    """
    if not inference.window:
        return 1, bucket_length(num_frames) if bucketed else num_frames
    length = bucket_length(num_frames) if bucketed else num_frames
    return -(-_FRAMES_AT_ONCE // inference.window), min(length, inference.window)


def bucket_length(num_frames: int) -> int:
    """The length that a clip is filled up to: 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, ...

    Clips of all lengths then share a handful of compiled programs, at most half as long again.
    """
    power = 1 << (num_frames - 1).bit_length()
    return power * 3 // 4 if power >= 4 and num_frames <= power * 3 // 4 else power
