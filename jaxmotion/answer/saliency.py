"""Motion saliency of a user's own video: is there anything, where, and how much it stands out."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from jaxmotion.answer.page import Gatherer, render
from jaxmotion.data.pictures import write_image
from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.data.video import Video, open_video
from jaxmotion.files import atomic_path
from jaxmotion.inference.detector import FrameDetector
from jaxmotion.inference.given_flow import GivenFlow
from jaxmotion.inference.nims import Salience, Selection, salient_regions
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow.arrays import known_flow
from jaxmotion.optical_flow.estimators import Estimator, estimate_sequence
from jaxmotion.optical_flow.refinement import Refined
from jaxmotion.output_folder import Results
from jaxmotion.saliency import segment_residuals

RESULTS = ("index.html", "frames.csv", "moving", "saliency", "relevance")


class Judged(NamedTuple):
    """The result of `judge_video`, for the one who called it.

    Attributes:
        probabilities: `[T]`, of each frame that something moves on its own.
        area: mean share of the picture that moves.
    """

    probabilities: np.ndarray
    area: float

    def __str__(self) -> str:
        salient = int((self.probabilities > 0.5).sum())
        return (
            f"something moves on its own in {salient} of {len(self.probabilities)} frames, "
            f"{100 * self.area:.1f} % of the picture on average"
        )


def judge_video(
    path: Path,
    detector: FrameDetector,
    segmenter: Segmenter | None,
    out: Path,
    flow: Estimator | Path,
    selection: Selection | None = None,
    settings: dict[str, str] | None = None,
) -> Judged:
    """Tells of each frame of a video whether anything moves on its own, and what it is.

    Into ``out`` go, all at once and in the place of what an earlier run left there:

    - ``index.html``: a page to look at it all.
    - ``frames.csv``: of each frame its name, the logit and the probability that something moves on
      its own, the share of the logit that no pixel explains, and the share of the picture that
      moves.
    - ``moving/NAME.png``: 255 where something moves on its own, else 0.
    - ``saliency/NAME.png``: how far its flow is from the motion of the rest (thesis eq. 5.6).
    - ``relevance/NAME.png``: the part of each pixel in the decision, the largest of the frame 255.

    The flow of the whole video is held in memory, at the size that the networks work at. The last
    frame has no flow to a next one. Its answer is that of the frame before.

    Args:
        path: video file, or folder of frames.
        detector: trained frame classifier.
        segmenter: trained network whose segments are judged; None for layers of motion.
        out: folder to write to.
        flow: estimator of the flow, or flow that is there already (`GivenFlow`).
        selection: which regions move; None for those whose whole track is relevant.
        settings: settings of the run that the page lists, by name.

    Returns:
        The probabilities, and how much moves.

    Raises:
        InputError: on an unreadable video, flow that does not belong to it, or a folder whose files
            are somebody else's. Nothing has changed there then.
    """
    video = open_video(path)
    network = detector if segmenter is None else segmenter
    size = network.working_size(video.height, video.width)
    if isinstance(flow, Path):
        fields = given = GivenFlow(flow, video)
    else:
        estimator = flow.at(size) if isinstance(flow, Refined) else flow
        estimated = enumerate(estimate_sequence(video, estimator))
        fields, given = (known_flow(f"flow field {t}", field) for t, field in estimated), None
    results = Results(out, "saliency", RESULTS, video.path.name)
    inputs = [video.path, *video.files, *(given.files if given else ())]
    total = None if video.num_frames is None else video.num_frames - 1
    with results.claimed(inputs), results.replaced() as new:
        with tqdm(desc="flow", unit="frame", total=total) as bar:
            held = []
            for field, known in fields:
                held.append(resize_flow_and_valid(field, known, size))
                bar.update()
        vectors, valid = (np.stack(arrays) for arrays in zip(*held, strict=True))
        found = salient_regions(
            detector,
            vectors,
            valid,
            parts="layers" if segmenter is None else segmenter(vectors, valid).argmax(axis=-1),
            selection=selection or Selection(),
            vector_size=(video.height, video.width),
        )
        gatherer = Gatherer(2)
        areas = list(_written(new, video, found, vectors, valid, gatherer))
        _write_table(new / "frames.csv", video.frame_names(), found, areas)
        residuals = segment_residuals(found.moving.astype(np.uint8), vectors, 2, valid)
        moving = np.array([False, bool(found.moving.any())])
        likely = found.evidence.probabilities
        page = render(video, gatherer, residuals, moving, settings or {}, likely.tolist())
        (new / "index.html").write_text(page, encoding="utf-8")
    return Judged(likely, float(np.mean(areas)))


def _written(
    folder: Path,
    video: Video,
    found: Salience,
    flow: np.ndarray,
    valid: np.ndarray,
    gatherer: Gatherer,
) -> Iterator[float]:
    """Writes the pictures of each frame, and gives the share of it that moves."""
    last = len(flow) - 1
    for t, (name, frame) in enumerate(zip(video.frame_names(), video, strict=False)):
        of = min(t, last)
        size = frame.shape[1::-1]
        moving = cv2.resize(
            found.moving[of].astype(np.float32), size, interpolation=cv2.INTER_LINEAR
        )
        labels = (moving > 0.5).astype(np.uint8)
        write_image(folder / "moving" / f"{name}.png", 255 * labels)
        top = max(float(found.evidence.relevance[of].max()), 1e-30)
        shown = {"saliency": found.map[of], "relevance": found.evidence.relevance[of] / top}
        for kind, values in shown.items():
            grey = cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
            grey = np.rint(255 * np.clip(grey, 0, 1)).astype(np.uint8)
            write_image(folder / kind / f"{name}.png", grey)
        if t > last:
            gatherer.add_last(frame, labels)
        else:
            masks = np.eye(2, dtype=np.float32)[found.moving[t].astype(int)]
            gatherer.add(frame, labels, flow[t], masks, valid[t])
        yield float(labels.mean())


def _write_table(path: Path, names: Iterator[str], found: Salience, areas: list[float]) -> None:
    logits, _, lost = found.evidence
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["frame", "logit", "probability", "lost_share", "moving_share"])
        likely = found.evidence.probabilities
        for t, (name, area) in enumerate(zip(names, areas, strict=False)):
            of = min(t, len(logits) - 1)
            share = lost[of] / logits[of] if logits[of] > 0 else 0.0
            numbers = (logits[of], likely[of], share, area)
            table.writerow([name, *(f"{number:.6g}" for number in numbers)])
