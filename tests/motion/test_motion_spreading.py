"""Known values spread to the nearest unknown pixels, against SciPy's exact distances."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from jaxmotion.motion import nearest_known


def places(height, width):
    return np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.002, 0.03, 0.3, 0.9]))
def test_distances_are_nearly_the_least(seed, share):
    """Values that are places tell whose value a pixel has."""
    rng = np.random.default_rng(seed)
    known = rng.random((2, 23, 37)) < share
    known[:, 4, 5] = True
    own = np.broadcast_to(places(23, 37), (2, 23, 37, 2)).astype(np.float32)
    found = np.asarray(nearest_known(jnp.asarray(own[None]), jnp.asarray(known[None])))[0]
    np.testing.assert_array_equal(found[known], own[known])
    for field, inside in zip(found, known, strict=True):
        rows, columns = field[..., 0].astype(int), field[..., 1].astype(int)
        assert inside[rows, columns].all()
        distance = np.hypot(rows - own[0, ..., 0], columns - own[0, ..., 1])
        least = distance_transform_edt(~inside)
        assert (distance >= least - 1e-4).all()
        assert (distance > least + 1e-4).mean() < 0.02
        assert (distance <= least + 1.5).all()


def test_what_is_unknown_does_not_matter_and_nothing_known_gives_zero():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 3, 8, 9, 2)).astype(np.float32)
    known = rng.random((1, 3, 8, 9)) < 0.3
    known[:, 1] = False
    spoiled = np.where(known[..., None], values, np.nan)
    found = np.asarray(nearest_known(jnp.asarray(spoiled), jnp.asarray(known)))
    np.testing.assert_array_equal(found, nearest_known(jnp.asarray(values), jnp.asarray(known)))
    assert not found[:, 1].any()
    with pytest.raises(ValueError, match="known"):
        nearest_known(jnp.asarray(values), jnp.asarray(known[..., :4]))
