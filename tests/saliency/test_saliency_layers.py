"""Layers against planted motions, scikit-learn's Huber fit, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.saliency.layers import (
    LEAST_PIXELS,
    _fitted,
    alike,
    alike_spots,
    layer_fit,
    motion_layers,
)

H, W = 40, 56


def affine(theta, height=H, width=W):
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.stack([np.ones_like(x), x, y], -1) @ np.asarray(theta, float).T


def planted(seed=0, noise=0.02):
    """Three affine motions in three parts, and noise relative to their mean length.

    Two of them are about as far from the first: what is much nearer than another one would be taken
    for the first at first, by any rule that knows one scale.
    """
    rng = np.random.default_rng(seed)
    labels = np.zeros((H, W), int)
    labels[5:20, 6:26] = 1
    labels[24:36, 30:50] = 2
    away = np.array([[0, 0], [6, -5], [-5, 6]])
    first = rng.normal(0, 1, (2, 3))
    motions = []
    for k in range(3):
        theta = first + 0.3 * rng.normal(0, 1, (2, 3)) * (k > 0)
        theta[:, 0] += away[k]
        motions.append(affine(theta))
    flow = np.choose(labels[..., None], motions)
    flow += noise * np.linalg.norm(flow, axis=-1).mean() * rng.normal(size=flow.shape)
    return labels, flow.astype(np.float32)


def rand_index(a, b):
    """Share of the pairs of pixels that both partitions judge alike."""
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a.ravel(), b.ravel()), 1)
    pairs = lambda n: (n * (n - 1) / 2).sum()  # noqa: E731
    both, ones, others = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    total = pairs(np.array([a.size]))
    return (total + 2 * both - ones - others) / total


@pytest.mark.parametrize("seed", range(3))
def test_planted_motions_are_found(seed):
    labels, flow = planted(seed)
    layers = motion_layers(flow[None])[0]
    # What a fit calls an outlier by chance is a thin layer of its own.
    assert rand_index(labels, np.int64(layers)) >= 0.95


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), unit=st.sampled_from([0.1, 10.0]), shift=st.booleans())
def test_neither_the_unit_nor_an_affine_motion_changes_the_layers(seed, unit, shift):
    _, flow = planted(seed)
    other = unit * flow
    if shift:
        other = (other + affine([[3, 1, 0.5], [-2, 0.5, 1]])).astype(np.float32)
    first, second = (motion_layers(f[None]) for f in (flow, other))
    assert (first == second).mean() > 0.99


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["noise", "heavy", "two values"]))
def test_they_part_the_frame_and_each_has_its_share_of_what_is_left(seed, kind):
    rng = np.random.default_rng(seed)
    flow = rng.normal(size=(1, H, W, 2))
    if kind == "heavy":
        flow = rng.standard_cauchy(size=flow.shape).clip(-1e3, 1e3)
    elif kind == "two values":
        flow = np.sign(flow)
    layers = motion_layers(flow.astype(np.float32))[0]
    counts = np.bincount(layers.ravel())
    assert counts.sum() == H * W
    assert (counts > 0).all()
    left = H * W - np.concatenate([[0], np.cumsum(counts)])[:-1]
    assert (counts[:-1] >= 0.375 * left[:-1] - 1).all()
    assert left[-1] <= LEAST_PIXELS or counts[-1] >= 0.375 * left[-1]
    assert len(counts) <= 1 + np.ceil(np.log(LEAST_PIXELS / (H * W)) / np.log(0.625))


def test_the_bound_on_their_number_at_the_sizes_of_video():
    for pixels, most in ((128 * 224, 14), (480 * 854, 20)):
        assert 0.625**most * pixels <= LEAST_PIXELS < 0.625 ** (most - 2) * pixels


def test_a_still_frame_is_one_layer_and_what_is_unknown_in_none():
    valid = np.ones((2, H, W))
    valid[0, 3:9, 4:20] = 0
    flow = np.zeros((2, H, W, 2), np.float32)
    flow[valid == 0] = np.nan
    layers = motion_layers(flow, valid)
    assert (layers[valid == 0] == 255).all()
    assert (layers[valid > 0] == 0).all()
    with pytest.raises(ValueError, match=r"expected \[T, H, W, 2\]"):
        motion_layers(flow[0])


def test_the_fit_is_that_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
    rng = np.random.default_rng(3)
    flow = affine([[1, 2, -1], [0.5, -1, 2]]) + 0.3 * rng.normal(size=(H, W, 2))
    flow[10:22, 8:30] += (6, -4)
    y, x = np.mgrid[-1 : 1 : H * 1j, -1 : 1 : W * 1j]
    design = np.stack([x.ravel(), y.ravel()], -1)
    whole, fields = np.ones((1, H, W), bool), flow[None].astype(np.float32)
    found = np.asarray(layer_fit(fields, whole).motion)
    for c in range(2):
        model = sklearn.HuberRegressor(epsilon=1.35, alpha=0.0, max_iter=500, tol=1e-9)
        model.fit(design, flow[..., c].ravel())
        expected = model.predict(design).reshape(H, W)
        same_scale = model.scale_ * _fitted(fields / model.scale_, whole, "huber", 1.35)
        assert np.abs(np.asarray(same_scale)[0, ..., c] - expected).max() < 1e-3
        # Our scale is the median's, which 12 % of outliers move less than theirs.
        assert np.abs(found[0, ..., c] - expected).max() < 0.05


def test_pixels_alike_are_those_that_move_as_what_is_relevant():
    labels, flow = planted(noise=0.01)
    camera = affine([[5, 1, 0], [3, 0, -1]])
    flow = np.where(labels[..., None] == 1, (3.0, 0.0), 0.0) + camera
    relevance = np.zeros((1, H, W))
    relevance[0, 10:14, 10:18] = 1
    found = alike(flow[None].astype(np.float32), relevance)[0]
    assert (found == (labels == 1)).mean() > 0.97
    assert not alike(flow[None].astype(np.float32), 0 * relevance).any()


def test_what_is_alike_each_spot_of_relevance_is_found_though_they_move_apart():
    """Three squares over a pan; two of them are relevant at one pixel each, and move apart."""
    height, width = 24, 40
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    flow = np.stack([3 + x, 1 - y], -1)[None].astype(np.float32)
    corners = ((4, 9, 5, 11), (14, 20, 8, 14), (6, 11, 28, 33))
    squares = [(slice(top, end), slice(left, right)) for top, end, left, right in corners]
    for (rows, columns), velocity in zip(squares, [(2, 0), (-2, 0), (0, 2)], strict=True):
        flow[0, rows, columns] += velocity
    relevance = np.zeros((1, height, width), np.float32)
    relevance[0, 6, 7], relevance[0, 16, 10] = 1.0, 0.6
    expected = np.zeros((height, width), bool)
    for rows, columns in squares[:2]:
        expected[rows, columns] = True
    found = alike_spots(flow, relevance)
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(alike_spots(5 * flow, relevance), found)
    assert not alike_spots(flow, 0 * relevance).any()
    # One mean for both is the flow of none.
    assert (alike(flow, relevance)[0] != expected).any()
