"""A made-up video for the tests of the answer, and the answer to it with all that can be asked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import jaxmotion as jm
from jaxmotion.answer import EXPORTS, Answer, Report, segment_video
from jaxmotion.data import write_image
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.optical_flow import write_flow_npz

HEIGHT, WIDTH, FRAMES = 45, 63, 7  # odd: what needs even sizes shows


@dataclass(frozen=True)
class Answered:
    """Where everything is, and what is known of it."""

    frames: Path
    out: Path
    report: Report


@pytest.fixture(scope="session")
def answered(untrained_run, tmp_path_factory) -> Answered:
    root = tmp_path_factory.mktemp("answered")
    rng = np.random.default_rng(1)
    flow = rng.normal(0, 0.1, (FRAMES - 1, HEIGHT, WIDTH, 2)).astype(np.float32)
    for t in range(FRAMES):
        picture = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        write_image(root / "clip" / f"shot_{t:04d}.jpg", picture)
        if t < FRAMES - 1:
            flow[t, 10:35, 5 + 3 * t : 30 + 3 * t] += 6
    write_flow_npz(root / "flow.npz", flow)
    segmenter = jm.Segmenter.load(untrained_run, InferenceConfig(1, 0))
    answer = Answer(probabilities=True, saliency=True, exports=tuple(EXPORTS), dilate=3)
    report = segment_video(
        root / "clip", segmenter, root / "out", root / "flow.npz", answer, {"Flow": "<made up>"}
    )
    assert report.moving.any()
    return Answered(root / "clip", root / "out", report)
