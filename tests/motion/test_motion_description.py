"""The description length against a float64 one in numpy and scipy, and the number it chooses."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from jaxmotion.motion import MotionModel, description_length

MODEL = MotionModel("affine")
SIZE = (3, 14, 18)


def piecewise(num_motions, noise=0.05, seed=0, size=SIZE):
    """Flow `[T, H, W, 2]` of rectangles that move by an affine model, and the rectangles."""
    rng = np.random.default_rng(seed)
    _, height, width = size
    labels = np.zeros(size, int)
    labels[:, 2:8, 2:9] = 1
    labels[:, 7:13, 10:17] = 2
    labels[:, 9:13, 1:8] = 3
    labels = np.where(labels < num_motions, labels, 0)
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    basis = np.stack([np.ones_like(x), x, y], axis=-1)
    shifts = np.array([(0, 0), (2, 0), (0, -2), (-2, 1)])[:num_motions]
    theta = rng.normal(0, 0.3, (num_motions, 2, 3))
    theta[..., 0] += shifts
    flow = np.einsum("thwcj,hwj->thwc", theta[labels], basis)
    return flow + rng.laplace(0, noise, flow.shape), labels


def segmentations(labels):
    """From one segment to two more than there are: the smallest ones merged, the rest halved."""
    found = {}
    for count in range(1, labels.max() + 1):
        found[count] = np.where(labels < count, labels, 0)
    for count in range(labels.max() + 1, labels.max() + 4):
        found[count] = labels.copy()
        labels = labels.copy()
        largest = np.bincount(labels.ravel()).argmax()
        left = np.arange(labels.shape[2]) < labels.shape[2] // (3 if labels.max() % 2 else 2)
        labels[(labels == largest) & left] = labels.max() + 1
    return found


def least_absolute_residuals(flow, inside):
    """The least sum of absolute residuals of an affine motion, as a linear program."""
    design = MODEL.design(*flow.shape[:3])[inside].reshape(-1, MODEL.num_parameters(len(flow)))
    target = flow[inside].reshape(-1)
    rows, columns = design.shape
    solved = linprog(
        np.concatenate([np.zeros(columns), np.ones(2 * rows)]),
        A_eq=np.concatenate([design, np.eye(rows), -np.eye(rows)], axis=1),
        b_eq=target,
        bounds=[(None, None)] * columns + [(0, None)] * (2 * rows),
    )
    return solved.fun


def sequential_bits(labels, known):
    """Pixel by pixel, with counters that begin at one half."""
    names, counters, bits = np.unique(labels[known]), {}, 0.0

    def seen(place):
        return labels[place] if min(place) >= 0 and known[place] else None

    for t, y, x in np.argwhere(known):
        context = (seen((t - 1, y, x)), seen((t, y - 1, x)), seen((t, y, x - 1)))
        counts = counters.setdefault(context, dict.fromkeys(names, 0.5))
        bits -= np.log2(counts[labels[t, y, x]] / sum(counts.values()))
        counts[labels[t, y, x]] += 1
    return bits


def reference(flow, labels, known, independent=1.0):
    """All of the definition, in float64."""
    inside = [known & (labels == name) for name in np.unique(labels[known])]
    errors = sum(least_absolute_residuals(flow, each) for each in inside)
    count = 2 * known.sum()
    finest = 1e-3 * np.abs(flow[known]).mean()
    residuals = count * (np.log2(max(errors / count, finest) / finest) + np.log2(2 * np.e))
    pixels = np.array([each.sum() for each in inside])
    motions = MODEL.num_parameters(len(flow)) / 2 * np.log2(np.maximum(independent * pixels, 1))
    return independent * residuals, motions.sum(), sequential_bits(labels, known)


@pytest.mark.parametrize("independent", [1.0, 0.2])
@pytest.mark.parametrize("holes", [False, True])
def test_it_is_that_of_a_linear_program_and_a_sequential_code(holes, independent):
    flow, labels = piecewise(3)
    known = np.ones(labels.shape, bool)
    if holes:
        known[1, 3:6, 4:12] = False
    given = flow.copy()
    given[~known] = np.nan
    found = description_length(given, labels, MODEL, valid=known, independent=independent)
    np.testing.assert_allclose(found, reference(flow, labels, known, independent), rtol=2e-4)
    assert found.total == pytest.approx(sum(found))


@pytest.mark.parametrize("num_motions", [1, 2, 3, 4])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_the_true_number_of_motions_has_the_shortest_description(num_motions, noise):
    flow, labels = piecewise(num_motions, noise, seed=num_motions)
    bits = {
        count: description_length(flow, segments, MODEL).total
        for count, segments in segmentations(labels).items()
    }
    assert min(bits, key=bits.__getitem__) == num_motions


@settings(max_examples=15, deadline=None)
@given(
    order=st.sampled_from(list(permutations(range(5), 3))),
    scale=st.floats(1e-2, 1e3),
    seed=st.integers(0, 5),
)
def test_names_of_segments_and_the_unit_of_flow_do_not_matter(order, scale, seed):
    flow, labels = piecewise(3, seed=seed)
    expected = description_length(flow, labels, MODEL)
    found = description_length(scale * flow, np.array(order)[labels], MODEL)
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    assert found.labels == pytest.approx(expected.labels)


def test_one_motion_without_noise_is_not_divided():
    flow, _ = piecewise(1, noise=0)
    halves = np.broadcast_to(np.arange(SIZE[2]) < 9, SIZE)
    whole = description_length(flow, np.zeros(SIZE, int), MODEL)
    assert whole.total < description_length(flow, halves, MODEL).total


@pytest.mark.parametrize("known", [0, 1])
def test_rest_and_nothing_known_take_finitely_many_bits(known):
    valid = np.full(SIZE, known)
    found = description_length(np.zeros((*SIZE, 2)), np.zeros(SIZE, int), MODEL, valid=valid)
    assert np.isfinite(found).all()
    assert found.residuals == 0
    if not known:
        assert found.total == 0


def test_what_does_not_belong_together_is_refused():
    flow, labels = piecewise(2)
    with pytest.raises(ValueError, match="labels must have shape"):
        description_length(flow, labels[:, 1:], MODEL)
    for share in (0, -1, 2):
        with pytest.raises(ValueError, match="independent must be"):
            description_length(flow, labels, MODEL, independent=share)
