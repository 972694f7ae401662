"""Less waiting for programs to compile: they are kept, and on a CPU made in less time."""

import os
from pathlib import Path
from typing import Any

import jax

from jaxmotion.user_cache import user_cache


def enable_compilation_cache() -> Path:
    """Keeps compiled programs in a folder.

    The folder is ``$JAX_COMPILATION_CACHE_DIR``, by default ``jaxmotion/xla`` in the user's cache.
    Where it cannot be written JAX warns and compiles as ever.

    Returns:
        The folder.
    """
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    folder = Path(chosen) if chosen else user_cache("xla")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder


def quick_compilation(platform: str) -> dict[str, Any] | None:
    """Options of the compiler for programs that run once or seldom.

    On a CPU the further levels of LLVM take XLA half as long again for programs that are not
    faster, and ten times as long over draws of random numbers, which are the same ones.

    Args:
        platform: platform of the devices, such as ``"cpu"``.

    Returns:
        The options; None for the usual ones.
    """
    return {"xla_backend_optimization_level": 1} if platform == "cpu" else None
