"""Saliency maps of flows whose map is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.saliency import saliency_map

SHAPE = (1, 2, 20, 30)


def region() -> np.ndarray:
    mask = np.zeros(SHAPE, np.float32)
    mask[..., 5:12, 8:20] = 1
    return mask


def moved(mask: np.ndarray, offset: tuple[float, float]) -> np.ndarray:
    """An affine background, and a region that moves by an offset beside it."""
    y, x = np.mgrid[-1 : 1 : SHAPE[2] * 1j, -1 : 1 : SHAPE[3] * 1j]
    background = np.stack([2 + x - 0.5 * y, -1 + 0.3 * x], axis=-1)
    return (background + mask[..., None] * np.array(offset)).astype(np.float32)


def test_a_constant_offset_has_the_saliency_of_its_length():
    mask = region()
    found = saliency_map(jnp.asarray(moved(mask, (6, -8))), jnp.asarray(mask))
    np.testing.assert_allclose(found, mask * (1 - np.exp(-0.15 * 10)), atol=1e-4)


def test_unknown_pixels_have_none_and_count_nowhere():
    mask = region()
    flow, valid = moved(mask, (6, -8)), np.ones(SHAPE, np.float32)
    valid[..., :7, :10] = 0
    held = np.where(valid[..., None] > 0, flow, np.nan)
    found = saliency_map(jnp.asarray(held), jnp.asarray(mask), valid=jnp.asarray(valid))
    np.testing.assert_allclose(found, valid * mask * (1 - np.exp(-1.5)), atol=1e-4)


def test_what_moves_as_the_rest_is_not_salient():
    mask = region()
    found = saliency_map(jnp.asarray(moved(mask, (0, 0))), jnp.asarray(mask), rate=10.0)
    np.testing.assert_allclose(found, 0, atol=1e-2)


def test_a_mask_of_another_shape_is_refused():
    mask = jnp.asarray(region())
    with pytest.raises(ValueError, match="must have shape"):
        saliency_map(jnp.zeros((*SHAPE, 2)), mask[:, :1])
