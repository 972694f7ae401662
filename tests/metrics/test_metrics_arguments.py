"""Wrong arguments of the metrics are named, with their shape and what was expected."""

import subprocess
import sys

import numpy as np
import pytest

from jaxmotion import metrics
from jaxmotion.metrics.objects import box_iou

LABELS = np.ones((3, 4, 5), int)
MASK = LABELS > 0

TWO_LABELINGS = (metrics.match_objects, metrics.bootstrap_iou, metrics.label_stability)


@pytest.mark.parametrize("score", TWO_LABELINGS)
def test_two_labelings(score):
    for wrong, kind, words in (
        (LABELS[:2], ValueError, r"pred_labels \(2, 4, 5\): expected \(3, 4, 5\), .* of gt_labels"),
        (LABELS - 3, ValueError, "pred_labels with a label -2: expected integers >= 0"),
        (LABELS / 2, TypeError, "pred_labels of float64: expected integers >= 0"),
    ):
        with pytest.raises(kind, match=words):
            score(LABELS, wrong)
    with pytest.raises(ValueError, match=r"gt_labels \(4, 5\): expected \[T, H, W\]"):
        score(LABELS[0], LABELS[0])


def test_void():
    for score in (metrics.match_objects, metrics.bootstrap_iou):
        with pytest.raises(ValueError, match=r"void \(4, 5\): expected \(3, 4, 5\)"):
            score(LABELS, LABELS, MASK[0])
    with pytest.raises(ValueError, match=r"void \(4, 5\): expected \(3, 4, 5\), the shape of gt"):
        metrics.jaccard(MASK, MASK, MASK[0])


def test_one_labeling():
    for wrong, kind, words in (
        (LABELS[0], ValueError, r"labels \(4, 5\): expected \[T, H, W\]"),
        (LABELS[:0], ValueError, r"labels \(0, 4, 5\): expected at least one pixel"),
        (LABELS / 2, TypeError, "labels of float64"),
    ):
        with pytest.raises(kind, match=words):
            metrics.select_foreground(wrong, None, "except_largest")


def test_boxes_and_statistics():
    with pytest.raises(ValueError, match=r"gt \(3, 4, 5\): expected \[H, W\]"):
        box_iou(MASK, MASK)
    with pytest.raises(ValueError, match=r"foreground \(5, 4\): expected \(4, 5\)"):
        box_iou(MASK[0], MASK[0].T)
    with pytest.raises(ValueError, match=r"per_frame \(3, 4, 5\): expected \[T\]"):
        metrics.sequence_statistics(MASK)
    with pytest.raises(ValueError, match=r"weights of \['b'\]: expected those of \['a'\]"):
        metrics.bootstrap_interval({"a": 1.0}, {"b": 1.0})


def test_metrics_can_be_lifted_out():
    """They import nothing of the project, and neither JAX nor anything else that is large."""
    program = """
import sys, jaxmotion.metrics
print(sorted(m for m in sys.modules if m.startswith("jaxmotion.")), "jax" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    names, jax = said.rsplit(" ", 1)
    assert all(name == "jaxmotion.errors" or ".metrics" in name for name in eval(names)), names
    assert jax.strip() == "False"
