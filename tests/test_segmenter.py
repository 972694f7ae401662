import dataclasses

import jax
import numpy as np
import pytest

import jaxmotion as jm
from jaxmotion.networks import NetworkConfig, build_segmenter
from jaxmotion.training.checkpoints import Checkpoints
from jaxmotion.training.config import Config, DataConfig, to_json

CONFIG = Config(
    data=DataConfig(height=16, width=24),
    network=NetworkConfig(num_masks=3, widths=(4, 8), input="scaled"),
)


def fresh_params(config):
    flow = np.zeros((1, 1, 16, 24, 2), np.float32)
    return build_segmenter(config.network).init(jax.random.key(0), flow)["params"]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    checkpoints = Checkpoints(folder, to_json(CONFIG))
    checkpoints.save_best(7, fresh_params(CONFIG), 0.5)
    checkpoints.close()
    return folder


def moving_square(frames, height, width):
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 0.1, (frames, height, width, 2)).astype(np.float32)
    flow[:, height // 4 : height // 2, width // 4 : width // 2] += 3
    return flow


@pytest.mark.parametrize("shape", [(1, 16, 24), (9, 16, 24), (2, 37, 51), (3, 5, 100)])
def test_any_length_and_size(workdir, shape):
    masks = jm.Segmenter.load(workdir)(moving_square(*shape))
    assert masks.shape == (*shape, 3)
    assert masks.dtype == np.float32
    np.testing.assert_allclose(masks.sum(-1), 1, atol=1e-5)


def test_its_configuration_and_step_come_with_it(workdir):
    segmenter = jm.Segmenter.load(workdir)
    assert segmenter.config == CONFIG
    assert segmenter.step == 7
    inner = jm.Segmenter.load(workdir / "best" / "7")
    flow = moving_square(2, 16, 24)
    np.testing.assert_array_equal(inner(flow), segmenter(flow))


def test_masks_are_those_of_the_network(workdir):
    flow = moving_square(3, 16, 24)
    module = build_segmenter(CONFIG.network)
    expected = module.apply({"params": fresh_params(CONFIG)}, flow[:, None]).masks[:, 0]
    np.testing.assert_allclose(jm.Segmenter.load(workdir)(flow), expected, atol=1e-5)


@pytest.mark.parametrize(("size", "expected"), [((16, 24), (16, 24)), ((480, 720), (16, 24))])
def test_working_size_keeps_aspect_ratio_and_number_of_pixels(workdir, size, expected):
    assert jm.Segmenter.load(workdir).working_size(*size) == expected


def test_unknown_vectors_do_not_matter(workdir):
    flow = moving_square(1, 16, 24)
    valid = np.ones(flow.shape[:3])
    valid[0, :3, :3] = 0
    broken = flow.copy()
    broken[0, :3, :3] = np.nan
    segmenter = jm.Segmenter.load(workdir)
    np.testing.assert_array_equal(segmenter(flow, valid), segmenter(broken, valid))
    with pytest.raises(jm.InputError, match="not finite"):
        segmenter(broken)


@pytest.mark.parametrize("shape", [(16, 24, 2), (1, 16, 24, 3), (0, 16, 24, 2)])
def test_other_shapes_are_refused(workdir, shape):
    with pytest.raises(jm.InputError, match=r"expected \[T, H, W, 2\]"):
        jm.Segmenter.load(workdir)(np.zeros(shape, np.float32))


def test_a_missing_checkpoint_says_how_to_get_one(tmp_path):
    with pytest.raises(jm.InputError, match=r"python train\.py"):
        jm.Segmenter.load(tmp_path / "none")
    with pytest.raises(jm.InputError, match="no checkpoint here"):
        jm.Segmenter.load(tmp_path)


def test_parameters_of_another_network_are_told_by_name(tmp_path):
    other = dataclasses.replace(CONFIG, network=dataclasses.replace(CONFIG.network, widths=(4, 16)))
    checkpoints = Checkpoints(tmp_path, to_json(CONFIG))
    checkpoints.save_best(1, fresh_params(other), 0.5)
    checkpoints.close()
    with pytest.raises(jm.InputError, match=r"parameters of another network; .*left_1"):
        jm.Segmenter.load(tmp_path)


def test_a_damaged_checkpoint_is_one_line(tmp_path):
    checkpoints = Checkpoints(tmp_path, to_json(CONFIG))
    checkpoints.save_best(1, fresh_params(CONFIG), 0.5)
    checkpoints.close()
    for file in (tmp_path / "best" / "1").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(jm.InputError, match=r"cannot be read|no validated") as error:
        jm.Segmenter.load(tmp_path)
    assert "\n" not in str(error.value)
