"""Compiled programs are kept between runs, so that only the first run of a program waits."""

import os
from pathlib import Path

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
