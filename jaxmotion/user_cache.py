"""What is kept between runs for a user, and can be had again."""

import os
from pathlib import Path


def user_cache(name: str) -> Path:
    """A folder of ours in the user's cache, which `$XDG_CACHE_HOME` moves; it need not exist yet.

    Args:
        name: of the folder.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "jaxmotion" / name
