"""Scores of a network that segments, while and after it is trained: on scenes, on annotated videos.

Nothing is chosen by them.
"""

from functools import lru_cache

from jaxmotion.evaluation.discovery import find_sequences, open_data
from jaxmotion.evaluation.methods import AnnotatedVideo, Network
from jaxmotion.evaluation.protocol import preset
from jaxmotion.evaluation.results import Run
from jaxmotion.evaluation.score import score_labels
from jaxmotion.evaluation.sequences import ScoredSequence
from jaxmotion.experiments.scenes import score_on_scenes
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.tasks.task import Variables
from jaxmotion.training.config import Config, EvalsConfig


def score_segmentation(config: Config, variables: Variables, baselines: bool) -> dict[str, float]:
    """Scores a segmenter on what ``config.evals`` names.

    Args:
        config: configuration of the run.
        variables: variables of the trained network, by collection.
        baselines: whether to score the baselines beside the network, on scenes.

    Returns:
        ``foreground_iou`` on scenes, and the `scene_scores` of the baselines; the mean of each
        measure over annotated videos, such as ``J_mean``. None of what is not named.

    Raises:
        InputError: where a video cannot be read.
    """
    segmenter = _segmenter(config)
    segmenter.params = variables["params"]
    scores = score_on_scenes(config, segmenter, baselines)
    return scores | score_on_videos(config.evals, segmenter)


@lru_cache(maxsize=1)  # the programs of a network in training are compiled for its first scores
def _segmenter(config: Config) -> Segmenter:
    return Segmenter(config, {})


def score_on_videos(evals: EvalsConfig, segmenter: Segmenter) -> dict[str, float]:
    """Scores a segmenter on annotated videos, by the protocol of their data set.

    Args:
        evals: the videos, as `jaxmotion eval` names them.
        segmenter: network that segments their flow.

    Returns:
        The mean of each measure, such as ``J_mean``; none without videos.

    Raises:
        InputError: where a video is missing or cannot be read.
    """
    if not evals.data:
        return {}
    protocol, network = preset(open_data(evals.data).protocol), Network("", lambda: segmenter)
    scores = []
    for sequence in videos_of(evals):
        video = AnnotatedVideo.read(sequence, protocol)
        labeled = network.label(video, protocol)
        name, annotation = sequence.name, video.annotation
        found, _ = score_labels(name, labeled.labels, annotation, protocol, labeled.num_labels)
        scores.append(found)
    means = Run("", "checkpoint", "", tuple(scores)).means(protocol.average)
    return {f"{measure}_mean": means[f"{measure}_mean"] for measure in protocol.measures}


def videos_of(evals: EvalsConfig) -> list[ScoredSequence]:
    """Finds the annotated videos to score on; none where none are named.

    Raises:
        InputError: where one is missing.
    """
    return find_sequences(evals.data, evals.flow, split=evals.split or None) if evals.data else []
