"""A small made-up folder laid out like DAVIS, and `eval.py` run on it."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from jaxmotion import cli
from jaxmotion.optical_flow.formats import write_flo

REPOSITORY = Path(__file__).parent.parent
SIZE, FLOW_SIZE, FRAMES = (24, 40), (12, 20), 5


def ground_truth(left):
    masks = np.zeros((FRAMES, *SIZE), bool)
    for t in range(FRAMES):
        masks[t, 6:18, left + t : left + t + 12] = True
    return masks


def write_sequence(root, name, left, as_flo=False):
    """Masks, frames, and a flow of 3 px to the right on the object, 1 px down elsewhere."""
    masks = ground_truth(left)
    for kind, suffix in (("Annotations", "png"), ("JPEGImages", "jpg")):
        folder = root / kind / "480p" / name
        folder.mkdir(parents=True)
        for t, mask in enumerate(masks):
            gray = mask.astype(np.uint8) * 255
            picture = gray if suffix == "png" else np.stack([gray, gray // 2, gray // 4], -1)
            Image.fromarray(picture).save(folder / f"{t:05d}.{suffix}")
    flow = np.stack(
        [cv2.resize(mask.astype(np.float32), FLOW_SIZE[::-1]) for mask in masks[:-1]]
    )[..., None] > 0.5  # fmt: skip
    flow = np.where(flow, np.float32([3, 0]), np.float32([0, 1])).astype(np.float32)
    flows = root / "Flows" / "made"
    flows.mkdir(parents=True, exist_ok=True)
    if as_flo:
        (flows / name).mkdir()
        for t, frame in enumerate(flow):
            write_flo(flows / name / f"{t:05d}.flo", frame)
    else:
        np.savez(flows / f"{name}.npz", flow=flow.astype(np.float16))


def write_davis(root):
    """Two sequences with flow, `dog` and `car`, one without, and a list with one of them."""
    write_sequence(root, "dog", left=4)
    write_sequence(root, "car", left=10, as_flo=True)
    write_sequence(root, "unused", left=0)
    (root / "Flows/made/unused.npz").unlink()
    (root / "ImageSets").mkdir()
    (root / "ImageSets/one.txt").write_text("dog\n")
    return root


def write_indexed(folder, labels, names=None):
    """Label pictures with a palette, as the DAVIS tools write them."""
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(labels):
        picture = Image.fromarray(np.asarray(frame, np.uint8), mode="P")
        picture.putpalette([value for i in range(256) for value in (i, 255 - i, i // 2)])
        picture.save(folder / f"{names[t] if names else f'{t:05d}'}.png")


def by_u(flow):
    """Two masks: what moves to the right, and the rest."""
    right = np.clip(flow[..., 0] / 3, 0, 1)
    return np.stack([right, 1 - right], axis=-1)


def run_eval(*args):
    """Runs `jaxmotion eval` in this process; returns its exit status."""
    return cli.run("eval", [str(arg) for arg in args])
