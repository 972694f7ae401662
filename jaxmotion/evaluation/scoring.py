"""Scores one sequence: labels of every frame against the frames that are annotated."""

import cv2
import numpy as np

from jaxmotion.data.transforms import resize_labels
from jaxmotion.errors import InputError
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.sequence_scores import FOREGROUND, Cut, ObjectScores, SequenceScores
from jaxmotion.evaluation.sequences import Annotation
from jaxmotion.metrics import masks as bitmasks
from jaxmotion.metrics.davis import (
    BOUND_TH,
    Contour,
    contour_f,
    packed_jaccard,
    tolerance,
)
from jaxmotion.metrics.foreground import FEW_LABELS, NEED_GROUND_TRUTH, foreground_labels
from jaxmotion.metrics.objects import bootstrap_iou, match_objects
from jaxmotion.saliency import salient, segment_residuals

# Where no frame of a cut is annotated, nothing of it is scored: this only decides what is shown.
WITHOUT_ANNOTATION = "except_largest"


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
        name: Of the sequence.
        labels: uint8 `[T, H, W]` of all frames that were segmented.
        annotation: The frames that count; those beyond T are left out.
        protocol: What is scored.
        num_labels: K, one more than the highest label there may be.
        background: Label that is no segment where objects are matched; None if all are.
        flow: `[T, h, w, 2]`, for the rule `"salient"`.
        valid: `[T, h, w]`, where the flow is known; everywhere by default.

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
            is_chosen = _by_counting(frames, gt, rule)
        # A label that the rule did not see is in no frame that counts.
        chosen = np.flatnonzero(is_chosen).tolist()
        foreground += [_pack_chosen(frame, chosen) for frame in labels[cut]]
        cuts.append(Cut(cut.start, cut.stop, tuple(chosen)))
    return np.stack(foreground), cuts


def _by_counting(labels: np.ndarray, gt: np.ndarray | None, rule: str) -> np.ndarray:
    """Which labels a rule of `metrics.foreground` takes; what it refuses, the user gets to hear."""
    try:
        return foreground_labels(labels, gt, rule)
    except ValueError as error:
        raise InputError(str(error)) from error


def score_foreground(
    foreground: np.ndarray, annotation: Annotation, protocol: Protocol
) -> ObjectScores:
    """Scores the packed foreground `[n, H, w]` of the annotated frames as one object."""
    height, width = annotation.size
    radius = tolerance(height, width, BOUND_TH)
    annotated, with_boundary = annotation.foreground, "F" in protocol.measures

    def box(i: int) -> tuple[float, ...]:
        return (box_iou(annotated[i], bitmasks.unpack(foreground[i], width)),)

    def region_and_boundary(i: int) -> tuple[float, ...]:
        gt, found = bitmasks.pack(annotated[i]), foreground[i]
        if annotation.void is not None:
            known = ~bitmasks.pack(annotation.void[i])
            gt, found = gt & known, found & known
        j = packed_jaccard(gt, found)
        if not with_boundary:
            return (j,)
        return j, contour_f(Contour(gt, width, radius), Contour(found, width, radius))

    measure = box if protocol.target == "box" else region_and_boundary
    rows = np.array([measure(i) for i in range(len(foreground))], np.float64)
    names = ("J", "F") if with_boundary else ("J",)
    return ObjectScores(
        FOREGROUND, {name: tuple(rows[:, i].tolist()) for i, name in enumerate(names)}
    )


def box_iou(gt: np.ndarray, foreground: np.ndarray) -> float:
    """IoU of two boxes: around the annotation, and around the largest region of a foreground.

    Args:
        gt: bool `[H, W]`, whose foreground spans the annotated box.
        foreground: bool `[H, W]`; its regions are 8-connected. Empty gives 0, unless both are.
    """
    count, _, statistics, _ = cv2.connectedComponentsWithStats(
        foreground.view(np.uint8), connectivity=8
    )
    annotated = _box(gt)
    if count < 2 or annotated is None:
        return float(count < 2 and annotated is None)
    largest = 1 + statistics[1:, cv2.CC_STAT_AREA].argmax()
    left, top, width, height, _ = statistics[largest].tolist()
    a_left, a_top, a_right, a_bottom = annotated
    across = min(left + width, a_right) - max(left, a_left)
    down = min(top + height, a_bottom) - max(top, a_top)
    common = max(across, 0) * max(down, 0)
    union = width * height + (a_right - a_left) * (a_bottom - a_top) - common
    return common / union


def _box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


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
