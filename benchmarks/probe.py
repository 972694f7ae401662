"""Linear probes of frozen descriptors: ten motions of scenes, and what DAVIS says of its videos.

    python benchmarks/probe.py actions --checkpoints lt-ms-k4 runs/masked
    python benchmarks/probe.py davis --checkpoints lt-ms-k4 runs/masked --data path/to/DAVIS

`actions` cuts clips of 24 frames from scenes of level `behavior` in which objects do one of the ten
motions of `jaxmotion.scenes.actions`, and no other. Classifiers learn from `--train` clips of each,
and from 5 of each; the accuracy is that on `--test` others.

`davis` tells which videos have an attribute of motion, of each video by classifiers that saw the
others: the mean area under the ROC curve over the attributes, and its 95 % interval over draws of
videos.

Rows: features of flow made by hand; and of each network the descriptors of `jaxmotion.describe`,
those of the network before training, and, where it has them, its refined queries (mean and standard
deviation over the segments).
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import tyro

from jaxmotion.baselines.motion_features import motion_features
from jaxmotion.data.sources import FlowSource, open_source
from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.evaluation.groups import davis_attributes
from jaxmotion.evaluation.probe import accuracy, leave_one_group_out, mean_area, probe_classes
from jaxmotion.experiments.probing import Descriptor, describe_clips, untrained
from jaxmotion.inference.descriptors import describe
from jaxmotion.inference.loading import load
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.scenes import ACTIONS, LEVELS, BehaviorConfig, Scene, generate

MOTION = ("CS", "DB", "DEF", "FM", "MB", "OCC", "OV", "SV")
"""The attributes of DAVIS that are about motion."""

FIRST_SEED = 2**22
LENGTH = 24
FEW = 5  # labels of each class


class Clip(NamedTuple):
    """A clip with what it is."""

    flow: np.ndarray
    label: str


@dataclass(frozen=True)
class Options:
    """Probes networks.

    Attributes:
        what: what is to be told.
        checkpoints: networks to probe.
        train: number of clips of each motion to learn from.
        test: number of clips of each motion to test on.
        data: DAVIS-layout root.
        flow: name of its flow.
        split: name of its list of sequences; empty for all.
        height: number of rows of a scene, and about those that DAVIS is brought to.
        width: number of columns.
    """

    what: tyro.conf.Positional[Literal["actions", "davis"]]
    checkpoints: tuple[str, ...] = ("lt-ms-k4",)
    train: int = 50
    test: int = 50
    data: str = "../shared/data/davis"
    flow: str = "raft"
    split: str = ""
    height: int = 64
    width: int = 112


def scenes_of(kind: str, size: tuple[int, int], first: int) -> Iterator[Scene]:
    """Scenes of one object that does nothing else, or of two that meet and part."""
    level = LEVELS["behavior"]
    assert isinstance(level, BehaviorConfig)
    meets = kind in ("meet", "part")
    config = replace(
        level,
        actions=level.actions if meets else (kind,),
        object_probabilities=(0.0, 1.0) if meets else (1.0,),
        meetings=1.0 if meets else 0.0,
        leaving=0.0,
    )
    frames = 256 if meets else 96
    for number in itertools.count():
        yield generate(config, frames, *size, seed=first + number)


def clips_of(kind: str, count: int, size: tuple[int, int], first: int) -> Iterator[Clip]:
    """Clips of one motion: the middle of an event of it that no other motion overlaps."""
    found = 0
    for scene in scenes_of(kind, size, first):
        done = -1
        for event in sorted(scene.events, key=lambda event: event.start):
            middle = (event.start + event.stop) // 2
            start = min(max(middle - LENGTH // 2, 0), len(scene.flow) - LENGTH)
            window = range(start, start + LENGTH)
            others = {
                other.kind
                for other in scene.events
                if other.kind in ACTIONS and other.start < window.stop and other.stop > window.start
            }
            short = event.stop - event.start < LENGTH // 2
            if event.kind != kind or others != {kind} or short or start < done:
                continue
            done = window.stop
            yield Clip(scene.flow[start : window.stop], kind)
            found += 1
            if found == count:
                return


def rows_of(checkpoints: tuple[str, ...]) -> dict[str, Descriptor]:
    """The descriptors by the name of their row."""
    rows: dict[str, Descriptor] = {"features made by hand": motion_features}
    for name in checkpoints:
        model = load(name)
        rows[name] = described(model)
        rows[f"{name}, untrained"] = described(untrained(model))
        if isinstance(model, Segmenter) and model.task.network.decoder.kind != "linear":
            rows[f"{name}, queries"] = queries(model)
    return rows


def described(model: Any) -> Descriptor:
    return lambda flow, valid: describe(model, flow, valid)


def queries(model: Segmenter) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def refined(flow: np.ndarray, valid: np.ndarray) -> np.ndarray:
        found = model.describe(flow, valid).queries
        assert found is not None
        vectors = np.asarray(found, np.float32)
        return np.concatenate([vectors.mean(axis=0), vectors.std(axis=0)])

    return refined


def probe_actions(options: Options) -> None:
    rows = rows_of(options.checkpoints)
    size = (options.height, options.width)
    sides = []
    for side, count in enumerate((options.train, options.test)):
        clips: list[Clip] = []
        for number, kind in enumerate(ACTIONS):
            first = FIRST_SEED + (2 * number + side) * 2**16
            clips += clips_of(kind, count, size, first)
        flows = ((clip.flow, np.ones(clip.flow.shape[:-1], np.float32)) for clip in clips)
        labels = np.array([clip.label for clip in clips])
        sides.append((describe_clips(flows, rows), labels))
    (learned, labels), (tested, truth) = sides
    few = np.concatenate([np.flatnonzero(labels == kind)[:FEW] for kind in ACTIONS])
    print(f"{len(ACTIONS)} motions, {len(truth)} test clips; labels of each motion:")
    print(f"{'':32s}{options.train:8d}{FEW:8d}")
    for row in rows:
        shares = [
            accuracy(*probe_classes(learned[row][some], labels[some], tested[row]), truth)
            for some in (np.arange(len(labels)), few)
        ]
        print(f"{row:32s}" + "".join(f"{share:8.3f}" for share in shares))


def probe_davis(options: Options) -> None:
    rows = rows_of(options.checkpoints)
    source = open_source(options.data, flow=options.flow, split=options.split or None)
    assert isinstance(source, FlowSource)
    known = davis_attributes()
    sequences = [sequence for sequence in source.sequences if sequence.name in known]
    size = (options.height, options.width)

    def clips() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for sequence in sequences:
            read = sequence.read(("flow", "valid"), range(sequence.length))
            yield resize_flow_and_valid(read["flow"], read["valid"], size)

    found = describe_clips(clips(), rows)
    names = np.array([sequence.name for sequence in sequences])
    truth = np.array([[name in known[video] for name in MOTION] for video in names])
    print(f"{len(names)} videos, {len(MOTION)} attributes: mean area, 95 % interval")
    for row, vectors in found.items():
        columns = [leave_one_group_out(vectors, column, names)[0] for column in truth.T]
        scores = np.stack([column[:, 1] for column in columns], axis=1)
        mean, low, high = mean_area(scores, truth)
        print(f"{row:32s}{mean:8.3f}   {low:.3f} to {high:.3f}")


def main() -> None:
    options = tyro.cli(Options)
    {"actions": probe_actions, "davis": probe_davis}[options.what](options)


if __name__ == "__main__":
    main()
