"""What the tests share: where the real data lies, and a checkpoint without training."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))  # train.py and eval.py can be imported, however pytest was started


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and oracles; the test is skipped where it is absent."""
    folder = (ROOT / os.environ.get("JAXMOTION_SHARED", "../shared")).resolve()
    if not (folder / "oracles").is_dir():
        pytest.skip(f"no real data at {folder} (set JAXMOTION_SHARED)")
    return folder


@pytest.fixture(scope="session")
def untrained_run(tmp_path_factory) -> Path:
    """A run's folder with random parameters of a small network, for what needs one that loads."""
    import jax
    import numpy as np

    from jaxmotion.networks import NetworkConfig, build_segmenter
    from jaxmotion.training.checkpoints import Checkpoints
    from jaxmotion.training.config import Config, DataConfig, to_json

    config = Config(
        data=DataConfig(height=40, width=64), network=NetworkConfig(widths=(4, 8), input="scaled")
    )
    clip = jax.ShapeDtypeStruct((1, 1, 40, 64, 2), np.float32)
    init = build_segmenter(config.network).init
    shapes = jax.eval_shape(init, jax.random.key(0), clip)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jax.numpy.asarray(rng.normal(0, 0.2, leaf.shape), leaf.dtype), shapes
    )
    folder = tmp_path_factory.mktemp("untrained")
    checkpoints = Checkpoints(folder, to_json(config))
    checkpoints.save_best(3, params, 0.5)
    checkpoints.close()
    return folder
