from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.networks import INPUT_CHANNELS, build_segmenter


@pytest.mark.parametrize("method", ["em", "lt_ms"])
def test_what_is_computed_again_is_not_kept(method):
    """By name less and less of the forward pass is kept for the backward pass."""

    def kept_bytes(remat):
        network = replace(get_config(method).task.network, widths=(8, 16), remat=remat)
        module = build_segmenter(network)
        clip = jax.ShapeDtypeStruct((1, 9, 32, 48, INPUT_CHANNELS[network.input]), np.float32)
        params = jax.eval_shape(module.init, jax.random.key(0), clip)

        def backward(params, clip):
            return jax.vjp(lambda p: module.apply(p, clip).logits, params)[1]

        kept = jax.tree.leaves(jax.eval_shape(backward, params, clip))
        return sum(array.size * array.dtype.itemsize for array in kept)

    none, norms, blocks = map(kept_bytes, ("none", "norms", "blocks"))
    assert norms < 0.6 * none
    assert blocks < norms
