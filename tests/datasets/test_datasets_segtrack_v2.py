"""SegTrack v2: built from small archives in its layout, whole and damaged."""

import numpy as np
import pytest
from conftest import frame, mask, records, write, write_flow


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "SegTrackv2"
    for t in range(3):
        write(root / f"JPEGImages/girl/girl_{t:04d}.bmp", frame(t, 0))
        write(root / f"GroundTruth/girl/girl_{t:04d}.bmp", np.repeat(mask(t)[..., None], 3, -1))
        write(root / f"JPEGImages/bmx/bmx_{t + 7:05d}.png", frame(t, 1))
        write(root / f"GroundTruth/bmx/1/bmx_{t + 7:05d}.png", mask(t))
        write(root / f"GroundTruth/bmx/2/bmx_{t + 7:05d}.png", np.flipud(mask(t)))
    for name in ("girl", "bmx"):
        write_flow(root / f"Flows/made/{name}.npz", 2, len(name))
    return root


def test_each_object_has_its_label(archive, tmp_path, build):
    status, out, err = build("segtrack_v2", archive.parent, tmp_path / "built")
    assert status == 0, err
    assert "2 in test" in out
    found = records(tmp_path / "built/segtrack_v2/files/1.0.0", "test")
    expected = np.stack([mask(t, 1) + np.flipud(mask(t, 2)) for t in range(3)])
    np.testing.assert_array_equal(found["bmx"]["masks"][..., 0], expected)
    np.testing.assert_array_equal(found["girl"]["masks"][1, ..., 0], mask(1, 1))
    assert found["girl"]["flow"].shape == (2, 6, 8, 2)
    assert [n.decode() for n in found["bmx"]["frame_names"]] == [
        f"bmx_{7 + t:05d}" for t in (0, 1, 2)
    ]


@pytest.mark.parametrize(
    ("damaged", "change", "named", "words"),
    [
        ("GroundTruth/bmx/2/bmx_00009.png", "remove", "GroundTruth/bmx/2", "2 masks, expected 3"),
        ("GroundTruth/bmx/1/bmx_00008.png", "cut", None, "damaged picture"),
        ("GroundTruth/bmx/2/bmx_00008.png", "shrink", None, "20 x 10, expected 64 x 48"),
        ("JPEGImages/girl/girl_0001.bmp", "shrink", None, "20 x 10, expected 64 x 48"),
        ("Flows/made/girl.npz", "remove", "Flows/made/girl", "no flow of this sequence"),
    ],
)
def test_damage_is_named(damaged, change, named, words, archive, tmp_path, build):
    path = archive / damaged
    if change == "remove":
        path.unlink()
    elif change == "cut":
        path.write_bytes(path.read_bytes()[:70])
    else:
        write(path, np.zeros((10, 20), np.uint8))
    status, _, err = build("segtrack_v2", archive, tmp_path / "built")
    assert status == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"error: {archive / (named or damaged)}")
    assert words in last
    assert not list(tmp_path.glob("built/segtrack_v2/files/*"))
