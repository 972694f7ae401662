"""Losses of events in time against float64 numpy, intervals counted on a grid, and differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion import losses

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 0.0), (0.5, 1.5)])
def test_the_focal_loss_is_its_formula(alpha, gamma):
    logits = RNG.normal(0, 3, 200)
    yes = RNG.uniform(size=200) < 0.4
    p = 1 / (1 + np.exp(-logits))
    expected = np.where(
        yes, -alpha * (1 - p) ** gamma * np.log(p), -(1 - alpha) * p**gamma * np.log(1 - p)
    )
    found = losses.focal(jnp.float32(logits), jnp.asarray(yes), alpha=alpha, gamma=gamma)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-7)


def test_the_focal_loss_has_a_finite_gradient_where_it_is_sure():
    logits = jnp.array([-200.0, 200.0, -200.0, 200.0])
    yes = jnp.array([1, 1, 0, 0])
    values, slopes = jax.vmap(jax.value_and_grad(losses.focal))(logits, yes)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(slopes, [-0.25, 0, 0, 0.75], atol=1e-6)


def spans(count):
    ends = np.sort(RNG.integers(0, 4000, (count, 2)), axis=1)
    ends[:, 1] += 1
    return ends / 100


def counted(one, other, step=0.01):
    """The same from a grid of small steps, each inside of a span or not."""
    grid = np.arange(0, 45, step) + step / 2
    inside = [(span[0] < grid) & (grid < span[1]) for span in (one, other)]
    either = inside[0] | inside[1]
    hull = np.flatnonzero(either)
    middles = [grid[part].mean() for part in inside]
    iou = (inside[0] & inside[1]).sum() / either.sum()
    return 1 - iou + ((middles[0] - middles[1]) / ((hull[-1] - hull[0] + 1) * step)) ** 2


def test_the_distance_of_spans_is_what_a_grid_counts():
    found, true = spans(60), spans(60)
    expected = [counted(*pair) for pair in zip(found, true, strict=True)]
    with jax.enable_x64():
        result = losses.span_distance(jnp.asarray(found), jnp.asarray(true))
    np.testing.assert_allclose(result, expected, atol=1e-8)
    assert losses.span_distance(jnp.array([3.0, 5.0]), jnp.array([3.0, 5.0])) == 0


def test_the_gradient_of_the_distance_is_its_slope():
    found, true = spans(30), spans(30)
    with jax.enable_x64():
        arrays = jnp.asarray(found), jnp.asarray(true)
        gradient = jax.grad(lambda f, t: losses.span_distance(f, t).sum())(*arrays)
        for end in range(2):
            step = np.zeros_like(found)
            step[:, end] = 1e-6
            higher, lower = (losses.span_distance(arrays[0] + s, arrays[1]) for s in (step, -step))
            slope = np.asarray(higher - lower) / 2e-6
            np.testing.assert_allclose(gradient[:, end], slope, atol=1e-5)


def test_spans_that_share_nothing_are_drawn_together():
    slope = jax.grad(losses.span_distance)(jnp.array([0.0, 1.0]), jnp.array([5.0, 6.0]))
    assert np.sum(slope) < 0  # of both ends, moved alike


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="targets must have shape"):
        losses.focal(jnp.zeros(3), jnp.zeros(2))
    with pytest.raises(ValueError, match=r"expected \[..., 2\] twice"):
        losses.span_distance(jnp.zeros((4, 2)), jnp.zeros((3, 2)))
