"""Temporal stability against an implementation of its own: from the mask to the number, in loops.

Nothing of the library is in the reference, which takes masks of one part that touches itself
nowhere: edges of pixels joined to an outline, Douglas-Peucker by recursion, points along the
polygon, shape contexts, and the shortest path through the matches by Dijkstra.
"""

import heapq
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.metrics.shape_stability import _loops, outlines, temporal_stability

Y, X = np.mgrid[:48, :64]


def flower(petals, turn=0.0, x=32, y=24, size=12.0, depth=3.0):
    angle = np.arctan2(Y - y, X - x)
    radius = size + depth * np.sin(petals * angle + turn) + 1.7 * np.cos(2 * angle + 0.3)
    return np.hypot(Y - y, X - x) < radius  # not symmetric: no two points are alike


def traced(mask):
    """The outline of a mask that touches itself nowhere, as corners (x, y), clockwise."""
    after = {}
    for y, x in zip(*np.nonzero(mask), strict=True):
        corners = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]
        beside = [(y - 1, x), (y, x + 1), (y + 1, x), (y, x - 1)]
        for side, (row, column) in enumerate(beside):
            inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
            if not (inside and mask[row, column]):
                assert corners[side] not in after
                after[corners[side]] = corners[(side + 1) % 4]
    path = [min(after, key=lambda corner: corner[::-1])]
    while len(path) == 1 or path[-1] != path[0]:
        path.append(after[path[-1]])
    assert len(path) == len(after) + 1
    return path


def from_segment(point, start, end):
    """Distance of a point from the segment between two others."""
    way, here = np.subtract(end, start), np.subtract(point, start)
    share = min(max(here @ way / max(way @ way, 1e-300), 0), 1)
    return float(np.hypot(*(here - share * way)))


def simplified(path, tolerance):
    """Douglas and Peucker's algorithm."""
    if len(path) < 3:
        return path
    distances = [from_segment(point, path[0], path[-1]) for point in path[1:-1]]
    farthest = int(np.argmax(distances)) + 1
    if distances[farthest - 1] <= tolerance:
        return [path[0], path[-1]]
    left = simplified(path[: farthest + 1], tolerance)
    return left + simplified(path[farthest:], tolerance)[1:]


def spread(path, distance):
    """The points of a path at least so far from the last one taken, and its end."""
    taken = [path[0]]
    for point in path[1:-1]:
        if np.hypot(*np.subtract(point, taken[-1])) >= distance:
            taken.append(point)
    return [*taken, path[-1]]


def described(mask):
    """Points at most 3 pixels apart along the simplified outline, from its end to its start."""
    path = traced(mask)[::-1]
    for tolerance in (0.05, 1.5):
        path = simplified(spread(path, tolerance), tolerance)
    path = path[::-1]
    points = [path[0]]
    for start, end in itertools.pairwise(path):
        parts = int(np.ceil(np.hypot(*np.subtract(end, start)) / 3))
        points += list(np.linspace(start, end, parts + 1)[1:])
    return contexts(np.array(points, float))


