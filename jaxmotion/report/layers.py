"""The layers of a sequence in the report's player: small pictures and outlines, frame by frame.

Everything is text, ready for a page: pictures are data URIs, outlines are SVG paths in pixels of
the annotation. In the folder of a sequence lies what all methods share, in a folder of its own what
one method made of it:

    SEQ/truth.json  flow.json  frames.json  METHOD/segments.json
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from jaxmotion.data.transforms import resize_flow
from jaxmotion.errors import InputError
from jaxmotion.evaluation.score import SequenceScores
from jaxmotion.files import atomic_path, reading
from jaxmotion.optical_flow.colors import flow_to_color, label_palette
from jaxmotion.report.encoding import (
    FLOW_QUALITY,
    FRAME_QUALITY,
    full_color,
    indexed,
    shrunk,
    small_size,
    svg_path,
    webp,
)

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
        labels: int `[T, H, W]` in 0..K-1, the segment of each pixel.
        foreground: bool `[T, H, W]`, pixels that the method takes for foreground.
        gt: uint8 `[len(scores.frames), H, W]`, 0 for background, 1.. for objects, 255 for void.
        read_frame: function that gives frame t, uint8 `[H, W, 3]`; None to show no video.

    Raises:
        InputError: a frame cannot be read, or a file cannot be written.
    """
    shown = shown_frames(len(labels), scores.frames)
    segments = {
        "colors": ["#" + bytes(color).hex() for color in label_palette(scores.num_labels)],
        "pictures": [indexed(labels[t], scores.num_labels) for t in shown],
        "foreground": [svg_path(foreground[t]) for t in shown],
    }
    _write(folder / "segments.json", segments)
    annotation = dict(zip(scores.frames, np.where(gt == VOID, 0, gt), strict=True))
    outlines = [svg_path(annotation[t]) if t in annotation else None for t in shown]
    truth = {"size": list(gt.shape[1:]), "shown": shown, "outlines": outlines}
    _write(folder.parent / "truth.json", truth)
    if flow is not None:
        top_speed = full_color(flow)
        known = flow[[t for t in shown if t < len(flow)]]
        small = resize_flow(known, small_size(flow.shape[1:3]))
        pictures = [webp(flow_to_color(frame, top_speed), FLOW_QUALITY) for frame in small]
        _write(folder.parent / "flow.json", {"full_color": top_speed, "pictures": pictures})
    if read_frame is not None:
        pictures = [webp(shrunk(read_frame(t)), FRAME_QUALITY) for t in shown]
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
        path: file of the layer.

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


def _write(path: Path, layer: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(layer, separators=(",", ":")), encoding="utf-8")
