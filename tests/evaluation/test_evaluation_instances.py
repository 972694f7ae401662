"""`eval.py --protocol davis2017_motion` with a network of instances, beside a count by hand."""

import json

import jax
import numpy as np
import pytest
from made_up_davis import run_eval, write_indexed
from PIL import Image
from scipy.optimize import linear_sum_assignment

from jaxmotion.data import DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.networks.config import NetworkConfig
from jaxmotion.optical_flow import write_flow_npz
from jaxmotion.options import to_json
from jaxmotion.tasks.instances_config import ClusteringConfig, InstancesConfig
from jaxmotion.training.checkpoints import Checkpoints
from jaxmotion.training.config import Config

FRAMES, HEIGHT, WIDTH = 6, 32, 48


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with a network of random parameters whose seeds are all good enough."""
    task = InstancesConfig(
        network=NetworkConfig(widths=(4, 8), kernel=(1, 3, 3)),
        clustering=ClusteringConfig(least_seed=0.0, min_seed=0.0, max_instances=4),
        inference=InferenceConfig(window=3, overlap=1),
    )
    config = Config(data=DataConfig(height=16, width=24, clip_length=3), task=task)
    clip = {"flow": np.zeros((1, 3, 16, 24, 2), np.float32)}
    params = jax.jit(task.build(config.data).init)(jax.random.key(0), clip)["params"]
    folder = tmp_path_factory.mktemp("run")
    checkpoints = Checkpoints(folder, to_json(config))
    checkpoints.best.save(3, {"params": params}, {"loss": 0.5, "quality": 0.5})
    checkpoints.close()
    return folder


@pytest.fixture
def data(tmp_path):
    """Two sequences of three objects, some pixels of which are void; one object comes late."""
    root = tmp_path / "data"
    rng = np.random.default_rng(3)
    for name, shift in (("ants", 0), ("bees", 5)):
        labels = np.zeros((FRAMES, HEIGHT, WIDTH), np.uint8)
        flow = rng.normal(0, 0.1, (FRAMES - 1, HEIGHT, WIDTH, 2)).astype(np.float32)
        for number, (top, left) in enumerate(((2, 2), (14, 14), (20, 30)), 1):
            for t in range(2 * (number == 3), FRAMES):
                at = slice(top, top + 10), slice(left + shift + t, left + shift + t + 11)
                labels[t][at] = number
                if t < FRAMES - 1:
                    flow[t][at] += rng.normal(0, 4, 2)
        labels[:, :2, :20] = 255
        write_indexed(root / "Annotations/480p" / name, labels)
        (root / "Flows/made").mkdir(parents=True, exist_ok=True)
        write_flow_npz(root / "Flows/made" / f"{name}.npz", flow)
    return root


def boundary(mask):
    """Pixels that differ from the next to the right, below, or both, as the benchmark has it."""
    found = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        right, below = min(x + 1, WIDTH - 1), min(y + 1, HEIGHT - 1)
        around = (mask[y, right], mask[below, x], mask[below, right])
        found[y, x] = any(other != mask[y, x] for other in around)
    return found


def by_hand(a, b):
    """J and F of two masks: sums, and distances between all pairs of boundary pixels."""
    union = (a | b).sum()
    j = (a & b).sum() / union if union else 1.0
    here, there = (np.argwhere(boundary(mask)) for mask in (a, b))
    if not (len(here) and len(there)):
        return j, float(len(here) == len(there))
    far = np.linalg.norm(here[:, None] - there, axis=-1) > np.ceil(0.008 * np.hypot(HEIGHT, WIDTH))
    precision, recall = (1 - far.all(axis=axis).mean() for axis in (0, 1))
    return j, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def read(folder):
    pictures = sorted(folder.glob("*.png"))
    return np.stack([np.asarray(Image.open(picture)) for picture in pictures])


def test_the_scores_are_those_of_a_count_by_hand(data, run, tmp_path):
    out = tmp_path / "out"
    options = ["--data", data, "--flow", "made", "--protocol", "davis2017_motion"]
    options += ["--checkpoint", run, "--baselines", "none", "--write-masks", "--out", out]
    assert run_eval(*options) == 0
    scores = json.loads((out / "scores.json").read_text())
    assert set(scores["sequences"]) == {"ants", "bees"}
    every_j, every_f = [], []
    for name in ("ants", "bees"):
        (folder,) = {path.parent for path in (out / "masks").rglob(f"{name}/*.png")}
        truth, found = read(data / "Annotations/480p" / name)[: FRAMES - 1], read(folder)
        assert found.shape == truth.shape
        tracks = sorted({*np.unique(found).tolist()} - {0})
        assert len(tracks) >= 2  # else there is nothing to assign
        void = truth == 255
        table = np.array(
            [
                [
                    [
                        by_hand((t == number) & ~v, (f == track) & ~v)
                        for t, f, v in zip(truth, found, void, strict=True)
                    ]
                    for number in (1, 2, 3)
                ]
                for track in [*tracks, -1, -1]
            ]
        )  # tracks, objects, frames, J and F
        rows, columns = linear_sum_assignment(-table.mean(axis=(2, 3)))
        j, f = np.moveaxis(table[rows, columns].mean(axis=1), 1, 0)
        assert scores["sequences"][name]["J_mean"] == pytest.approx(j.mean())
        assert scores["sequences"][name]["F_mean"] == pytest.approx(f.mean())
        every_j += [*j]
        every_f += [*f]
    assert scores["J_mean"] == pytest.approx(np.mean(every_j))
    assert scores["F_mean"] == pytest.approx(np.mean(every_f))
