"""FBMS-59: built from small archives in its layout, whole and damaged."""

import cv2
import numpy as np
import pytest
from conftest import frame, mask, records, write, write_flow

COLOURS = (0xFFFFFF, 0xFF0000, 0x0080FF)  # white background, red, a blue


def _definition(scales, annotated):
    lines = ["Ground truth definition file 1.0!", "", "Total number of regions:", str(len(scales))]
    for region, scale in enumerate(scales):
        lines += ["", f"Scale of region {region}:", str(scale)]
    lines += ["", "Total number of frames in this shot:", "5"]
    lines += ["Total number of labeled frames:", str(len(annotated))]
    for number, name in annotated.items():
        lines += ["Frame number:", str(number), "File name:", name, "Input file name:", "x.ppm"]
    return "\n".join(lines) + "\n"


def _labels(t):
    return mask(t, 1) + np.flipud(mask(t, 2))


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "FBMS"
    for seed, place in enumerate(("Trainingset/bear01", "Testset/cars1", "Testset/lion01")):
        name = place.split("/")[1]
        for t in range(5):
            write(root / place / f"{name}_{t + 1:04d}.jpg", frame(t, seed))
        truth = root / place / "GroundTruth"
        annotated = {}
        for t in (0, 3):
            if name == "cars1":  # the older ones are grey
                annotated[t] = f"{name}_{t + 1:03d}.pgm"
                write(truth / annotated[t], np.choose(_labels(t), (0, 100, 255)).astype(np.uint8))
            else:
                annotated[t] = f"{name}_{t + 1:04d}_gt.ppm"
                values = np.choose(_labels(t), COLOURS)
                picture = np.stack([values & 255, values >> 8 & 255, values >> 16], -1)  # BGR
                write(truth / annotated[t], picture.astype(np.uint8))
        scales = (0, 100, 255) if name == "cars1" else COLOURS
        (truth / f"{name}Def.dat").write_text(_definition(scales, annotated))
        write_flow(root / f"Flows/made/{name}.npz", 4, seed)
    return root


def test_some_frames_are_annotated_in_colours_or_greys(archive, tmp_path, build):
    status, out, err = build("fbms59", archive, tmp_path / "built")
    assert status == 0, err
    assert "1 in train, 2 in validation" in out
    found = records(tmp_path / "built/fbms59/files/1.0.0", "validation")
    assert sorted(found) == ["cars1", "lion01"]
    for record in found.values():
        np.testing.assert_array_equal(record["mask_frames"], [0, 3])
        np.testing.assert_array_equal(record["masks"][..., 0], [_labels(0), _labels(3)])
        assert record["flow"].shape == (4, 6, 8, 2)


@pytest.mark.parametrize(
    ("damaged", "change", "words"),
    [
        ("Trainingset/bear01/GroundTruth/bear01_0004_gt.ppm", "remove", "no such file, though"),
        ("Trainingset/bear01/GroundTruth/bear01_0004_gt.ppm", "cut", "damaged picture"),
        ("Trainingset/bear01/GroundTruth/bear01_0004_gt.ppm", "paint", "of no region"),
        ("Trainingset/bear01/GroundTruth/bear01Def.dat", "cut", "Def.dat"),
        ("Trainingset/bear01/bear01_0003.jpg", "remove", "missing frame"),
        ("Trainingset/bear01/bear01_0003.jpg", "cut to nothing", "not a picture"),
    ],
)
def test_damage_is_named(damaged, change, words, archive, tmp_path, build):
    path = archive / damaged
    if change == "remove":
        path.unlink()
    elif change == "cut":
        path.write_bytes(path.read_bytes()[:160])
    elif change == "cut to nothing":
        path.write_bytes(b"")
    else:
        picture = cv2.imread(str(path))
        picture[2, 3] = (1, 2, 3)
        write(path, picture)
    status, _, err = build("fbms59", archive, tmp_path / "built")
    assert status == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"error: {path}")
    assert words in last
    assert not list(tmp_path.glob("built/fbms59/files/*"))
