"""Sums over time in blocks, against the matrix of all frames and functions in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.motion import MotionModel
from jaxmotion.motion.blocks import Blocks

MODELS = [
    MotionModel("affine", "bspline"),
    MotionModel("affine", "bspline", 1, 2),
    MotionModel("affine", "bspline", 0),
    MotionModel("affine", "bspline", 2, 1, "cardinal"),
    MotionModel("affine", "polynomial", 2),
    MotionModel("affine"),
]


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def every_product(main, upper, count):
    """`Blocks.products` as one matrix, `[L, L, B, M]`."""
    blocks, group, _, *rest = main.shape
    dense = np.zeros((blocks + 1, group, blocks + 1, group, *rest))
    for block in range(blocks):
        dense[block, :, block] = main[block]
        dense[block, :, block + 1] = upper[block]
        dense[block + 1, :, block] = np.swapaxes(upper[block], 0, 1)
    size = (blocks + 1) * group
    return dense.reshape(size, size, *rest)[:count, :count]


def assert_same_sums(found, basis, x, y):
    spread, gathered, products = found
    count = basis.shape[-1]
    np.testing.assert_allclose(spread, np.einsum("btl,blm->btm", basis, y), atol=1e-6)
    np.testing.assert_allclose(gathered, np.einsum("btl,btm->blm", basis, x), atol=1e-6)
    expected = np.einsum("btl,btk,btm->lkbm", basis, basis, x)
    main, upper = products
    products = every_product(np.asarray(main), np.asarray(upper), count)
    np.testing.assert_allclose(products, expected, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_sums_are_those_with_the_whole_basis(model):
    frames, rng = 41, np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(2, 2, frames, 3)))

    @jax.jit
    def sums(lengths, y):
        blocks = Blocks.of(model, frames, lengths)
        return blocks.spread(y), blocks.gather(x), blocks.products(x)

    for length in (None, 38, 1):
        basis = np.stack([model.temporal_basis(frames, length)] * 2)
        y_now = y[:, : basis.shape[-1]]
        blocks = Blocks.of(model, frames, length)
        found = blocks.spread(y_now), blocks.gather(x), blocks.products(x)
        assert_same_sums(found, basis, x, y_now)
    for lengths in ([41, 7], [23, 1]):
        basis = np.asarray(model.temporal_basis(frames, np.array(lengths)))
        y_now = y[:, : basis.shape[-1]]
        assert_same_sums(sums(np.array(lengths), y_now), basis, x, y_now)


def test_the_tables_grow_with_the_clip_and_not_with_its_square():
    model = MotionModel("quadratic", "bspline")
    short, long = (Blocks.of(model, frames) for frames in (1_000, 100_000))
    for name in ("first", "near", "frames", "values"):
        assert getattr(long, name).nbytes < 110 * getattr(short, name).nbytes
