"""Folders of videos of one's own, with and without masks."""

import numpy as np
import pytest
from conftest import frame, mask, records, write, write_flow

from jaxmotion.data import VideoWriter


@pytest.fixture
def videos(tmp_path):
    root = tmp_path / "videos"
    for t in range(4):
        write(root / f"walk/frame_{t:03d}.png", frame(t, 0))
    write(root / "masks/walk/frame_001.png", mask(1, 2))
    with VideoWriter(root / "run.mp4") as writer:
        for t in range(5):
            writer.write(np.ascontiguousarray(frame(t, 1)))
    for name, count in (("walk", 3), ("run", 4)):
        write_flow(root / f"Flows/made/{name}.npz", count, count)
    return root


def test_flow_from_files_and_masks_of_some_frames(videos, tmp_path, build):
    status, out, err = build("video_flow", videos, tmp_path / "built")
    assert status == 0, err
    assert "2 in train" in out
    found = records(tmp_path / "built/video_flow/files/1.0.0", "train")
    assert sorted(found) == ["run", "walk"]
    assert found["run"]["flow"].shape == (4, 6, 8, 2)
    assert len(found["run"]["masks"]) == 0
    np.testing.assert_array_equal(found["walk"]["mask_frames"], [1])
    np.testing.assert_array_equal(found["walk"]["masks"][0, ..., 0], mask(1, 2))
    assert (found["run"]["height"], found["run"]["width"]) == (48, 64)


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        ("walk/frame_002.png", "missing frame"),
        ("run.mp4", "not a readable video"),
        ("masks/walk/frame_009.png", "a mask of no frame"),
        ("masks/fly/00000.png", "masks of no video"),
    ],
)
def test_damage_is_named(damaged, words, videos, tmp_path, build):
    path = videos / damaged
    if damaged == "run.mp4":
        path.write_bytes(b"no video")
    elif path.exists():
        path.unlink()
    else:
        write(path, mask(0))
    status, _, err = build("video_flow", videos, tmp_path / "built")
    assert status == 2
    last = err.strip().splitlines()[-1]
    assert words in last
    assert str(path.parent if "of no video" in words else path) in last
    assert not list(tmp_path.glob("built/video_flow/files/*"))
