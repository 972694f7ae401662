from dataclasses import replace

import numpy as np
import pytest

from jaxmotion.data import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.experiments.seeds import run_seeds
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.networks import NetworkConfig
from jaxmotion.tasks.segmentation_config import SegmentationConfig
from jaxmotion.training.config import Config

CONFIG = Config(
    data=DataConfig(source="scenes:easy", height=16, width=24, validation_clips=4),
    task=SegmentationConfig(network=NetworkConfig(widths=(4, 8), stem=1)),
    steps=3,
    batch_size=2,
    validate_every=3,
    picture_every=0,
    seed=4,
)


def test_a_start_that_is_not_there_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="no checkpoint 'nowhere'"):
        run_experiment(replace(CONFIG, start="nowhere"), tmp_path)


def test_the_run_of_the_lowest_validation_loss_is_kept_and_continued(tmp_path):
    result, losses = run_seeds(CONFIG, tmp_path, 2)
    assert set(losses) == {"seed_4", "seed_5"}
    best = min(losses, key=lambda name: losses[name])
    assert result.validation_loss == losses[best]
    flow = np.random.default_rng(0).normal(size=(1, 16, 24, 2)).astype(np.float32)
    kept, chosen = (Segmenter.load(folder) for folder in (tmp_path, tmp_path / best))
    assert kept.config == chosen.config == replace(CONFIG, seed=int(best[-1]))
    np.testing.assert_array_equal(kept(flow), chosen(flow))

    again, same = run_seeds(CONFIG, tmp_path, 2)
    assert (again, same) == (result, losses)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(InputError, match="holds a run with another configuration"):
        run_seeds(replace(CONFIG, batch_size=4), tmp_path, 1)
