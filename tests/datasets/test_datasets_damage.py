"""Every archive, damaged: one line that names the file, and nothing under the final name."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from original_layouts import FLOW_SIZE, SIZE, write, write_flow, write_pfm, write_text

# What is done to a file or folder of an archive. All but the first few are for kinds of files.


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    """A file without a byte, or a folder without a file."""
    if path.is_dir():
        shutil.rmtree(path)
        path.mkdir()
    else:
        path.write_bytes(b"")


def unreadable(path: Path) -> None:
    """Denied also to the superuser, whom permissions do not stop: a folder in its place."""
    path.unlink()
    path.mkdir()


def web_page(path: Path) -> None:
    path.write_bytes(b"<html>not found</html>")


def shrink(path: Path) -> None:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    write(path, cv2.resize(picture, (30, 20), interpolation=cv2.INTER_NEAREST))


def colors(path: Path) -> None:
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[3:9, 3:9] = (1, 2, 3)
    write(path, picture)


def sixteen_bits(path: Path) -> None:
    write(path, np.full(SIZE, 1000, np.uint16))


def flow_too_short(path: Path) -> None:
    write_flow(path, 1, 0)


def flow_of_three_channels(path: Path) -> None:
    np.savez(path, flow=np.zeros((3, *FLOW_SIZE, 3), np.float16))


def flow_not_finite(path: Path) -> None:
    flow = np.load(path)["flow"]
    flow[1, 2, 3, 0] = np.nan
    np.savez(path, flow=flow)


def pfm(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Writes other values, made of zeros `[H, W, 3]`."""
    return lambda path: write_pfm(path, change(np.zeros((*SIZE, 3), np.float32)))


def rename(name: str) -> Callable[[Path], None]:
    return lambda path: path.rename(path.with_name(name))


