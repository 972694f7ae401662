"""Data sets built from real DAVIS sequences: counts, shapes, splits and values."""

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.real

DEVELOPMENT = ("blackswan", "bmx-trees", "camel", "car-shadow", "dog", "goat", "libby")
DEVELOPMENT += ("scooter-black",)


@pytest.fixture
def davis(shared, tmp_path):
    """A root with links to some sequences, in the layout of the archive."""
    real, root = shared / "data/davis", tmp_path / "DAVIS"

    def link(**splits: tuple[str, ...]):
        for split, names in splits.items():
            for name in names:
                for folder in ("Annotations/480p", "JPEGImages/480p"):
                    if (real / folder / name).is_dir():
                        (root / folder).mkdir(parents=True, exist_ok=True)
                        (root / folder / name).symlink_to(real / folder / name)
            (root / "ImageSets").mkdir(parents=True, exist_ok=True)
            (root / f"ImageSets/{split}.txt").write_text("\n".join(names))
        (root / "Flows").mkdir()
        (root / "Flows/raft").symlink_to(real / "Flows/raft")
        return real, root

    return link


def check(real, name, record):
    """A record against the files, read by other means."""
    flow = np.load(real / f"Flows/raft/{name}.npz")["flow"]
    np.testing.assert_array_equal(record["flow"], flow)
    files = sorted((real / f"Annotations/480p/{name}").iterdir())
    assert len(files) == len(flow) + 1 == len(record["frame_names"])
    assert record["masks"].shape == (len(files), record["height"], record["width"], 1)
    assert record["height"] == 480
    for frame in (0, len(files) // 2, -1):
        picture = cv2.imread(str(files[frame]), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        np.testing.assert_array_equal(record["masks"][frame, ..., 0], picture > 0)


def test_two_sequences(davis, build, records):
    real, root = davis(train=("bear",), val=("libby",))
    status, out, err = build("davis2016", root)
    assert status == 0, err
    assert "1 in train, 1 in validation" in out
    for split, name in (("train", "bear"), ("validation", "libby")):
        check(real, name, records("davis2016/files", split)[name])


@pytest.mark.slow
def test_all_there_are(davis, shared, build, records):
    train = (shared / "data/davis/ImageSets/train.txt").read_text().split()
    real, root = davis(train=tuple(train), val=DEVELOPMENT)
    status, out, err = build("davis2016", root)
    assert status == 0, err
    assert "30 in train, 8 in validation" in out
    for split, names in (("train", train), ("validation", DEVELOPMENT)):
        found = records("davis2016/files", split)
        assert sorted(found) == sorted(names)
        for name, record in found.items():
            check(real, name, record)


@pytest.mark.slow
def test_raft_on_a_few_frames_is_raft_on_them(davis, shared, tmp_path, build, records):
    from jaxmotion.data import read_image
    from jaxmotion.data.transforms import resize_flow
    from jaxmotion.optical_flow import make_estimator

    source = shared / "data/davis/JPEGImages/480p/blackswan"
    folder = tmp_path / "videos/blackswan"
    folder.mkdir(parents=True)
    for t in range(3):
        (folder / f"{t:05d}.jpg").symlink_to(source / f"{t:05d}.jpg")
    weights = shared / "data/raft/raft-small.pth"
    options = ("--flow", "raft_small", "--weights", weights, "--iterations", 12)
    status, _, err = build("video_flow", tmp_path / "videos", *options)
    assert status == 0, err
    record = records("video_flow/raft_small", "train")["blackswan"]
    assert record["flow"].shape == (2, 128, 224, 2)
    assert (record["height"], record["width"]) == (480, 854)
    assert len(record["weights_sha256"]) == 64
    estimator = make_estimator("raft_small", weights=weights, iterations=12)
    frames = [read_image(folder / f"{t:05d}.jpg") for t in range(2)]
    expected = resize_flow(estimator(*frames)[None], (128, 224))[0]
    np.testing.assert_allclose(record["flow"][0], expected, rtol=1e-3, atol=1e-2)
    # Not far from the large network's, which the shared flow is of.
    large = np.load(shared / "data/davis/Flows/raft/blackswan.npz")["flow"][0].astype(np.float32)
    error = np.linalg.norm(record["flow"][0] - large, axis=-1)
    assert np.median(error) < 0.5
