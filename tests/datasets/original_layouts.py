"""Small archives in the layouts of the originals, drawn by rule, each with flow beside it."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from jaxmotion.data import VideoWriter

SIZE = (48, 64)
FLOW_SIZE = (6, 8)


def frame(t: int, seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Smooth texture that moves by 2 pixels to the right per frame."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[0], size[1] + 40, 3), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)  # pyright: ignore
    return smooth[:, 40 - 2 * t : 40 - 2 * t + size[1]]


def mask(t: int, value: int = 255, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A block that moves."""
    labels = np.zeros(size, np.uint8)
    labels[5:20, 10 + t : 30 + t] = value
    return labels


def two_objects(t: int) -> np.ndarray:
    """Labels 0, 1 and 2."""
    return mask(t, 1) + np.flipud(mask(t, 2))


def write(path: Path, picture: np.ndarray) -> None:
    """Writes a picture, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def write_text(path: Path, text: str) -> None:
    """Writes a text, and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_flow(path: Path, count: int, seed: int, dtype: type = np.float16) -> np.ndarray:
    """Writes an .npz of random flow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flow = np.random.default_rng(seed).normal(0, 3, (count, *FLOW_SIZE, 2)).astype(dtype)
    np.savez_compressed(path, flow=flow)
    return flow


def write_pfm(path: Path, values: np.ndarray, little: bool = True) -> None:
    """Writes a portable float map of `[H, W]` or `[H, W, 3]`, whose rows go from the bottom up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PF" if values.ndim == 3 else "Pf"
    header = f"{kind}\n{values.shape[1]} {values.shape[0]}\n{'-1.0' if little else '1.0'}\n"
    data = values[::-1].astype("<f4" if little else ">f4")
    path.write_bytes(header.encode() + data.tobytes())


def make_davis2016(
    root: Path,
    splits: dict[str, Sequence[str]] | None = None,
    num_frames: int = 4,
    pairs: bool = True,
) -> None:
    """DAVIS 2016 as in its archive; its lists name sequences where they are not of pairs."""
    splits = splits or {"train": ("bear", "bus", "car"), "val": ("dog", "goat")}
    names = [name for names in splits.values() for name in names]
    for seed, name in enumerate(names):
        for t in range(num_frames):
            write(root / f"JPEGImages/480p/{name}/{t:05d}.jpg", frame(t, seed))
            write(root / f"Annotations/480p/{name}/{t:05d}.png", mask(t))
        write_flow(root / f"Flows/made/{name}.npz", num_frames - 1, seed)
    for split, members in splits.items():
        lines = []
        for name in members:
            for t in range(num_frames) if pairs else (0,):
                file = f"480p/{name}/{t:05d}"
                pair = f"/JPEGImages/{file}.jpg /Annotations/{file}.png"
                lines.append(pair if pairs else name)
        for folder in ("480p", "1080p") if pairs else (".",):  # the original has both
            write_text(root / "ImageSets" / folder / f"{split}.txt", "\n".join(lines) + "\n")


def make_davis2017_motion(root: Path, annotations: str = "Annotations_unsupervised_motion") -> None:
    """DAVIS 2017; a training sequence, koala, has no grouped annotations."""
    for seed, name in enumerate(("cat-girl", "koala", "pigs", "soapbox")):
        for t in range(4):
            write(root / f"JPEGImages/480p/{name}/{t:05d}.jpg", frame(t, seed))
            labels = mask(t, 1) if name == "soapbox" else two_objects(t)
            if name != "koala":
                write(root / f"{annotations}/480p/{name}/{t:05d}.png", labels)
        write_flow(root / f"Flows/made/{name}.npz", 3, seed)
    write_text(root / "ImageSets/2017/train.txt", "cat-girl\nkoala\n")
    write_text(root / "ImageSets/2017/val.txt", "pigs\nsoapbox\n")
    write_text(root / "ImageSets/2016/val.txt", "soapbox\n")  # as in the original


FBMS_COLORS = (0xFFFFFF, 0xFF0000, 0x0080FF)  # white background, red, a blue


def make_fbms59(root: Path) -> None:
    """FBMS-59, annotated in frames 0 and 3 of 5; cars1 in grays, as the older ones are."""
    for seed, place in enumerate(("Trainingset/bear01", "Testset/cars1", "Testset/lion01")):
        name = place.split("/")[1]
        for t in range(5):
            write(root / place / f"{name}_{t + 1:04d}.jpg", frame(t, seed))
        truth = root / place / "GroundTruth"
        annotated = {}
        for t in (0, 3):
            if name == "cars1":
                annotated[t] = f"{name}_{t + 1:03d}.pgm"
                picture = np.choose(two_objects(t), (0, 100, 255))
            else:
                annotated[t] = f"{name}_{t + 1:04d}_gt.ppm"
                values = np.choose(two_objects(t), FBMS_COLORS)
                picture = np.stack([values & 255, values >> 8 & 255, values >> 16], -1)  # BGR
            write(truth / annotated[t], picture.astype(np.uint8))
        scales = (0, 100, 255) if name == "cars1" else FBMS_COLORS
        write_text(truth / f"{name}Def.dat", _fbms_definition(scales, annotated))
        write_flow(root / f"Flows/made/{name}.npz", 4, seed)


