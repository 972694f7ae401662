"""Linear probes of networks: descriptors of clips and videos, and what can be told of them."""

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.baselines.motion_features import motion_features
from jaxmotion.errors import InputError
from jaxmotion.evaluation.probe import accuracy, leave_one_group_out
from jaxmotion.files import atomic_path
from jaxmotion.inference.descriptors import Described, Level, describe
from jaxmotion.inference.flow_of_videos import flow_of_video, videos_in
from jaxmotion.optical_flow.estimators import Estimator
from jaxmotion.tasks.fields import example_batch

Descriptor = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From flow `[T, H, W, 2]` and where it is known, `[T, H, W]`, to a vector `[D]`."""


class Sample(NamedTuple):
    """A video of a class.

    Attributes:
        path: the video, a folder of frames, or flow.
        label: name of its class.
        group: what it belongs to; a classifier of it sees no other of the group.
    """

    path: Path
    label: str
    group: str


def descriptors_of(model: Described) -> dict[str, Descriptor]:
    """The rows of a probe by name: a network, features made by hand, the network untrained.

    Args:
        model: a loaded network with a backbone.
    """
    before = untrained(model)
    return {
        "network": lambda flow, valid: describe(model, flow, valid),
        "hand-made features": motion_features,
        "network, untrained": lambda flow, valid: describe(before, flow, valid),
    }


def untrained(model: Described, seed: int = 0) -> Described:
    """The same network with fresh parameters.

    Args:
        model: a loaded network.
        seed: seed of the parameters.
    """
    config = model.config
    task = config.task.build(config.data)
    clip = example_batch(task.spec, {"H": config.data.height, "W": config.data.width})
    batch = {name: jnp.zeros(shape.shape, shape.dtype) for name, shape in clip.items()}
    other = copy.copy(model)
    other.params = jax.jit(task.init)(jax.random.key(seed), batch)["params"]
    return other


def classes_in(folder: Path, group: str = "") -> list[Sample]:
    """The videos of a folder that has a folder for each class.

    Args:
        folder: the folder.
        group: regular expression that finds the group in a video's name; empty for none.

    Raises:
        InputError: fewer than two classes, an empty one, an expression that is none, or a name in
            which it finds nothing.
    """
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise InputError(f"--group {group!r}: expected a regular expression ({error})") from error
    kinds = [path for path in videos_in(folder) if path.is_dir()]
    if len(kinds) < 2:
        raise InputError(f"{folder}: {len(kinds)} folder(s) in it, expected one for each class")
    samples = []
    for kind in kinds:
        for path in videos_in(kind):
            found = pattern.search(path.name)
            if found is None:
                raise InputError(f"{path}: --group {group!r} finds nothing in its name")
            samples.append(Sample(path, kind.name, found.group() if group else str(path)))
    if len({sample.group for sample in samples}) < 2:
        raise InputError(f"--group {group!r}: all videos are of one group, expected two at least")
    return samples


def probe_videos(
    samples: Sequence[Sample], model: Described, estimator: Estimator
) -> dict[str, float]:
    """Accuracy of linear classifiers of videos, by the name of their descriptors.

    Args:
        samples: the videos with their classes and groups.
        model: network to probe.
        estimator: estimator of the flow of a video.

    Returns:
        Share of the videos that are told right, for each of `descriptors_of`, and for the most
        frequent class.
    """
    rows = descriptors_of(model)
    clips = (flow_of_video(sample.path, estimator, model) for sample in samples)
    found = describe_clips(clips, rows)
    labels = np.array([sample.label for sample in samples])
    groups = np.array([sample.group for sample in samples])
    told = {name: leave_one_group_out(x, labels, groups) for name, x in found.items()}
    most = max(Counter(labels.tolist()).values()) / len(labels)
    return {name: accuracy(*scores, labels) for name, scores in told.items()} | {
        "most frequent class": most
    }


def describe_clips(
    clips: Iterable[tuple[np.ndarray, np.ndarray]], rows: Mapping[str, Descriptor]
) -> dict[str, np.ndarray]:
    """Descriptors `[N, D]` of clips, by the name of the row.

    Args:
        clips: flow `[T, H, W, 2]` of each, and where it is known.
        rows: functions that describe a clip.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in rows}
    for flow, valid in clips:
        for name, row in rows.items():
            found[name].append(row(flow, valid))
    return {name: np.stack(vectors) for name, vectors in found.items()}


def describe_videos(
    paths: Iterable[Path], model: Described, estimator: Estimator, level: Level
) -> list[np.ndarray]:
    """Descriptors `[M, D]` of each video.

    Args:
        paths: videos, folders of frames, or flow.
        model: network that describes.
        estimator: estimator of the flow of a video.
        level: what of a video is described.
    """
    clips = (flow_of_video(path, estimator, model) for path in paths)
    return [np.atleast_2d(describe(model, *clip, level=level)) for clip in clips]


def write_descriptors(out: Path, paths: Sequence[Path], found: Sequence[np.ndarray]) -> None:
    """Writes descriptors: ``descriptors`` `[M, D]`, ``video`` `[M]`, and ``names`` of the videos.

    Args:
        out: file to write, ``NAME.npz``.
        paths: the videos.
        found: descriptors of each.

    Raises:
        InputError: where it cannot be written.
    """
    numbers = np.repeat(np.arange(len(found)), [len(vectors) for vectors in found])
    names = np.array([str(path) for path in paths])
    with atomic_path(out) as temporary:
        np.savez(temporary, descriptors=np.concatenate(found), video=numbers, names=names)
