"""A convolution over space-time: as XLA's 3D one, and as the sum of 2D ones that the networks use.

    python benchmarks/convolution.py

Forward and gradient together, in turn in one process, at the sizes of three levels of a U-net.
"""

import platform
import time
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxmotion.networks.parts import Conv

SHAPES = [(2, 9, 64, 112, 16), (2, 9, 16, 28, 64), (2, 9, 8, 14, 128)]


def gradient(module: nn.Module):
    """A jitted function of parameters and features."""

    def loss(params, x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.tanh(cast(jax.Array, module.apply(params, x))))

    return jax.jit(jax.grad(loss, argnums=(0, 1)))


def seconds(call) -> float:
    """Time of one call."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def main() -> None:
    """Prints a table."""
    print(f"{platform.machine()}, {jax.devices()[0].platform}, jax {jax.__version__}\n")
    print("| features | 3D | sum of 2D | ratio |\n|---|---:|---:|---:|")
    for shape in SHAPES:
        x = jax.random.normal(jax.random.key(0), shape)
        modules = (nn.Conv(shape[-1], (3, 3, 3)), Conv(shape[-1], (3, 3, 3)))
        calls = []
        for module in modules:
            params, function = module.init(jax.random.key(1), x), gradient(module)
            calls.append(lambda f=function, p=params, x=x: f(p, x))
        for call in calls:
            seconds(call)
        times = np.median([[seconds(call) for call in calls] for _ in range(7)], axis=0)
        print(f"| {shape} | {1e3 * times[0]:.0f} ms | {1e3 * times[1]:.0f} ms | ", end="")
        print(f"{times[0] / times[1]:.1f} |")


if __name__ == "__main__":
    main()
