"""NIMS: what moves in a video, read from the evidence of a frame classifier (thesis ch. 5)."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import jax
import numpy as np

from jaxmotion.inference.detector import Evidence, FrameDetector
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.motion.inpainting import frame_motion
from jaxmotion.saliency.layers import alike, alike_spots, motion_layers
from jaxmotion.saliency.maps import saliency_map
from jaxmotion.saliency.regions import SHARE, Regions, Rule, chosen, components, tracks

Parts = Literal["layers", "spots", "alike", "alike_published"]


@dataclass(frozen=True)
class Selection:
    """The way from evidence to what moves.

    Attributes:
        rule: rule that chooses regions by their mean relevance (`regions.chosen`).
        share: share of the rule of that name.
        over_time: whether a region is judged by its whole track over the video, and not in each
            frame by itself.
    """

    rule: Rule = "share"
    share: float = SHARE
    over_time: bool = True


class Salience(NamedTuple):
    """What moves on its own in a video, by NIMS.

    Attributes:
        evidence: the answers of the classifier.
        moving: bool `[T, H, W]`, what moves; nothing in a frame that is not salient.
        map: float32 `[T, H, W]` in [0, 1], how far its flow is from the motion of the rest.
    """

    evidence: Evidence
    moving: np.ndarray
    map: np.ndarray


def salient_regions(
    detector: FrameDetector,
    flow: np.ndarray,
    valid: np.ndarray | None = None,
    *,
    parts: Parts | np.ndarray = "layers",
    selection: Selection = Selection("above_largest", over_time=False),
    vector_size: tuple[int, int] | None = None,
    rounds: int = 1,
) -> Salience:
    """Finds what moves in a video: evidence of a classifier, regions, and those that carry it.

    Args:
        detector: the trained classifier.
        flow: `[T, H, W, 2]`, pixels per frame.
        valid: `[T, H, W]` in {0, 1}, where it is known; None for everywhere.
        parts: what regions are connected parts of: ``"layers"`` of motion (`motion_layers`, as in
            table 5.1), the pixels around ``"spots"`` of relevance (`layers.alike_spots`, for
            crowds), the pixels ``"alike"`` what is relevant (`layers.alike`; and
            ``"alike_published"`` with the thresholds of the thesis), or labels `[T, H, W]`, as a
            segmenter gives them (as in table 5.2).
        selection: which regions move. The default is that of the thesis.
        vector_size: height and width of the frame in whose pixels the vectors are, which tracks
            need; those of the flow if None.
        rounds: number of times that the classifier is asked. What was found is filled by the motion
            of the rest before it is asked again: what stands out most hides what does less.

    Returns:
        The `Salience`.

    Raises:
        InputError: on another shape, or vectors that are not finite where they are valid.
    """
    evidence = seen = detector(flow, valid)
    known = np.ones(evidence.relevance.shape, bool) if valid is None else np.asarray(valid) > 0
    flow = np.where(known[..., None], flow, 0).astype(np.float32)
    moving, left = np.zeros(known.shape, bool), flow
    for number in range(rounds):
        if number:
            left = _without(flow, moving, known)
            seen = detector(left, known)
        found = chosen_regions(
            seen, left, _labels(parts, left, seen, known), selection, vector_size
        )
        if not (found & ~moving).any():
            break
        moving |= found
    maps = [
        np.asarray(_map(*(np.asarray(part, np.float32)[None, None] for part in frame)))[0, 0]
        for frame in zip(flow, moving, known, strict=True)
    ]
    return Salience(evidence, moving, np.stack(maps))


def _labels(
    parts: Parts | np.ndarray, flow: np.ndarray, evidence: Evidence, known: np.ndarray
) -> np.ndarray:
    """The labels `[T, H, W]` whose connected parts are regions; 255 for none."""
    if not isinstance(parts, str):
        return np.asarray(parts).astype(np.uint8)
    if parts == "layers":
        return motion_layers(flow, known)
    if parts == "spots":
        return alike_spots(flow, evidence.relevance, known).astype(np.uint8)
    options = {"least": -0.01, "remove_global_motion": False} if parts == "alike_published" else {}
    return alike(flow, evidence.relevance, known, **options).astype(np.uint8)


def _without(flow: np.ndarray, moving: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The flow with what moves, and a pixel around it, filled by the motion of the rest."""
    kernel, filled = np.ones((3, 3), np.uint8), flow.copy()
    for t in np.flatnonzero(moving.any(axis=(1, 2))):
        mask = cv2.dilate(moving[t].astype(np.uint8), kernel) > 0
        filled[t][mask] = np.asarray(frame_motion(flow[t], known[t] & ~mask))[mask]
    return filled


