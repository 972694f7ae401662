"""Scores of networks of events on scenes, beside the rules."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from jaxmotion.events import Event, Tracks, describe_tracks, find_events
from jaxmotion.events.scores import Span, mean_average_precision
from jaxmotion.experiments.scenes import TEST_SEED, scenes_of
from jaxmotion.inference.event_finder import EventFinder
from jaxmotion.scenes import LEVELS, generate
from jaxmotion.tasks.task import Variables
from jaxmotion.training.config import Config

LEAST = 0.02
"""Score from which on events count in an average precision."""


def score_events(config: Config, variables: Variables, baselines: bool) -> dict[str, float]:
    """Scores a network of events on scenes that no run trains on, with their true masks.

    Args:
        config: configuration of the run; ``config.evals`` says which scenes.
        variables: variables of the trained network, by collection.
        baselines: whether to score the rules beside it.

    Returns:
        ``mAP``, the mean average precision at a temporal IoU of 0.5, and ``mAP_rules``. None
        without scenes.
    """
    level = scenes_of(config, "tracks")
    if not level:
        return {}
    levels = level.split("+")
    finder = EventFinder(config, variables["params"])
    methods: dict[str, Callable[[Tracks], list[Event]]] = {"mAP": lambda t: finder(t, LEAST)}
    if baselines:
        methods["mAP_rules"] = find_events
    truth: dict[str, list[Span]] = defaultdict(list)
    found: dict[str, dict[str, list[Span]]] = {name: defaultdict(list) for name in methods}
    length = config.data.clip_length
    for number in range(-(-config.evals.frames // length)):
        size = (length, config.data.height, config.data.width)
        turn = LEVELS[levels[number % len(levels)]]
        scene = generate(turn, *size, seed=TEST_SEED * 2**32 + number)
        tracks = describe_tracks(scene.labels, scene.flow)
        for event in scene.events:
            truth[event.kind].append(Span((number, event.label), event.start, event.stop))
        for name, method in methods.items():
            for event in method(tracks):
                span = Span((number, event.track), event.start, event.stop, event.score)
                found[name][event.kind].append(span)
    return {
        name: float(np.nan_to_num(mean_average_precision(truth, spans)[0]))
        for name, spans in found.items()
    }
