"""Scores one sequence: labels of every frame against the frames that are annotated."""

import math
from dataclasses import dataclass, field

import numpy as np

from jaxmotion.data.transforms import resize_labels
from jaxmotion.errors import InputError
from jaxmotion.evaluation.protocol import Average, Protocol
from jaxmotion.evaluation.sequences import Annotation
from jaxmotion.evaluation.statistics import mean_of, mean_over, statistics_of
from jaxmotion.metrics import masks as bitmasks
from jaxmotion.metrics.davis import (
    Contour,
    contour_f,
    packed_jaccard,
    tolerance,
)
from jaxmotion.metrics.foreground import FEW_LABELS, NEED_GROUND_TRUTH, foreground_labels
from jaxmotion.metrics.objects import bootstrap_iou, box_iou, match_objects
from jaxmotion.options import Figure
from jaxmotion.saliency import salient, segment_residuals

STABILITY = "T_mean"
FOREGROUND = "foreground"

Statistics = dict[str, Figure]
"""`J_mean`, `J_recall`, `J_decay`, the same of every other measure; `JF_mean` where asked for."""

# Where no frame of a cut is annotated, nothing of it is scored: this only decides what is shown.
WITHOUT_ANNOTATION = "except_largest"


@dataclass(frozen=True)
class Cut:
    """Frames that were segmented and selected together.

    Attributes:
        start: index of the first frame.
        stop: index of the frame after the last one.
        labels: segments taken as foreground; empty where objects are matched instead.
    """

    start: int
    stop: int
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class ObjectScores:
    """Scores of one annotated object, or of the foreground as a whole, in every scored frame.

    Attributes:
        name: `"foreground"`, or the label of the object in the annotation.
        scores: a value per scored frame by measure (`"J"`, `"F"`, `"bIoU"`); NaN for none.
        segment: the predicted label that was assigned to the object; -1 if none was left, None
            where there was no assignment.
    """

    name: str
    scores: dict[str, tuple[Figure, ...]]
    segment: int | None = None


