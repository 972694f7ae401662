"""Exports of what moves, in the files that other programs read.

| name | writes | read by |
|---|---|---|
| `colmap` | `colmap/masks/IMAGE.png`, 0 where something moves, 255 elsewhere | COLMAP, 3DGS |
| `nerfstudio` | `nerfstudio/masks/NAME.png`, the same | nerfstudio |
| `coco` | `coco.json`: run-length masks, a track for each moving segment | pycocotools |
| `cutout` | `cutout/NAME.png`: what moves, on nothing | picture editors |
| `alpha` | `alpha.mov`: the same as a video with alpha, ProRes 4444 | video editors |
| `davis` | `davis/Annotations/480p/VIDEO/NAME.png`, indexed: 0, or which moves | DAVIS tools |

IMAGE is the file name of a frame with its suffix, as COLMAP wants it; NAME is without.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import cv2
import numpy as np
from PIL import Image

from jaxmotion.data.pictures import write_image
from jaxmotion.data.video import Video, VideoWriter
from jaxmotion.files import atomic_path

_UPRIGHT = 1  # of Exif's orientations
_ORIENTATION = 0x0112
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Subject:
    """The video that is exported, and what holds for all its frames.

    Attributes:
        video: the video, with its frames.
        moving: numbers of the segments that move, in order.
        dilate: pixels by which the masks of what is to be ignored are widened.
    """

    video: Video
    moving: tuple[int, ...]
    dilate: int = 0


class Frame(NamedTuple):
    """The data of one frame that exports write.

    Attributes:
        index: number of the frame, from 0.
        name: name of the frame, without a suffix.
        labels: uint8 `[H, W]`, the segments.
        moving: bool `[H, W]`, where something moves on its own.
        picture: uint8 `[H, W, 3]`, the frame of the video; None if no export needs it.
    """

    index: int
    name: str
    labels: np.ndarray
    moving: np.ndarray
    picture: np.ndarray | None


class Export:
    """Files of one kind. A context manager: what comes last is written when it ends well.

    Attributes:
        needs_frames: whether `write` needs the pictures of the frames.
    """

    needs_frames: bool = False

    def __init__(self, folder: Path, subject: Subject) -> None:
        """Prepares the files.

        Args:
            folder: folder of the results.
            subject: the video and what is known of it before its frames.
        """
        self.folder, self.subject = folder, subject
        self.stack = ExitStack()

    def __enter__(self) -> "Export":
        return self

    def __exit__(self, *error_details: Any) -> None:
        self.stack.__exit__(*error_details)
        if error_details[0] is None:
            self.finish()

    def write(self, frame: Frame) -> None:
        """Adds a frame, the next one."""
        raise NotImplementedError

    def finish(self) -> None:
        """Writes what is known at the end only."""


class _Ignored(Export):
    """Masks of what is to be left out of a reconstruction: 0 there, 255 elsewhere."""

    place: str

    def __init__(self, folder: Path, subject: Subject) -> None:
        super().__init__(folder, subject)
        offsets = np.arange(2 * subject.dilate + 1) - subject.dilate
        within = offsets[:, None] ** 2 + offsets**2 <= subject.dilate**2
        self._disk = within.astype(np.uint8)
        # Whether its pictures can be taken as they are; else they are written as well.
        self.needs_frames = not all(map(_is_upright, subject.video.files or [None]))

    def write(self, frame: Frame) -> None:
        image = f"{frame.name}.jpg"
        if not self.needs_frames:
            image = self.subject.video.files[frame.index].name
        wide = cv2.dilate(frame.moving.astype(np.uint8), self._disk)
        mask = np.where(wide, 0, 255).astype(np.uint8)
        write_image(self.folder / self.place / "masks" / self.mask_name(frame.name, image), mask)
        if self.needs_frames:
            assert frame.picture is not None
            with atomic_path(self.folder / self.place / "images" / image) as path:
                Image.fromarray(frame.picture).save(path, quality=_JPEG_QUALITY, subsampling=0)

    def mask_name(self, name: str, image: str) -> str:
        raise NotImplementedError


class _Colmap(_Ignored):
    """Masks for COLMAP's `ImageReader.mask_path`.

    References:
        https://colmap.github.io/faq.html#mask-image-regions
    """

    place = "colmap"

    def mask_name(self, name: str, image: str) -> str:
        return f"{image}.png"


class _Nerfstudio(_Ignored):
    """Masks for `masks-path` of nerfstudio's COLMAP data parser."""

    place = "nerfstudio"

    def mask_name(self, name: str, image: str) -> str:
        return f"{name}.png"