def swap(old: str, new: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = path.read_text()
        assert old in content
        write_text(path, content.replace(old, new))

    return change


# What every archive with frames and flow beside them has in common; the file, the damage, the
# words. The file is named, unless a fourth entry says what is named instead.
FRAME = [
    (remove, "missing frame"),
    (truncate, "damaged picture"),
    (empty, "not a picture of a known kind"),
    (web_page, "not a picture of a known kind"),
    (unreadable, "cannot be read"),
    (shrink, "30 x 20, expected 64 x 48"),
]
FLOW = [
    (remove, "no flow of this sequence"),
    (truncate, "damaged"),
    (flow_too_short, "1 flow fields, expected"),
    (flow_of_three_channels, r"shape \(3, 6, 8, 3\), expected \[T, H, W, 2\]"),
    (flow_not_finite, "NaN or infinite"),
]
MASK = [
    (truncate, "damaged picture"),
    (web_page, "not a picture of a known kind"),
    (unreadable, "cannot be read|no such file, though"),
    (shrink, "30 x 20, expected 64 x 48"),
]

FBMS = "Testset/lion01/GroundTruth/lion01"
TABLE, CRAB_9 = "Annotations/annotations.csv", "JPEGImages/crab/00009"
FT3D_FLOW = "optical_flow/TRAIN/B/0000/into_future/left/OpticalFlowIntoFuture_0007_L.pfm"
FT3D_MASK = "object_index/TRAIN/B/0000/left/0007.pfm"

DAMAGES: dict[str, list[tuple]] = {
    "davis2016": [
        *(("JPEGImages/480p/bus/00001.jpg", *case) for case in FRAME),
        *(("Annotations/480p/goat/00002.png", *case) for case in MASK),
        *(("Flows/made/bear.npz", *case) for case in FLOW),
        ("Annotations/480p/goat/00002.png", sixteen_bits, "label 1000, expected at most 255"),
        ("Annotations/480p/goat/00002.png", colors, "in colors"),
        ("Annotations/480p/goat/00002.png", remove, "no such file, though val.txt lists it"),
        ("JPEGImages/480p/dog/00003.jpg", remove, "no such file, though its mask is there"),
        ("ImageSets", remove, "No such file", "ImageSets/480p/train.txt"),
        ("ImageSets/480p/val.txt", empty, "empty"),
        ("Flows", remove, "no such folder"),
        ("Flows/made", empty, "an empty folder"),
    ],
    "davis2017_motion": [
        *(("JPEGImages/480p/koala/00001.jpg", *case) for case in FRAME),
        *(("Annotations_unsupervised_motion/480p/pigs/00001.png", *case) for case in MASK),
        *(("Flows/made/pigs.npz", *case) for case in FLOW),
        ("Annotations_unsupervised_motion/480p/pigs/00001.png", colors, "in colors"),
        (
            "Annotations_unsupervised_motion/480p/pigs/00001.png",
            sixteen_bits,
            "label 1000, expected at most 255",
        ),
        ("Annotations_unsupervised_motion/480p/pigs/00001.png", remove, "missing frame"),
        ("Annotations_unsupervised_motion/480p/pigs", remove, "the masks of the sequence pigs"),
        ("Annotations_unsupervised_motion/480p/cat-girl", empty, "no pictures in this folder"),
        ("Annotations_unsupervised_motion", remove, "annotations grouped by motion of https://"),
        ("ImageSets/2017/val.txt", empty, "empty"),
        ("ImageSets/2017/train.txt", remove, "No such file"),
    ],
    "fbms59": [
        *(("Trainingset/bear01/bear01_0003.jpg", *case) for case in FRAME),
        *((f"{FBMS}_0004_gt.ppm", *case) for case in MASK),
        *(("Flows/made/lion01.npz", *case) for case in FLOW),
        (f"{FBMS}_0004_gt.ppm", remove, "no such file, though lion01Def.dat lists it"),
        (f"{FBMS}_0004_gt.ppm", colors, "the color at 0, 0 is of no region"),
        (f"{FBMS}Def.dat", truncate, "Def.dat"),
        (f"{FBMS}Def.dat", remove, "0 files", "Testset/lion01/GroundTruth"),
        (f"{FBMS}Def.dat", unreadable, "cannot be read"),
        (f"{FBMS}Def.dat", swap("Frame number:\n3", "Frame number:\n9"), "frame 9, but there are"),
        (f"{FBMS}Def.dat", swap("regions:\n3", "regions:\n4"), "3 regions of 4"),
        ("Testset/lion01/GroundTruth", remove, "the regions of lion01"),
        ("Testset", empty, "no sequence of the split validation", ""),
    ],
    "segtrack_v2": [
        *(("JPEGImages/girl/girl_0001.bmp", *case) for case in FRAME[1:]),
        ("JPEGImages/girl/girl_0001.bmp", remove, "no such file, though"),
        *(("GroundTruth/bmx/1/bmx_00008.png", *case) for case in MASK),
        *(("Flows/made/girl.npz", *case) for case in FLOW),
        ("GroundTruth/bmx/2/bmx_00009.png", remove, "no such file, though"),
        ("GroundTruth/bmx/2/bmx_00008.png", sixteen_bits, "label 1000, expected at most 255"),
        ("GroundTruth/bmx/2", empty, "no pictures in this folder"),
        ("GroundTruth/girl", remove, "the masks of girl"),
        ("JPEGImages", empty, "no sequence of the split test", ""),
        ("JPEGImages", remove, "expected the frames"),
    ],
    "moca": [
        *(("JPEGImages/crab/00001.jpg", *case) for case in FRAME),
        *(("Flows/made/crab.npz", *case) for case in FLOW),
        ("JPEGImages/crab", remove, "the frames of a video of annotations.csv"),
        ("JPEGImages/crab", empty, "no pictures|no frames|empty"),
        ("JPEGImages/crab/00006.jpg", remove, "6 flow fields, expected 5", "Flows/made/crab.npz"),
        (TABLE, remove, "cannot be read"),
        (TABLE, empty, "no rectangle in this table"),
        (TABLE, swap('"{""1"":""0""}"\n1_a4', '"{""1"":'), "line 10: expected a file, a rectangle"),
        (TABLE, unreadable, "cannot be read"),
        (TABLE, swap("/crab/00000.jpg", "/crab/00009.jpg"), "though line 9", CRAB_9),
        (TABLE, swap("spatial_coordinates,metadata", "place"), "line 6: expected the columns"),
        (TABLE, swap("[2,10,5,20,15]", "[2,10,5,20]"), "line 7: expected a file, a rectangle"),
        (TABLE, swap("[2,10,5,20,15]", "[2,10,5,x,15]"), "line 7: expected a file, a rectangle"),
        (TABLE, swap("[2,10,5,20,15]", "[3,10,5,20,15]"), "line 7: .*expected a rectangle"),
        (TABLE, swap('crab/00000.jpg,0,[],"[2,1', 'crab/00000.jpg,0,[],"[2,91'), "line 9: a box"),
        (TABLE, swap('""0""', '""7""'), "line 10: motion '7'"),
    ],
    "flying_things3d": [
        (FT3D_FLOW, remove, "missing frame"),
        (FT3D_FLOW, truncate, "truncated"),
        (FT3D_FLOW, empty, "not a .pfm file"),
        (FT3D_FLOW, web_page, "not a .pfm file"),
        (FT3D_FLOW, unreadable, "cannot be read|no such file"),
        (FT3D_FLOW, pfm(lambda zeros: zeros[:20, :30]), "30 x 20, expected 64 x 48"),
        (FT3D_FLOW, pfm(lambda zeros: zeros[..., 0]), "one channel, expected flow in three"),
        (FT3D_FLOW, pfm(lambda zeros: zeros + np.nan), "3072 NaN or infinite vectors"),
        (FT3D_FLOW.replace("0007", "0008"), remove, "missing frame"),
        (FT3D_FLOW.rsplit("/", 1)[0], empty, "no pictures"),
        (FT3D_MASK, remove, "missing frame"),
        (FT3D_MASK, truncate, "truncated"),
        (FT3D_MASK, pfm(lambda zeros: zeros), "three channels, expected the index"),
        (FT3D_MASK, pfm(lambda zeros: zeros[..., 0] + 0.5), "no whole number"),
        (FT3D_MASK, pfm(lambda zeros: zeros[:20, :30, 0]), "30 x 20, expected 64 x 48"),
        (FT3D_MASK.replace("0007", "0009"), remove, "no such file, though its frame is there"),
        ("frames_cleanpass/TRAIN/B/0000/left/0007.png", truncate, "not a picture|damaged"),
        ("frames_cleanpass/TRAIN/B/0000/left/0007.png", shrink, "30 x 20, expected 64 x 48"),
        ("optical_flow/TRAIN", remove, "a folder for each sequence"),
        ("optical_flow/TRAIN", empty, "no sequence of the split train", ""),
    ],
    "video_flow": [
        *(("walk/frame_002.png", *case) for case in FRAME),
        *(("Flows/made/walk.npz", *case) for case in FLOW),
        *(("masks/walk/frame_001.png", *case) for case in MASK),
        ("run.mp4", web_page, "not a readable video"),
        ("run.mp4", truncate, "no frame could be decoded"),
        ("masks/walk/frame_001.png", rename("9.png"), "a mask of no frame", "masks/walk/9.png"),
        ("masks/walk", rename("fly"), "masks of no video", "masks/fly"),
    ],
}


def _name(value: object) -> str:
    return getattr(value, "__name__", str(value)).strip("<>").rsplit("/", 1)[-1]


@pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name, cases in DAMAGES.items() for case in cases],
    ids=lambda value: "-".join(map(_name, value[:2])) if isinstance(value, tuple) else value,
)
def test_damage_is_named_with_its_path_and_nothing_is_left(name, case, original, build, tmp_path):
    file, damage, words, *named = case
    root = original(name)
    damage(root / file)
    status, _, err = build(name, root)
    assert status == 2, err
    last = err.strip().splitlines()[-1]
    assert re.search(words, last), last
    path = root / (named[0] if named else file)
    assert str(path.with_suffix("") if damage is remove else path) in last
    assert not list((tmp_path / "built").glob(f"{name}/files/*"))


@pytest.mark.parametrize("name", DAMAGES)
def test_there_are_ten_kinds_of_damage_at_least(name):
    assert len({(case[1], case[2]) for case in DAMAGES[name]}) >= 10