@dataclass(frozen=True)
class SequenceScores:
    """Scores of one method on one video.

    Attributes:
        name: name of the sequence.
        num_frames: number of frames that were segmented.
        num_labels: K, one more than the highest label the method may give.
        frames: indices of the scored frames within the video, ascending.
        frame_names: names of their annotation files, without suffix.
        objects: at least one, unless the annotation shows none.
        cuts: the cuts, in order; they cover all frames.
        pictures: folder of what the report shows of this method on this sequence, relative to the
            evaluation's folder, in `/`; None if there is none.
        strata: whether each scored frame is in a stratum, by its name; empty where nobody asked.
        stability: mean T of the foreground in the scored frames (`metrics.temporal_stability`); NaN
            where it is not measured.
    """

    name: str
    num_frames: int
    num_labels: int
    frames: tuple[int, ...]
    frame_names: tuple[str, ...]
    objects: tuple[ObjectScores, ...]
    cuts: tuple[Cut, ...]
    pictures: str | None = None
    strata: dict[str, tuple[bool, ...]] = field(default_factory=dict)
    stability: Figure = math.nan

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what was measured, `"J"` first."""
        return tuple(self.objects[0].scores) if self.objects else ()

    def weight(self, average: Average) -> float:
        """The weight of this sequence in the means of a dataset that are taken over `average`."""
        return float(
            {"sequence": 1, "frame": len(self.frames), "object": len(self.objects)}[average]
        )

    def per_frame(self, measure: str) -> np.ndarray:
        """A measure in every scored frame, mean over the objects: float64 `[n]`."""
        table = np.array([scored.scores[measure] for scored in self.objects], np.float64)
        return mean_over(table) if len(table) else np.full(len(self.frames), np.nan)

    def statistics(self) -> Statistics:
        """Mean, recall and decay of every measure, each a mean over the objects; T if measured."""
        stability = {} if math.isnan(self.stability) else {STABILITY: self.stability}
        return stability | {
            f"{measure}_{name}": mean_of(column)
            for measure in self.measures
            for name, column in statistics_of(scored.scores[measure] for scored in self.objects)
        }


def score_labels(
    name: str,
    labels: np.ndarray,
    annotation: Annotation,
    protocol: Protocol,
    num_labels: int,
    background: int | None = None,
    flow: np.ndarray | None = None,
    valid: np.ndarray | None = None,
) -> tuple[SequenceScores, np.ndarray]:
    """Selects the foreground, or assigns the objects, and scores.

    Args:
        name: name of the sequence.
        labels: uint8 `[T, H, W]` of all frames that were segmented.
        annotation: the frames that count; those beyond T are left out.
        protocol: rules by which the labels are scored.
        num_labels: K, one more than the highest label there may be.
        background: label that is no segment where objects are matched; None if all are.
        flow: `[T, h, w, 2]`, pixels per frame, for the rule `"salient"`.
        valid: `[T, h, w]`, where the flow is known; None for everywhere.

    Returns:
        The scores, and the foreground, packed `[T, H, n]` (see `bitmasks`); where objects are
        matched these are the segments that have one.
    """
    annotation = annotation.select(np.flatnonzero(annotation.frames < len(labels)))
    if protocol.target == "objects":
        objects = _object_scores(labels, annotation, protocol, background)
        matched = [scored.segment for scored in objects if scored.segment not in (None, -1)]
        foreground = np.stack([_pack_chosen(frame, matched) for frame in labels])
        cuts = [Cut(cut.start, cut.stop) for cut in protocol.cuts(len(labels))]
    else:
        foreground, cuts = select_by_cut(labels, annotation, protocol, flow, valid)
        objects = [score_foreground(foreground[annotation.frames], annotation, protocol)]
    scores = SequenceScores(
        name=name,
        num_frames=len(labels),
        num_labels=num_labels,
        frames=tuple(annotation.frames.tolist()),
        frame_names=annotation.names,
        objects=tuple(objects),
        cuts=tuple(cuts),
    )
    return scores, foreground


def select_by_cut(
    labels: np.ndarray,
    annotation: Annotation,
    protocol: Protocol,
    flow: np.ndarray | None = None,
    valid: np.ndarray | None = None,
) -> tuple[np.ndarray, list[Cut]]:
    """The foreground of a sequence, packed `[T, H, n]`, selected cut by cut.

    A rule that looks at the ground truth sees the annotated frames of the cut, any other all of
    them.

    Args:
        labels: uint8 `[T, H, W]`, the segment of each pixel.
        annotation: masks or boxes of the frames that count.
        protocol: protocol with the cuts and the selection rule.
        flow: `[T, h, w, 2]`, pixels per frame, for the rule `"salient"`.
        valid: `[T, h, w]`, where the flow is known; None for everywhere.
    """
    foreground, cuts = [], []
    for cut in protocol.cuts(len(labels)):
        inside = np.flatnonzero((annotation.frames >= cut.start) & (annotation.frames < cut.stop))
        rule, frames, gt = protocol.select, labels[cut], None
        if rule == "salient" and flow is None:
            raise InputError(f"--select {rule}: needs the flow of the video, which is not there")
        if rule in NEED_GROUND_TRUTH and not len(inside):
            rule = WITHOUT_ANNOTATION
        elif rule in NEED_GROUND_TRUTH:
            frames = labels[annotation.frames[inside]]
            gt = annotation.foreground[inside]
        if flow is not None and rule == "salient":
            small = resize_labels(frames, flow.shape[1:3])
            known = None if valid is None else valid[cut]
            is_chosen = salient(segment_residuals(small, flow[cut], int(frames.max()) + 1, known))
        else:
            try:
                is_chosen = foreground_labels(frames, gt, rule)
            except ValueError as error:  # more segments than the rule can try
                raise InputError(str(error)) from error
        # A label that the rule did not see is in no frame that counts.
        chosen = np.flatnonzero(is_chosen).tolist()
        foreground += [_pack_chosen(frame, chosen) for frame in labels[cut]]
        cuts.append(Cut(cut.start, cut.stop, tuple(chosen)))
    return np.stack(foreground), cuts


def score_foreground(
    foreground: np.ndarray, annotation: Annotation, protocol: Protocol
) -> ObjectScores:
    """Scores the foreground of the annotated frames as one object.

    Args:
        foreground: packed masks `[n, H, w]`.
        annotation: the n frames.
        protocol: says what is measured.
    """
    width, radius = annotation.size[1], tolerance(*annotation.size)
    annotated, with_boundary = annotation.foreground, "F" in protocol.measures

    def measure(gt: np.ndarray, found: np.ndarray, void: np.ndarray | None) -> tuple[float, ...]:
        if protocol.target == "box":
            return (box_iou(gt, bitmasks.unpack(found, width)),)
        gt, known = bitmasks.pack(gt), ~bitmasks.pack(void) if void is not None else ~np.uint64(0)
        gt, found = gt & known, found & known
        j = packed_jaccard(gt, found)
        if not with_boundary:
            return (j,)
        return j, contour_f(Contour(gt, width, radius), Contour(found, width, radius))

    voids = annotation.void if annotation.void is not None else [None] * len(annotated)
    rows = [measure(*frame) for frame in zip(annotated, foreground, voids, strict=True)]
    names = ("J", "F") if with_boundary else ("J",)
    return ObjectScores(FOREGROUND, dict(zip(names, zip(*rows, strict=True), strict=True)))


def _object_scores(
    labels: np.ndarray, annotation: Annotation, protocol: Protocol, background: int | None
) -> list[ObjectScores]:
    """Every annotated object with its segment; nothing where no object is annotated."""
    found = labels[annotation.frames]
    with_boundary = "F" in protocol.measures
    match = match_objects(
        annotation.labels,
        found,
        annotation.void,
        background=background,
        use_boundary=with_boundary,
    )
    best = {}
    if "bIoU" in protocol.measures:
        best = bootstrap_iou(annotation.labels, found, annotation.void, background=background)
    objects = []
    for (segment, label), j, f in zip(match.pairs, match.jaccard, match.boundary_f, strict=True):
        scores = {"J": tuple(j.tolist())}
        if with_boundary:
            scores["F"] = tuple(f.tolist())
        if best:
            scores["bIoU"] = tuple(best[label].tolist())
        objects.append(ObjectScores(str(label), scores, segment))
    return sorted(objects, key=lambda scored: int(scored.name))


def _pack_chosen(frame: np.ndarray, chosen: list[int]) -> np.ndarray:
    """The union of some segments of a frame, packed."""
    if len(chosen) > FEW_LABELS:
        return bitmasks.pack(np.isin(frame, chosen))
    words = bitmasks.pack(frame == chosen[0]) if chosen else bitmasks.pack(np.zeros_like(frame))
    for label in chosen[1:]:
        words |= bitmasks.pack(frame == label)
    return words
