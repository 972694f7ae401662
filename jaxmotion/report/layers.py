"""What the report's player shows of a sequence: small pictures and outlines, frame by frame.

Everything is text, ready for a page: pictures are data URIs, outlines are SVG paths in pixels of
the annotation. In the folder of a sequence lies what all methods share, in a folder of its own what
one method made of it:

    SEQ/truth.json  flow.json  frames.json  METHOD/segments.json
"""

import base64
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from jaxmotion.data.transforms import Size, resize_flow, resize_labels
from jaxmotion.errors import InputError
from jaxmotion.evaluation.score import SequenceScores
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.arrays import known_vectors
from jaxmotion.optical_flow.colors import flow_to_color, label_palette

MAX_WIDTH = 427  # half of DAVIS's 480p
FLOW_QUALITY, FRAME_QUALITY = 85, 60  # of WebP, 0 to 100
FASTEST = 99  # percentile of the speeds that gets the full color: outliers would pale the rest
VOID = 255
MAX_FRAMES = 120  # of one video; of a longer one every other, or every third, ...
SHARED_LAYERS = ("truth", "flow", "frames")


def write_layers(
    folder: Path,
    scores: SequenceScores,
    flow: np.ndarray | None,
    labels: np.ndarray,
    foreground: np.ndarray,
    gt: np.ndarray,
    read_frame: Callable[[int], np.ndarray] | None = None,
) -> None:
    """Writes what the report shows of one method on one sequence.

    Args:
        folder: folder of the method, in the folder of the sequence.
        scores: scores, which say which frames were scored, and how many segments there are.
        flow: `[T, h, w, 2]`, pixels; None if there is none.
        labels: int `[T, H, W]` in 0..K-1.
        foreground: bool `[T, H, W]`.
        gt: uint8 `[len(scores.frames), H, W]`, 0 for background, 1.. for objects, 255 for void.
        read_frame: function that gives frame t, uint8 `[H, W, 3]`; None to show no video.

    Raises:
        InputError: A frame cannot be read, or a file cannot be written.
    """
    shown = shown_frames(len(labels), scores.frames)
    segments = {
        "colors": ["#" + bytes(color).hex() for color in label_palette(scores.num_labels)],
        "pictures": [_indexed(labels[t], scores.num_labels) for t in shown],
        "foreground": [svg_path(foreground[t]) for t in shown],
    }
    _write(folder / "segments.json", segments)
    annotation = dict(zip(scores.frames, np.where(gt == VOID, 0, gt), strict=True))
    outlines = [svg_path(annotation[t]) if t in annotation else None for t in shown]
    truth = {"size": list(gt.shape[1:]), "shown": shown, "outlines": outlines}
    _write(folder.parent / "truth.json", truth)
    if flow is not None:
        full_color = _full_color(flow)
        known = flow[[t for t in shown if t < len(flow)]]
        small = resize_flow(known, _small(flow.shape[1:3]))
        pictures = [_webp(flow_to_color(frame, full_color), FLOW_QUALITY) for frame in small]
        _write(folder.parent / "flow.json", {"full_color": full_color, "pictures": pictures})
    if read_frame is not None:
        pictures = [_webp(_shrink(read_frame(t)), FRAME_QUALITY) for t in shown]
        _write(folder.parent / "frames.json", {"pictures": pictures})
    else:  # of an earlier evaluation that showed them
        (folder.parent / "frames.json").unlink(missing_ok=True)


def shown_frames(num_frames: int, scored: Sequence[int]) -> list[int]:
    """Frames of which there are pictures: about `MAX_FRAMES` at most, in even steps.

    Args:
        num_frames: number of frames of the video.
        scored: frames that were scored; where they are few, they are all among those shown.

    Returns:
        Indices, ascending.
    """
    step = -(-num_frames // MAX_FRAMES)
    few = scored if len(scored) <= MAX_FRAMES // 2 else ()
    return sorted({*range(0, num_frames, step), *few})


def read_layer(path: Path) -> str | None:
    """Reads one of the files that `write_layers` wrote.

    Args:
        path: the file.

    Returns:
        Its JSON text, or None where there is no such file.

    Raises:
        InputError: it cannot be read, or is no JSON.
    """
    if not path.exists():
        return None
    with reading(path):
        text = path.read_text(encoding="utf-8")
    try:
        json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: damaged, evaluate the sequence again ({error})") from error
    return text


def svg_path(objects: np.ndarray) -> str:
    """The borders of objects as an SVG path, to be filled by the even-odd rule.

    Args:
        objects: bool or int `[H, W]`; every value but 0 is an object.

    Returns:
        Closed polygons through the outermost pixels' centers, less than a pixel off in a picture of
        DAVIS's size; empty where there is no object.
    """
    tolerance = 0.8 * objects.shape[1] / 854
    parts = []
    for value in np.unique(objects[objects != 0]):
        mask = (objects == value).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        for contour in contours:
            points = cv2.approxPolyDP(contour, tolerance, closed=True)[:, 0]
            steps = " ".join(f"{x} {y}" for x, y in np.diff(points, axis=0))
            parts.append(f"M{points[0, 0]} {points[0, 1]}" + (f"l{steps}z" if steps else "z"))
    return "".join(parts).replace(" -", "-")


def flow_wheel(size: int = 64) -> str:
    """The legend of flow colors, a picture of all vectors up to the full color."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    return _webp(flow_to_color(np.stack(np.meshgrid(axis, axis), axis=-1), 1.0), FLOW_QUALITY)


def _full_color(flow: np.ndarray) -> float:
    """The speed, in pixels per frame, that one scale for the whole sequence gives full color."""
    sample = flow[:, ::2, ::2]
    speed = np.linalg.norm(sample[known_vectors(sample)], axis=-1)
    return max(round(float(np.percentile(speed, FASTEST)), 3), 0.001) if speed.size else 1.0


def _small(size: tuple[int, ...]) -> Size:
    share = min(1, MAX_WIDTH / size[1])
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def _shrink(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, _small(image.shape[:2])[::-1], interpolation=cv2.INTER_AREA)


def _webp(image: np.ndarray, quality: int) -> str:
    _, data = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()


def _indexed(labels: np.ndarray, num_labels: int) -> str:
    labels = resize_labels(labels, _small(labels.shape)).astype(np.uint8)
    image = Image.fromarray(labels, mode="P")
    image.putpalette(label_palette(num_labels).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _write(path: Path, layer: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(layer, separators=(",", ":")), encoding="utf-8")
