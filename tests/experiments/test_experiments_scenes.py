import numpy as np
import pytest

from jaxmotion.experiments.scenes import foreground_iou, scene_scores


def samples(count, seed=0):
    """Clips of two frames with a square of constant motion on a resting background."""
    rng = np.random.default_rng(seed)
    clips = []
    for _ in range(count):
        labels = np.zeros((2, 20, 28), np.int32)
        top, left = rng.integers(0, 12, 2)
        labels[:, top : top + 8, left : left + 8] = 1
        flow = rng.normal(scale=0.02, size=(*labels.shape, 2)) + 2.0 * labels[..., None]
        clips.append({"flow": flow.astype(np.float32), "labels": labels})
    return clips


def test_scene_scores_of_a_known_scene():
    clips = samples(3)

    def predict(flow):  # the object's left half only, and never mind which mask is which
        inside = flow[..., 0] > 1
        half = inside & (np.cumsum(inside, axis=-1) <= 4)
        return np.stack([half, ~half], axis=-1).astype(np.float32)

    scores = scene_scores(predict, clips, samples(2, seed=1))
    assert scores["network"] == pytest.approx(0.5)
    assert scores["all_background"] == 0
    for name in ("otsu", "tuned_threshold", "upper_bound"):
        assert scores[name] > 0.98
    assert {"em_1", "em_10"} < scores.keys()
    assert "network" not in scene_scores(None, clips[:1], clips[1:2])
    assert scene_scores(predict, clips, None) == {"network": scores["network"]}


def test_foreground_is_selected_once_per_clip():
    labels = np.zeros((1, 2, 4, 4), int)
    labels[0, 0, :3] = labels[0, 1, :1] = 2  # more than half of frame 0, half of the clip
    labels[0, 1, 1:] = 7
    labels[0, 0, 3] = 7
    labels[0, 1, 0, 0] = 7  # tips the balance
    assert foreground_iou(labels, labels == 2) == 1
    with pytest.raises(ValueError, match=r"\[N, T, H, W\]"):
        foreground_iou(labels[0], labels[0] == 2)
