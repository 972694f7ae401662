"""Pictures and outlines as text, ready for a page: data URIs and SVG paths."""

import base64
import io

import cv2
import numpy as np
from PIL import Image

from jaxmotion.data.transforms import Size, resize_labels
from jaxmotion.optical_flow.arrays import known_vectors
from jaxmotion.optical_flow.colors import flow_to_color, label_palette

MAX_SIDE = 427  # half of DAVIS's 480p
FLOW_QUALITY, FRAME_QUALITY = 85, 60  # of WebP, 0 to 100
_EFFORT = 2  # of WebP, 0 to 6: 4 takes twice the time, for files that are 5 % smaller
FASTEST = 99  # percentile of the speeds that gets the full color: outliers would pale the rest


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
    return webp(flow_to_color(np.stack(np.meshgrid(axis, axis), axis=-1), 1.0), FLOW_QUALITY)


def full_color(flow: np.ndarray) -> float:
    """The speed, in pixels per frame, that one scale for the whole sequence gives full color."""
    sample = flow[:, ::2, ::2]
    speed = np.linalg.norm(sample[known_vectors(sample)], axis=-1)
    return max(round(float(np.percentile(speed, FASTEST)), 3), 0.001) if speed.size else 1.0


def small_size(size: tuple[int, ...]) -> Size:
    """The size at which pictures of a size, `(height, width)`, are shown on a page."""
    share = min(1, MAX_SIDE / max(size))
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def shrunk(image: np.ndarray) -> np.ndarray:
    """A picture, uint8 `[H, W, C]`, at the size of a page."""
    return cv2.resize(image, small_size(image.shape[:2])[::-1], interpolation=cv2.INTER_AREA)


def webp(image: np.ndarray, quality: int) -> str:
    """Encodes a picture as a data URI.

    Args:
        image: picture, uint8 `[H, W, 3]`.
        quality: quality of the WebP picture, 0 to 100.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "WEBP", quality=quality, method=_EFFORT)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def indexed(labels: np.ndarray, num_labels: int) -> str:
    """Encodes labels at the size of a page, in their colors, as a data URI.

    Args:
        labels: int `[H, W]` in 0..K-1, the segment of each pixel.
        num_labels: number K of labels.
    """
    labels = resize_labels(labels, small_size(labels.shape)).astype(np.uint8)
    image = Image.fromarray(labels, mode="P")
    image.putpalette(label_palette(num_labels).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
