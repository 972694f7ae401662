"""A trained network of events over tracks of any length."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.events import KINDS, Event, Tracks
from jaxmotion.events.features import track_features
from jaxmotion.events.suppression import soft_nms
from jaxmotion.models.loading import load_as
from jaxmotion.models.trained import Trained
from jaxmotion.networks.event_head import places
from jaxmotion.tasks.events_config import EventsConfig
from jaxmotion.training.config import Config

SURE = 0.3
"""Score from which on an event is told."""

_LEAST_FRAMES = 2


class EventFinder:
    """Tells events of tracks, as `find_events` does, by a network in place of rules.

    The network goes over each track in windows, so that its memory does not grow with the video.
    Where two windows overlap, each tells the half that is farther from its end.

    Attributes:
        config: the frozen configuration that the network was trained with.
        inference: length and overlap of its windows over a video.
        params: parameters of the network.
    """

    def __init__(self, config: Config, params: Any) -> None:
        """Makes a finder.

        Args:
            config: the configuration that the parameters belong to.
            params: parameters of the network.

        Raises:
            InputError: where the configuration is of another task.
        """
        if not isinstance(config.task, EventsConfig):
            raise InputError(
                f"a network trained for {config.task.kind}, expected one that tells events"
            )
        self.config, self.params = config, jax.device_put(params)
        self.inference = config.task.inference
        self._levels = config.task.network.levels
        task = config.task.build(config.data)
        self._program = jax.jit(
            lambda params, features, known: task.predict(
                {"params": params}, {"features": features, "known": known}
            )
        )

    @classmethod
    def load(cls, path_or_name: str | Path) -> "EventFinder":
        """Loads a trained network, from what `Segmenter.load` takes of a segmenter.

        Args:
            path_or_name: a run's folder, a model file, or the name of a shipped model.

        Raises:
            InputError: where there is no readable network of events.
        """
        return load_as(path_or_name, cls.of)

    @classmethod
    def of(cls, trained: Trained) -> "EventFinder":
        """Makes the finder of a trained network.

        Args:
            trained: the trained network, with its configuration.

        Raises:
            InputError: where it was trained for another task.
        """
        return cls(trained.config, trained.params)

    def __call__(self, tracks: Tracks, least: float = SURE) -> list[Event]:
        """Tells what the tracks do.

        Args:
            tracks: the tracks of a video.
            least: score of an event that is told.

        Returns:
            The events, in the order of time.
        """
        events = []
        features = track_features(tracks)
        for label, track, seen in zip(
            tracks.labels.tolist(), features, ~np.isnan(tracks.area), strict=True
        ):
            there = np.flatnonzero(seen)
            first, last = int(there[0]), int(there[-1]) + 1
            events += self._of_track(label, track, (first, last), least)
        return sorted(events, key=lambda e: (e.start, e.stop, e.track, e.kind))

    def _of_track(
        self, label: int, features: np.ndarray, seen: tuple[int, int], least: float
    ) -> Iterator[Event]:
        """The events of a track that is seen between two frames."""
        found = [
            self._of_window(features, *window, least) for window in self._windows(len(features))
        ]
        kinds, spans, scores = (np.concatenate(part) for part in zip(*found, strict=True))
        spans = np.clip(spans, *seen)
        for number, kind in enumerate(KINDS):
            mine = (kinds == number) & (spans[:, 1] - spans[:, 0] >= 1)
            order, sure = soft_nms(spans[mine], scores[mine], least=least)
            for (start, stop), score in zip(spans[mine][order], sure, strict=True):
                begin, end = round(float(start)), round(float(stop))
                if end - begin >= _LEAST_FRAMES:
                    yield Event(kind, label, begin, end, float(score))

    def _windows(self, num_frames: int) -> Iterator[tuple[int, float, float]]:
        """First frame of each window, and the times between which its places count."""
        windows = self.inference.windows(num_frames)
        ends = [start + length for start, length in windows]
        for index, (start, _) in enumerate(windows):
            low = -np.inf if index == 0 else (start + ends[index - 1]) / 2
            last = index == len(windows) - 1
            high = np.inf if last else (windows[index + 1][0] + ends[index]) / 2
            yield start, low, high

    def _of_window(
        self, features: np.ndarray, start: int, low: float, high: float, least: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Kinds `[n]`, spans `[n, 2]` and scores `[n]` of what the places of a window propose."""
        window = self.inference.window
        part = features[start : start + window]
        filled = np.zeros((1, window, features.shape[1]), np.float32)
        filled[0, : len(part)] = part
        known = (np.arange(window) < len(part)).astype(np.float32)[None]
        found = self._program(self.params, filled, known)
        probability, spans = (np.asarray(found[name][0]) for name in ("probability", "spans"))
        middles = places(window, self._levels)[0]
        inside = (middles < len(part)) & (start + middles >= low) & (start + middles < high)
        place, kind = np.nonzero((probability >= least) & inside[:, None])
        return kind, spans[place, kind] + start, probability[place, kind]
