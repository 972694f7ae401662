import dataclasses
import json

import numpy as np
import pytest

from jaxmotion.configs import CONFIGS, get_config
from jaxmotion.data import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.options import differences, from_json, to_json
from jaxmotion.tasks.segmentation_config import SegmentationConfig
from jaxmotion.training.config import Config, OptimizerConfig, read_config
from jaxmotion.training.optimizer import learning_rate


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_survives_json(name):
    config = get_config(name)
    assert from_json(Config, json.loads(json.dumps(to_json(config)))) == config


SEGMENTING = [name for name in CONFIGS if isinstance(get_config(name).task, SegmentationConfig)]


@pytest.mark.parametrize("name", SEGMENTING)
def test_a_configuration_from_before_there_were_several_tasks_segments(name):
    config = get_config(name)
    values = json.loads(json.dumps(to_json(config)))
    task = values.pop("task")
    del task["kind"], values["evals"], values["data"]["prefetch"]
    assert read_config("config.json", values | task) == config
    with pytest.raises(InputError, match=r"config.json: .*inference.window 'all': exp"):
        read_config("config.json", values | task | {"inference": {"window": "all"}})


def test_a_field_of_another_version_is_named():
    values = to_json(Config())
    values["task"]["network"]["color"] = 3
    with pytest.raises(InputError, match="NetworkConfig has no field color"):
        from_json(Config, values)


def test_fields_that_an_older_version_did_not_have_take_their_defaults():
    values = to_json(Config(seed=3))
    del values["optimizer"]["ema_decay"]
    assert from_json(Config, values) == Config(seed=3)


def test_unknown_config_lists_the_known_ones():
    with pytest.raises(InputError, match=r"expected one of quickstart, em"):
        get_config("emm")


def test_differences_name_the_fields():
    old = Config(data=DataConfig(height=32))
    new = dataclasses.replace(old, seed=1, data=DataConfig(height=48))
    stored = json.loads(json.dumps(to_json(old)))
    assert differences(stored, to_json(new)) == ["data.height: 32 → 48", "seed: 0 → 1"]
    assert differences(stored, to_json(old)) == []


@pytest.mark.parametrize("schedule", ["constant", "cosine", "halving"])
def test_learning_rate(schedule):
    config = OptimizerConfig(learning_rate=0.1, schedule=schedule, warmup_steps=10, halve_every=40)
    rates = np.array([learning_rate(config, 110)(step) for step in range(111)])
    np.testing.assert_allclose(rates[:11], np.linspace(0.01, 0.1, 11), rtol=1e-6)
    after = np.arange(101)
    expected = {
        "constant": np.full(101, 0.1),
        "cosine": 0.05 * (1 + np.cos(np.pi * after / 100)),
        "halving": 0.1 * 0.5 ** (after // 40),
    }[schedule]
    np.testing.assert_allclose(rates[10:], expected, atol=1e-7)


def test_steps_must_be_positive():
    with pytest.raises(InputError, match="steps 0: expected a whole number from 1"):
        Config(steps=0)
