"""The folder for what is kept between runs for a user, and can be made or fetched again."""

import os
from pathlib import Path


def user_cache(name: str) -> Path:
    """The folder of that name in the user's cache, which `$XDG_CACHE_HOME` moves.

    It need not exist yet.

    Args:
        name: name of the folder, such as `xla`.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "jaxmotion" / name
