"""The published decoder of embeddings against the released code, with its weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.embeddings import mix
from jaxmotion.networks.embedders import split_maps
from jaxmotion.networks.squeeze_expand import SqueezeExpandDecoder, expand, squeeze

BRANCHES = {"32x": 3, "16x": 2, "8x": 1, "4x": 1}


def oracle(shared, frames):
    return np.load(shared / "oracles" / "embeddings" / f"decoder{frames}.npz")


def channels_last(array):
    return jnp.asarray(np.moveaxis(np.asarray(array, np.float32), 0, -1)[None])


def params_of(arrays, frames):
    """The released weights by our names."""
    weights = {
        name.removeprefix(f"decoder{frames}_weight_"): np.asarray(array, np.float32)
        for name, array in arrays.items()
    }
    params = {}
    for index, (branch, convs) in enumerate(BRANCHES.items()):
        for step in range(convs):
            conv, norm = (f"block_{branch}.{4 * step + offset}" for offset in (0, 1))
            params[f"branch_{index}_conv_{step}"] = {
                "kernel": weights[f"{conv}.weight"].transpose(2, 3, 4, 1, 0),
                "bias": weights[f"{conv}.bias"],
            }
            params[f"branch_{index}_norm_{step}"] = {
                "scale": weights[f"{norm}.weight"],
                "bias": weights[f"{norm}.bias"],
            }
    for index, size in ((1, 16), (2, 8), (3, 4)):
        params[f"join_{index}"] = {"kernel": weights[f"conv_{size}.weight"][..., 0, 0, 0].T}
    heads = [
        (weights[f"conv_{name}.weight"][..., 0, 0, 0].T, weights.get(f"conv_{name}.bias", 0))
        for name in ("embedding", "variance", "seediness")
    ]
    return params, heads


@pytest.mark.parametrize("frames", [8, 16])
def test_it_is_the_released_decoder(shared, frames):
    arrays = oracle(shared, frames)
    features = [channels_last(arrays[f"decoder{frames}_feature_{name}"]) for name in BRANCHES]
    params, heads = params_of(arrays, frames)
    decoder = SqueezeExpandDecoder((4, 4, 2, 2), groups=2)
    found = jax.jit(decoder.apply)({"params": params}, features)
    maps = jnp.concatenate([found @ kernel + bias for kernel, bias in heads], axis=-1)
    said = split_maps(maps, 4)
    everything = [mix(said.raw, "xyff"), said.log_bandwidth, said.seed[..., None]]
    expected = channels_last(arrays[f"decoder{frames}_output"])
    np.testing.assert_allclose(jnp.concatenate(everything, axis=-1), expected, atol=2e-5)


def test_its_parts_are_those_of_the_released_code(shared):
    arrays = oracle(shared, 8)
    x = channels_last(arrays["pool_input"])
    np.testing.assert_allclose(squeeze(x), channels_last(arrays["pool_output"]), atol=1e-6)
    for name, factors in (("up_222", (2, 2, 2)), ("up_122", (1, 2, 2))):
        np.testing.assert_allclose(expand(x, factors), channels_last(arrays[name]), atol=1e-6)


def test_it_has_as_many_parameters_as_published():
    """10.84 million, with linear maps to an embedding of four channels and the rest."""
    sizes = [jax.ShapeDtypeStruct((1, 8, n, n, 256), np.float32) for n in (2, 4, 8, 16)]
    shapes = jax.eval_shape(SqueezeExpandDecoder().init, jax.random.key(0), sizes)
    count = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
    assert round((count + 128 * 7 + 2) / 1e6, 2) == 10.84


def test_clips_it_cannot_take_are_refused():
    sizes = [jnp.zeros((1, 5, n, n, 4)) for n in (1, 2, 4, 8)]
    decoder = SqueezeExpandDecoder((4, 4, 2, 2), groups=2)
    with pytest.raises(ValueError, match="clips of 5 frames: expected 2, 4, 8, 16, 24 or 32"):
        decoder.init(jax.random.key(0), sizes)
    with pytest.raises(ValueError, match="expected four sizes, each doubled"):
        decoder.init(jax.random.key(0), sizes[::-1])