def chosen_regions(
    evidence: Evidence,
    flow: np.ndarray,
    labels: np.ndarray,
    selection: Selection,
    vector_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Chooses what moves among the connected parts of labels.

    Args:
        evidence: the answers of the classifier.
        flow: `[T, H, W, 2]`, pixels per frame, finite.
        labels: `[T, H, W]`, from 0 to 254; 255 for no region.
        selection: which regions move.
        vector_size: as in `salient_regions`.

    Returns:
        bool `[T, H, W]`; nothing in a frame that is not salient.
    """
    regions = components(np.asarray(labels).astype(np.uint8), without=255)
    moving = _moving(regions, evidence.relevance, flow, selection, vector_size)
    return moving & (evidence.logits[:, None, None] > 0)


def _moving(
    regions: Regions,
    relevance: np.ndarray,
    flow: np.ndarray,
    selection: Selection,
    vector_size: tuple[int, int] | None,
) -> np.ndarray:
    """The regions that are chosen, bool `[T, H, W]`."""
    scores, pixels, frames = regions.means(relevance), regions.pixels, regions.frames
    kept = np.zeros(regions.count + 1, bool)  # the last is that of pixels without a region
    if selection.over_time:
        # The largest region of a frame is its background, and would join all tracks.
        largest = [
            np.flatnonzero(frames == t)[pixels[frames == t].argmax()]
            for t in range(len(flow))
            if (frames == t).any()
        ]
        rest = np.where(np.isin(regions.index, largest), -1, regions.index)
        joined = tracks(Regions(rest, regions.count), flow, vector_size)
        found = chosen(
            joined.means(relevance), joined.pixels, selection.rule, share=selection.share
        )
        return np.append(found, False)[joined.index] & (rest >= 0)
    for t in range(len(flow)):
        here = np.flatnonzero(frames == t)
        if len(here):
            found = chosen(scores[here], pixels[here], selection.rule, share=selection.share)
            kept[here] = found
    return kept[regions.index]


@jax.jit
def _map(flow: jax.Array, moving: jax.Array, valid: jax.Array) -> jax.Array:
    return saliency_map(flow, moving, valid=valid)


class Nims:
    """Masks of what moves, from a frame classifier alone or with a segmenter.

    Attributes:
        detector: the frame classifier.
        segmenter: gives the regions (table 5.2); None for layers of motion (table 5.1).
        selection: which regions move.
        parts: what regions are parts of, where there is no segmenter.
    """

    select = "nonzero"  # how an evaluation reads the masks: all but the first move

    def __init__(
        self,
        detector: FrameDetector,
        segmenter: Segmenter | None = None,
        selection: Selection | None = None,
        parts: Parts = "layers",
    ) -> None:
        """Puts them together.

        Args:
            detector: the frame classifier.
            segmenter: trained network whose segments are judged; None for ``parts``.
            selection: which regions move; that of the thesis where it is None.
            parts: what regions are parts of, where there is no segmenter.
        """
        self.detector, self.segmenter = detector, segmenter
        self.parts: Parts = parts
        self.selection = selection or Selection("above_largest", over_time=False)

    def __call__(self, flow: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """Tells what moves in a video.

        Args:
            flow: `[T, H, W, 2]`, pixels per frame.
            valid: `[T, H, W]` in {0, 1}, where it is known; None for everywhere.

        Returns:
            Probabilities `[T, H, W, 2]` float32 of the rest, and of what moves on its own.

        Raises:
            InputError: as `FrameDetector`.
        """
        parts: Parts | np.ndarray = self.parts
        soft = None
        if self.segmenter is not None:
            soft = self.segmenter(flow, valid)
            parts = soft.argmax(axis=-1)
        moving = salient_regions(
            self.detector, flow, valid, parts=parts, selection=self.selection
        ).moving.astype(np.float32)
        if soft is not None:
            moving = softened(moving, soft)
        return np.stack([1 - moving, moving], axis=-1)


def softened(moving: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Makes the outlines of what moves as soft as the masks that it is made of.

    Args:
        moving: `[T, H, W]`, 1 where something moves, else 0.
        masks: `[T, H, W, K]`, the probability of each segment.

    Returns:
        float32 `[T, H, W]` in [0, 1].
    """
    labels, moving = masks.argmax(axis=-1), np.asarray(moving, np.float32)
    result = np.zeros_like(moving)
    for t, (frame, soft) in enumerate(zip(moving, masks, strict=True)):
        chosen_labels = np.unique(labels[t][frame > 0])
        around = cv2.dilate(frame, np.ones((3, 3), np.uint8)) > 0
        # What was not chosen keeps its pixels, also where it is of the same segment.
        free = (frame > 0) | ~np.isin(labels[t], chosen_labels)
        result[t] = np.where(around & free, soft[..., chosen_labels].sum(axis=-1), 0)
    return result
