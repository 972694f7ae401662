"""What the tests share: where the real data lies."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and oracles; the test is skipped where it is absent."""
    root = Path(__file__).parent.parent
    folder = (root / os.environ.get("JAXMOTION_SHARED", "../shared")).resolve()
    if not (folder / "oracles").is_dir():
        pytest.skip(f"no real data at {folder} (set JAXMOTION_SHARED)")
    return folder