def contexts(points):
    """Histograms of directions and distances, point by point."""
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    edges = np.logspace(np.log10(1 / 8), np.log10(2), 5)
    counts = np.zeros((len(points), 12, 5))
    for i, here in enumerate(points):
        for j, there in enumerate(points):
            ring = sum(distances[i, j] / distances.mean() < edge for edge in edges)
            if ring:
                angle = np.arctan2(there[1] - here[1], there[0] - here[0])
                angle = np.fmod(angle + 2 * np.pi, 2 * np.pi)
                counts[i, int(angle // (np.pi / 6)), ring - 1] += 1
    counts = counts.reshape(len(points), -1)
    return counts / counts.sum(axis=1, keepdims=True)


def shortest_path(costs):
    """Dijkstra's algorithm over the pairs; the path backward, and its cheapest pair."""
    end = (costs.shape[0] - 1, costs.shape[1] - 1)
    totals, parents, done, queue = {(0, 0): 0.0}, {}, set(), [(0.0, (0, 0))]
    while queue:
        total, pair = heapq.heappop(queue)
        if pair in done:
            continue
        done.add(pair)
        for step in ((0, 1), (1, 0), (1, 1)):
            new = (pair[0] + step[0], pair[1] + step[1])
            if new[0] <= end[0] and new[1] <= end[1]:
                longer = total + costs[new]
                if longer < totals.get(new, np.inf):
                    totals[new], parents[new] = longer, pair
                    heapq.heappush(queue, (longer, new))
    path, pair, best = [], end, end
    while pair != (0, 0):
        best = pair if not path or costs[pair] < costs[best] else best
        path.append(pair)
        pair = parents[pair]
    return [*path, pair], best


def cheapest(pairs, costs, side):
    found = {}
    for pair in pairs:
        kept = found.get(pair[side])
        if kept is None or costs[pair] < costs[kept]:
            found[pair[side]] = pair
    return [found[point] for point in sorted(found)]


def reference(first, second):
    one, two = described(first), described(second)
    costs = np.array([[np.sum((a - b) ** 2 / (a + b + 1e-300)) / 2 for b in two] for a in one])
    _, best = shortest_path(costs)
    start = (best[0] + 1, best[1] + 1)
    turned = np.roll(costs, (-start[0], -start[1]), (0, 1))
    path, _ = shortest_path(turned)
    pairs = [((i + start[0]) % len(one), (j + start[1]) % len(two)) for i, j in path]
    pairs = cheapest(cheapest(pairs, costs, 0), costs, 1)
    return np.mean([costs[pair] for pair in pairs])


@pytest.mark.parametrize("change", [{"turn": 0.4}, {"size": 14.0, "x": 30}, {"petals": 4}])
def test_stability_is_that_of_another_implementation(change):
    first, second = flower(3), flower(**({"petals": 3} | change))
    expected = reference(first, second)
    assert expected > 0.01
    np.testing.assert_allclose(temporal_stability(np.stack([first, second])), expected)


def test_a_shape_that_only_moves_is_stable():
    frames = np.stack([np.roll(flower(5), (t, 2 * t), (0, 1)) for t in range(4)])
    np.testing.assert_allclose(temporal_stability(frames), 0, atol=1e-12)


def test_more_change_is_less_stable():
    frames = [flower(3), flower(3, depth=4), flower(3, depth=6)]
    small, large = (temporal_stability(np.stack([frames[0], f]))[0] for f in frames[1:])
    assert 0 < small < large < 1


def test_frames_without_an_object_have_none():
    frames = np.stack([flower(3), np.zeros_like(X, bool), flower(3)])
    assert np.isnan(temporal_stability(frames)).all()
    assert temporal_stability(frames[:1]).shape == (0,)
    with pytest.raises(ValueError, match="expected \\[T, H, W\\]"):
        temporal_stability(frames[0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=30, max_size=30))
def test_outlines_enclose_the_foreground(pixels):
    """The areas that all simple cycles enclose, holes less, are that of the mask."""
    mask = np.array(pixels).reshape(5, 6)
    loops = _loops(mask)
    areas = []
    for loop in loops:
        assert len(np.unique(loop[:-1], axis=0)) == len(loop) - 1
        assert (np.abs(np.diff(loop, axis=0)).sum(axis=1) == 1).all()
        x, y = loop.T
        areas.append(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)
    assert sum(areas) == mask.sum()
    edges = sum(np.abs(np.diff(np.pad(mask, 1).astype(int), axis=axis)).sum() for axis in (0, 1))
    assert sum(len(loop) - 1 for loop in loops) == edges


def test_a_simplified_outline_stays_near():
    (outline,) = outlines(flower(3))
    (whole,) = _loops(flower(3))
    assert len(outline) < len(whole) / 3
    ways = np.diff(outline, axis=0)
    for point in whole:
        apart = point - outline[:-1]
        share = np.clip((apart * ways).sum(axis=1) / (ways**2).sum(axis=1), 0, 1)
        assert np.linalg.norm(apart - share[:, None] * ways, axis=1).min() < 1.6 + 1.5
