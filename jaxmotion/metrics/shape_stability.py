"""Temporal stability T of DAVIS 2016: by how much outlines change their shape from frame to frame.

An outline is described point by point by its shape contexts; those of two frames are matched in
order, and T is their mean difference. Low is stable. It is the measure of the benchmark, which its
authors leave out where objects are occluded.

References:
    Perazzi et al., A benchmark dataset and evaluation methodology for video object segmentation,
    CVPR 2016, section 4. Belongie, Malik and Puzicha, Shape matching and object recognition using
    shape contexts, PAMI 2002. Ramer-Douglas-Peucker simplification.
"""

from itertools import pairwise

import numpy as np

from jaxmotion.metrics.arguments import binary_masks

# As the benchmark has them.
_ANGLES, _DISTANCES = 12, 5
_EDGES = np.logspace(np.log10(1 / 8), np.log10(2), _DISTANCES)  # in mean distances
_SPACING = 3.0  # most pixels between two points of an outline
_TOLERANCE = 1.5  # pixels between an outline and its simplification

Points = np.ndarray
"""Corners of pixels `[N, 2]` as (x, y)."""


def temporal_stability(masks) -> np.ndarray:
    """Differences of shape between neighboring frames.

    Args:
        masks: bool or integer `[T, H, W]`, all but 0 is foreground.

    Returns:
        float64 `[T - 1]`: T of each pair of frames, from 0 (the same shape, wherever it is) to 1;
        NaN where one of them has no foreground.

    Raises:
        ValueError: the shape is not `[T, H, W]`.
        TypeError: masks are neither bool nor integers.
    """
    (masks,) = binary_masks("[T, H, W]", masks=masks)
    described = [_shape_contexts(mask) for mask in masks]
    return np.array(
        [
            np.nan if first is None or second is None else _difference(first, second)
            for first, second in pairwise(described)
        ]
    )


def outlines(mask: np.ndarray) -> list[Points]:
    """The closed outlines of a mask along the edges of its pixels, simplified.

    Regions that touch by a corner have outlines of their own, and so have holes.

    Args:
        mask: bool `[H, W]`.

    Returns:
        Points of each outline, the first one again at the end. Outlines of fewer than three corners
        are left out.
    """
    found = []
    for loop in _loops(mask):
        x, y = loop.T
        is_hole = np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) < 0
        # What is left of a line depends a little on its direction: the benchmark goes down first.
        found.append(_simplify(loop) if is_hole else _simplify(loop[::-1])[::-1])
    return [outline for outline in found if len(outline) > 3]


def _loops(mask: np.ndarray) -> list[Points]:
    """All simple cycles of pixel edges between foreground and background, foreground on the right.

    A cycle starts at its corner that four edges share, the last one of them in reading order, or
    else at its first corner.
    """
    padded = np.pad(mask, 1)
    # The edges that leave each corner: as right, down, left, up, with foreground on the right.
    here, left = padded[1:, 1:], padded[1:, :-1]
    above, diagonal = padded[:-1, 1:], padded[:-1, :-1]
    leaves = np.stack([here & ~above, left & ~here, diagonal & ~left, above & ~diagonal])
    free = {
        (int(y), int(x)): [d for d in range(4) if leaves[d, y, x]]
        for y, x in zip(*np.nonzero(leaves.any(axis=0)), strict=True)
    }
    steps = ((0, 1), (1, 0), (0, -1), (-1, 0))
    shared = {corner for corner, directions in free.items() if len(directions) > 1}
    loops = []
    for start in sorted(free):
        while free[start]:
            corner, heading = start, None
            path, places = [], {}
            while corner not in places:
                places[corner] = len(path)
                path.append(corner)
                options = free[corner]
                # Of two edges the one that turns right stays with the same pixel.
                right = None if heading is None else (heading + 1) % 4
                heading = right if right in options else options[0]
                options.remove(heading)
                corner = (corner[0] + steps[heading][0], corner[1] + steps[heading][1])
                if corner in places:
                    cycle = path[places[corner] :]
                    loops.append(_from_its_start(cycle, shared))
                    for left_behind in cycle:
                        del places[left_behind]
                    path = path[: len(path) - len(cycle)]
                    if not path:
                        break
    return loops


def _from_its_start(cycle: list[tuple[int, int]], shared: set[tuple[int, int]]) -> Points:
    """A cycle of corners as a closed line of points."""
    junctions = [corner for corner in cycle if corner in shared]
    first = cycle.index(max(junctions) if junctions else min(cycle))
    corners = [*cycle[first:], *cycle[: first + 1]]
    return np.array(corners, np.float64)[:, ::-1]


def _simplify(line: Points) -> Points:
    """Fewer points of a closed line, first of its straight parts, then within the tolerance."""
    for tolerance in (0.05, _TOLERANCE):
        line = _douglas_peucker(_apart(line, tolerance), tolerance)
    return line


