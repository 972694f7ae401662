"""Flow of the published weights against that of the published code, and against the truth."""

import cv2
import numpy as np
import pytest

from jaxmotion.optical_flow import read_flow_and_valid
from jaxmotion.optical_flow.raft import RAFTEstimator

WEIGHTS = {"raft": "raft-sintel", "raft_small": "raft-small"}


@pytest.mark.real
@pytest.mark.parametrize("name", ["raft_small", pytest.param("raft", marks=pytest.mark.slow)])
def test_flow_of_the_reference_crop(shared, name):
    raft = shared / "data" / "raft"
    estimator = RAFTEstimator(name, raft / f"{WEIGHTS[name]}.pth", iterations=20)
    (reference,) = (raft / "reference_outputs").glob(f"{WEIGHTS[name]}_*.npz")
    with np.load(reference) as archive:
        expected = archive["flow"]
    folder = shared / "data" / "davis" / "JPEGImages" / "480p" / "blackswan"
    frames = [read(folder / f"{t:05d}.jpg")[112:368, 224:608] for t in range(2)]
    assert np.linalg.norm(estimator(*frames) - expected, axis=-1).mean() < 0.001


SAMPLES = {
    "RubberWhale": ("Middlebury/RubberWhale", "frame10.png", "frame11.png", "flow10.flo"),
    "KITTI": ("KITTI2012or2015_sample", "frame1.png", "frame2.png", "flow_gt.png"),
    "Sintel": (
        "Sintel/training",
        "clean/alley_1/frame_0001.png",
        "clean/alley_1/frame_0002.png",
        "flow/alley_1/frame_0001.flo",
    ),
}


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sample", "published"),
    [
        ("raft_small", "RubberWhale", 0.32),
        ("raft", "RubberWhale", 0.18),
        ("raft_small", "KITTI", 7.29),
        ("raft", "KITTI", 1.95),
        ("raft_small", "Sintel", 0.24),
        ("raft", "Sintel", 0.12),
    ],
)
def test_error_on_the_samples(shared, name, sample, published):
    estimator = RAFTEstimator(name, shared / "data" / "raft" / f"{WEIGHTS[name]}.pth")
    folder, *files = SAMPLES[sample]
    first, second, truth = (shared / "data" / "flow_samples" / folder / file for file in files)
    flow, valid = read_flow_and_valid(truth)
    error = np.linalg.norm(estimator(read(first), read(second)) - flow, axis=-1)[valid]
    assert abs(error.mean() - published) < 0.02


def read(path):
    image = cv2.imread(str(path))
    assert image is not None
    return image[..., ::-1]