class _Coco(Export):
    """COCO's object annotations, with tracks.

    Every moving segment is a track (`track_id`, from 1), with an annotation in each frame where it
    is seen.

    References:
        https://cocodataset.org/#format-data
    """

    def __init__(self, folder: Path, subject: Subject) -> None:
        super().__init__(folder, subject)
        self._images: list[dict] = []
        self._annotations: list[dict] = []

    def write(self, frame: Frame) -> None:
        from pycocotools import mask as coco

        files = self.subject.video.files
        image = len(self._images) + 1
        self._images.append(
            {
                "id": image,
                "file_name": files[frame.index].name if files else f"{frame.name}.png",
                "height": frame.labels.shape[0],
                "width": frame.labels.shape[1],
                "video_id": 1,
                "frame_index": frame.index,
            }
        )
        for track, segment in enumerate(self.subject.moving, 1):
            there = np.asfortranarray(frame.labels == segment, np.uint8)
            if there.any():
                runs: Any = coco.encode(there)
                self._annotations.append(
                    {
                        "id": len(self._annotations) + 1,
                        "image_id": image,
                        "video_id": 1,
                        "track_id": track,
                        "category_id": 1,
                        "iscrowd": 0,
                        "area": int(there.sum()),
                        "bbox": coco.toBbox(runs).tolist(),
                        "segmentation": {**runs, "counts": runs["counts"].decode()},
                    }
                )

    def finish(self) -> None:
        video = self.subject.video
        content = {
            "info": {"description": "what moves on its own, by jaxmotion segment"},
            "videos": [
                {
                    "id": 1,
                    "name": video.path.stem,
                    "height": video.height,
                    "width": video.width,
                    "length": len(self._images),
                }
            ],
            "categories": [{"id": 1, "name": "moving", "supercategory": "motion"}],
            "images": self._images,
            "annotations": self._annotations,
        }
        with atomic_path(self.folder / "coco.json") as path:
            path.write_text(json.dumps(content, separators=(",", ":")))


class _Cutout(Export):
    """Pictures of what moves, on a transparent ground."""

    needs_frames = True

    def write(self, frame: Frame) -> None:
        write_image(self.folder / "cutout" / f"{frame.name}.png", _cut_out(frame))


class _Alpha(Export):
    """A video of what moves, on a transparent ground."""

    needs_frames = True

    def __init__(self, folder: Path, subject: Subject) -> None:
        super().__init__(folder, subject)
        video = subject.video
        self._writer = VideoWriter(folder / "alpha.mov", video.fps, video.pixel_aspect)
        self.stack.enter_context(self._writer)

    def write(self, frame: Frame) -> None:
        self._writer.write(_cut_out(frame))


class _Davis(Export):
    """Annotations as DAVIS has them: 0 is the background, moving segments count from 1.

    References:
        https://davischallenge.org
    """

    palette: ClassVar[bytes]

    def write(self, frame: Frame) -> None:
        numbers = np.zeros(256, np.uint8)
        numbers[list(self.subject.moving)] = np.arange(len(self.subject.moving)) + 1
        picture = Image.fromarray(numbers[frame.labels], mode="P")
        picture.putpalette(self.palette)
        sequence = self.folder / "davis" / "Annotations" / "480p" / self.subject.video.path.stem
        with atomic_path(sequence / f"{frame.name}.png") as path:
            picture.save(path)


def _davis_palette() -> bytes:
    """The colors of PASCAL VOC, which DAVIS uses: bits of the number, dealt out to the channels."""
    numbers = np.arange(256)
    colors = np.zeros((256, 3), int)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((numbers >> (3 * bit + channel)) & 1) << (7 - bit)
    return colors.astype(np.uint8).tobytes()


_Davis.palette = _davis_palette()

EXPORTS: dict[str, type[Export]] = {
    "colmap": _Colmap,
    "nerfstudio": _Nerfstudio,
    "coco": _Coco,
    "cutout": _Cutout,
    "alpha": _Alpha,
    "davis": _Davis,
}
EXPORTED = ("colmap", "nerfstudio", "coco.json", "cutout", "alpha.mov", "davis")


def _cut_out(frame: Frame) -> np.ndarray:
    """RGBA, black and transparent where nothing moves."""
    assert frame.picture is not None
    alpha = np.where(frame.moving, 255, 0).astype(np.uint8)
    return np.dstack([frame.picture * frame.moving[..., None], alpha])


def _is_upright(file: Path | None) -> bool:
    """Whether other programs read a picture as we do, who turn it as its camera noted."""
    if file is None:
        return False
    with Image.open(file) as image:
        return image.getexif().get(_ORIENTATION, _UPRIGHT) == _UPRIGHT