def _apart(line: Points, distance: float) -> Points:
    """The points of a line that are at least so far from the last one kept, and its last point."""
    kept = [0]
    for index in range(1, len(line) - 1):
        if np.sum((line[index] - line[kept[-1]]) ** 2) >= distance**2:
            kept.append(index)
    return line[[*kept, len(line) - 1]]


def _douglas_peucker(line: Points, tolerance: float) -> Points:
    """The points of a line that it cannot do without."""
    keep = np.zeros(len(line), bool)
    keep[[0, -1]] = True
    todo = [(0, len(line) - 1)]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        farthest, distance = _farthest(line[first : last + 1])
        if distance > tolerance:
            keep[first + farthest] = True
            todo += [(first, first + farthest), (first + farthest, last)]
    return line[keep]


def _farthest(line: Points) -> tuple[int, float]:
    """The point of a line that is farthest from the segment between its ends, and how far."""
    start, way = line[0], line[-1] - line[0]
    length = float(way @ way)
    share = np.clip((line - start) @ way / length, 0, 1) if length else np.zeros(len(line))
    distances = np.linalg.norm(line - start - share[:, None] * way, axis=1)[1:-1]
    index = int(np.argmax(distances))
    return index + 1, float(distances[index])


def _dense(outline: Points) -> Points:
    """The points of an outline with others between them, at most `_SPACING` apart."""
    points = [outline[:1]]
    for start, end in pairwise(outline):
        parts = max(1, int(np.ceil(np.linalg.norm(end - start) / _SPACING)))
        points.append(start + np.arange(1, parts + 1)[:, None] / parts * (end - start))
    return np.concatenate(points)


def _shape_contexts(mask: np.ndarray) -> np.ndarray | None:
    """Histograms of where the other points of the longest outline lie, `[N, 60]`; None without."""
    found = outlines(mask)
    if not found:
        return None
    points = _dense(max(found, key=len))
    way = points - points[:, None]
    distance = np.linalg.norm(way, axis=-1)
    ring = (distance[..., None] / distance.mean() < _EDGES).sum(axis=-1)
    turn = np.fmod(np.arctan2(way[..., 1], way[..., 0]) + 2 * np.pi, 2 * np.pi)
    sector = (turn / (2 * np.pi / _ANGLES)).astype(int)
    place = np.where(ring > 0, (ring - 1) * _ANGLES + sector, _ANGLES * _DISTANCES)
    rows = [np.bincount(row, minlength=_ANGLES * _DISTANCES + 1)[:-1] for row in place]
    counts = np.stack(rows).astype(np.float64)
    return counts / (counts.sum(axis=1, keepdims=True) + np.finfo(float).eps)


def _difference(first: np.ndarray, second: np.ndarray) -> float:
    """The mean cost of the points of two outlines, matched in order."""
    costs = np.empty((len(first), len(second)))
    for row, histogram in zip(costs, first, strict=True):
        apart = (histogram - second) ** 2
        row[:] = 0.5 * np.sum(apart / (histogram + second + np.finfo(float).eps), axis=1)
    pairs = _match(costs)
    # The outlines are closed: matched anew from right behind the surest pair.
    best = pairs[:-1][np.argmin(costs[tuple(pairs[:-1].T)])] if len(pairs) > 1 else pairs[0]
    start = best + 1
    turned = np.roll(costs, -start, axis=(0, 1))
    pairs = (_match(turned) + start) % costs.shape
    for side in (0, 1):
        pairs = _one_each(pairs, costs, side)
    return float(costs[tuple(pairs.T)].mean())


def _match(costs: np.ndarray) -> np.ndarray:
    """The cheapest way from the first pair to the last, in steps that leave no point out.

    Args:
        costs: `[N, M]`, cost of each pair.

    Returns:
        The pairs on it `[P, 2]`, the last one first.
    """
    rows, columns = costs.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[1, 1] = 0  # the first pair costs nothing
    for diagonal in range(1, rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        j = diagonal - i
        before = np.minimum(total[i, j], np.minimum(total[i, j + 1], total[i + 1, j]))
        total[i + 1, j + 1] = costs[i, j] + before
    i, j = rows - 1, columns - 1
    pairs = [(i, j)]
    while (i, j) != (0, 0):
        steps = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        i, j = min(steps, key=lambda pair: total[pair[0] + 1, pair[1] + 1])
        pairs.append((i, j))
    return np.array(pairs)


def _one_each(pairs: np.ndarray, costs: np.ndarray, side: int) -> np.ndarray:
    """The cheapest pair of each point of one outline."""
    order = np.lexsort((np.arange(len(pairs)), costs[tuple(pairs.T)], pairs[:, side]))
    ordered = pairs[order]
    is_first = np.concatenate([[True], ordered[1:, side] != ordered[:-1, side]])
    return ordered[is_first]
