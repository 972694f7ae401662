"""What moves, in the files that other programs read.

| name | writes | read by |
|---|---|---|
| `colmap` | `colmap/masks/IMAGE.png`, 0 where something moves, 255 elsewhere | COLMAP, 3DGS |
| `nerfstudio` | `nerfstudio/masks/NAME.png`, the same | nerfstudio |
| `coco` | `coco.json`: run-length masks, a track for each moving segment | pycocotools |
| `cutout` | `cutout/NAME.png`: what moves, on nothing | picture editors |
| `alpha` | `alpha.mov`: the same as a video with alpha, ProRes 4444 | video editors |
| `davis` | `davis/Annotations/480p/VIDEO/NAME.png`, indexed: 0, then a number a segment | DAVIS tools |

IMAGE is the file name of a frame with its suffix, as COLMAP wants it; NAME is without.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

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
    """What is exported.

    Attributes:
        video: the frames.
        moving: numbers of the segments that move, in order.
        dilate: pixels by which the masks of what is to be ignored are widened.
    """

    video: Video
    moving: tuple[int, ...]
    dilate: int = 0


class Export:
    """Files of one kind, a context manager: what is to be written last is written when it ends well.

    Attributes:
        needs_frames: whether `write` is to be given the frames.
    """

    needs_frames: bool = False

    def __init__(self, folder: Path, subject: Subject) -> None:
        """Prepares the files.

        Args:
            folder: of the results.
            subject: what is exported.
        """
        self.folder, self.subject = folder, subject
        self.stack = ExitStack()

    def __enter__(self) -> "Export":
        return self

    def __exit__(self, *error_details: Any) -> None:
        self.stack.__exit__(*error_details)
        if error_details[0] is None:
            self.finish()

    def write(
        self, index: int, name: str, labels: np.ndarray, moving: np.ndarray, frame: Any
    ) -> None:
        """Adds a frame.

        Args:
            index: its number.
            name: its name, without a suffix.
            labels: uint8 `[H, W]`, the segments.
            moving: bool `[H, W]`.
            frame: uint8 `[H, W, 3]`; None if it is not needed.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Writes what is known at the end only."""


class _Ignored(Export):
    """Masks of what is to be left out of a reconstruction: 0 there, 255 elsewhere."""

    def __init__(self, folder: Path, subject: Subject) -> None:
        super().__init__(folder, subject)
        size = 2 * subject.dilate + 1
        offsets = np.arange(size) - subject.dilate
        within = offsets[:, None] ** 2 + offsets**2 <= subject.dilate**2
        self._disk = within.astype(np.uint8)
        # Whether its pictures can be taken as they are; else they are written as well.
        self.needs_frames = not all(map(_is_upright, subject.video.files or [None]))

    def image_name(self, index: int, name: str) -> str:
        """The file name of a frame in the reconstruction."""
        return f"{name}.jpg" if self.needs_frames else self.subject.video.files[index].name

    def mask_name(self, index: int, name: str) -> str:
        """The file name of a frame's mask."""
        raise NotImplementedError

    def place(self) -> Path:
        """The folder of `masks/` and `images/`."""
        raise NotImplementedError

    def write(
        self, index: int, name: str, labels: np.ndarray, moving: np.ndarray, frame: Any
    ) -> None:
        wide = cv2.dilate(moving.astype(np.uint8), self._disk)
        mask = np.where(wide, 0, 255).astype(np.uint8)
        write_image(self.place() / "masks" / self.mask_name(index, name), mask)
        if self.needs_frames:
            with atomic_path(self.place() / "images" / self.image_name(index, name)) as path:
                Image.fromarray(frame).save(path, quality=_JPEG_QUALITY, subsampling=0)


class Colmap(_Ignored):
    """Masks for COLMAP's `ImageReader.mask_path`.

    References:
        https://colmap.github.io/faq.html#mask-image-regions
    """

    def place(self) -> Path:
        return self.folder / "colmap"

    def mask_name(self, index: int, name: str) -> str:
        return f"{self.image_name(index, name)}.png"


class Nerfstudio(_Ignored):
    """Masks for `masks-path` of nerfstudio's COLMAP data parser."""

    def place(self) -> Path:
        return self.folder / "nerfstudio"

    def mask_name(self, index: int, name: str) -> str:
        return f"{name}.png"


class Coco(Export):
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

    def write(
        self, index: int, name: str, labels: np.ndarray, moving: np.ndarray, frame: Any
    ) -> None:
        from pycocotools import mask as coco

        files = self.subject.video.files
        image = len(self._images) + 1
        self._images.append(
            {
                "id": image,
                "file_name": files[index].name if files else f"{name}.png",
                "height": labels.shape[0],
                "width": labels.shape[1],
                "video_id": 1,
                "frame_index": index,
            }
        )
        for track, segment in enumerate(self.subject.moving, 1):
            there = np.asfortranarray(labels == segment, np.uint8)
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


class Cutout(Export):
    """What moves, on a transparent ground."""

    needs_frames = True

    def write(
        self, index: int, name: str, labels: np.ndarray, moving: np.ndarray, frame: Any
    ) -> None:
        write_image(self.folder / "cutout" / f"{name}.png", _cut_out(frame, moving))


class Alpha(Export):
    """The same as a video."""

    needs_frames = True

    def __init__(self, folder: Path, subject: Subject) -> None:
        super().__init__(folder, subject)
        video = subject.video
        self._writer = VideoWriter(folder / "alpha.mov", video.fps, video.pixel_aspect)
        self.stack.enter_context(self._writer)

    def write(
        self, index: int, name: str, labels: np.ndarray, moving: np.ndarray, frame: Any
    ) -> None:
        self._writer.write(_cut_out(frame, moving))


class Davis(Export):
    """Annotations as DAVIS has them: 0 is the background, moving segments count from 1.

    References:
        https://davischallenge.org
    """

    palette: ClassVar[bytes]

    def write(
        self, index: int, name: str, labels: np.ndarray, moving: np.ndarray, frame: Any
    ) -> None:
        numbers = np.zeros(256, np.uint8)
        numbers[list(self.subject.moving)] = np.arange(len(self.subject.moving)) + 1
        picture = Image.fromarray(numbers[labels], mode="P")
        picture.putpalette(self.palette)
        sequence = self.folder / "davis" / "Annotations" / "480p" / self.subject.video.path.stem
        with atomic_path(sequence / f"{name}.png") as path:
            picture.save(path)


def _davis_palette() -> bytes:
    """The colors of PASCAL VOC, which DAVIS uses: bits of the number, dealt out to the channels."""
    numbers = np.arange(256)
    colors = np.zeros((256, 3), int)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((numbers >> (3 * bit + channel)) & 1) << (7 - bit)
    return colors.astype(np.uint8).tobytes()


Davis.palette = _davis_palette()

EXPORTS: dict[str, type[Export]] = {
    "colmap": Colmap,
    "nerfstudio": Nerfstudio,
    "coco": Coco,
    "cutout": Cutout,
    "alpha": Alpha,
    "davis": Davis,
}
EXPORTED = ("colmap", "nerfstudio", "coco.json", "cutout", "alpha.mov", "davis")


def _cut_out(frame: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """RGBA, black and transparent where nothing moves."""
    alpha = np.where(moving, 255, 0).astype(np.uint8)
    return np.dstack([frame * moving[..., None], alpha])


def _is_upright(file: Path | None) -> bool:
    """Whether other programs read a picture as we do, who turn it as its camera noted."""
    if file is None:
        return False
    with Image.open(file) as image:
        return image.getexif().get(_ORIENTATION, _UPRIGHT) == _UPRIGHT