def _fbms_definition(scales: Sequence[int], annotated: dict[int, str]) -> str:
    lines = ["Ground truth definition file 1.0!", "", "Total number of regions:", str(len(scales))]
    for region, scale in enumerate(scales):
        lines += ["", f"Scale of region {region}:", str(scale)]
    lines += ["", "Total number of frames in this shot:", "5"]
    lines += ["Total number of labeled frames:", str(len(annotated))]
    for number, name in annotated.items():
        lines += ["Frame number:", str(number), "File name:", name, "Input file name:", "x.ppm"]
    return "\n".join(lines) + "\n"


def make_segtrack_v2(root: Path) -> None:
    """SegTrack v2: girl with one object, bmx with two in folders of their own."""
    for t in range(3):
        write(root / f"JPEGImages/girl/girl_{t:04d}.bmp", frame(t, 0))
        write(root / f"GroundTruth/girl/girl_{t:04d}.bmp", np.repeat(mask(t)[..., None], 3, -1))
        write(root / f"JPEGImages/bmx/bmx_{t + 7:05d}.png", frame(t, 1))
        write(root / f"GroundTruth/bmx/1/bmx_{t + 7:05d}.png", mask(t))
        write(root / f"GroundTruth/bmx/2/bmx_{t + 7:05d}.png", np.flipud(mask(t)))
    for name in ("girl", "bmx"):
        write_flow(root / f"Flows/made/{name}.npz", 2, len(name))


VIA_HEADER = """\
# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)
# Notes:
# - spatial_coordinates of [2,10,20,50,80] denotes a rectangle of size 50x80 placed at (10,20)
# SHAPE_ID = {"POINT":1,"RECTANGLE":2,"CIRCLE":3}
# ATTRIBUTE = {"1":{"aname":"motion","options":{"0":"locomotion","1":"deformation","2":"static"}}}
# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata
"""
MOCA_BOXES = {0: (10, 5, 20, 15), 5: (15.5, 5, 20, 15)}  # each fifth frame has one


def make_moca(root: Path) -> None:
    """MoCA: crab and seal_1 of the 88 videos, and chameleon, which is not of them."""
    lines = []
    for seed, name in enumerate(("chameleon", "crab", "seal_1")):
        for t in range(7):
            write(root / f"JPEGImages/{name}/{t:05d}.jpg", frame(t, seed))
        for t, box in MOCA_BOXES.items():
            shape = ",".join(str(value) for value in (2, *box))
            said = '"{""1"":""0""}"' if t else "{}"
            lines.append(f'1_a{len(lines)},/{name}/{t:05d}.jpg,0,[],"[{shape}]",{said}')
        write_flow(root / f"Flows/made/{name}.npz", 6, seed)
    lines.append('1_zz,"[""/crab/00001.jpg""]",0,"[0,1]",[],{}')  # says nothing of a place
    write_text(root / "Annotations/annotations.csv", VIA_HEADER + "\n".join(lines) + "\n")


def true_flow(t: int, seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A smooth field `[H, W, 2]` that differs from row to row and from column to column."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    return np.stack([x / 8 - t, y / 4 + seed], -1)


def make_flying_things3d(root: Path) -> None:
    """FlyingThings3D: three training sequences and a test sequence of four frames from 6 on."""
    for seed, place in enumerate(("TRAIN/A/0000", "TRAIN/B/0000", "TRAIN/C/0001", "TEST/A/0000")):
        for t in range(4):
            write(root / f"frames_cleanpass/{place}/left/{t + 6:04d}.png", frame(t, seed))
            flow = np.concatenate([true_flow(t, seed), np.zeros((*SIZE, 1), np.float32)], -1)
            name = f"into_future/left/OpticalFlowIntoFuture_{t + 6:04d}_L.pfm"
            write_pfm(root / f"optical_flow/{place}/{name}", flow)
            objects = np.choose(two_objects(t), (17, 3, 240)).astype(np.float32)
            write_pfm(root / f"object_index/{place}/left/{t + 6:04d}.pfm", objects)


def make_video_flow(root: Path) -> None:
    """Your own: walk, a folder of frames with one mask, and run, a video file."""
    for t in range(4):
        write(root / f"walk/frame_{t:03d}.png", frame(t, 0))
    write(root / "masks/walk/frame_001.png", mask(1, 2))
    with VideoWriter(root / "run.mp4") as writer:
        for t in range(5):
            writer.write(np.ascontiguousarray(frame(t, 1)))
    for name, count in (("walk", 3), ("run", 4)):
        write_flow(root / f"Flows/made/{name}.npz", count, count)


LAYOUTS = {
    "davis2016": make_davis2016,
    "davis2017_motion": make_davis2017_motion,
    "fbms59": make_fbms59,
    "flying_things3d": make_flying_things3d,
    "moca": make_moca,
    "segtrack_v2": make_segtrack_v2,
    "video_flow": make_video_flow,
}
