"""SoFlow as an estimator: files, tiles, and the command; frames enlarged for any estimator."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.errors import InputError
from jaxmotion.models.files import write_model
from jaxmotion.models.trained import Trained
from jaxmotion.networks.soflow.config import SoFlowConfig
from jaxmotion.networks.soflow.network import SoFlow
from jaxmotion.optical_flow import DIS, Enlarged, Refined, estimator_for_masks, make_estimator
from jaxmotion.optical_flow.refinement import concurrent_calls
from jaxmotion.optical_flow.soflow import TILE, SoFlowEstimator, _estimate, read_soflow
from jaxmotion.scenes.aerial import draw_pair
from jaxmotion.scenes.aerial_config import AerialConfig
from jaxmotion.tasks.soflow_config import SoFlowTaskConfig

TINY = SoFlowConfig(
    features=4, context=3, hidden=5, radius=2, levels=2, lookup=1, iterations=1, contrast=2
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    config = dataclasses.replace(get_config("soflow"), task=SoFlowTaskConfig(network=TINY))
    task = config.task.build(config.data)
    shapes = jax.eval_shape(task.init, jax.random.key(0), {})["params"]
    rng = np.random.default_rng(0)

    def draw(leaf):
        fan = np.prod(leaf.shape[:-1]) if len(leaf.shape) == 4 else 10
        return (rng.normal(size=leaf.shape) / np.sqrt(fan)).astype(np.float16).astype(np.float32)

    path = tmp_path_factory.mktemp("soflow") / "tiny.safetensors"
    write_model(path, Trained(config, jax.tree.map(draw, shapes), 7, {}, {}))
    return path


def frames(height, width):
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(2)]


def test_a_file_of_a_run_is_the_network(weights):
    config, params = read_soflow(weights)
    assert config == TINY
    estimator = make_estimator("soflow", weights=weights)
    assert estimator.name == "soflow"
    assert estimator.settings["iterations"] == 1
    assert len(estimator.settings["weights_sha256"]) == 64
    image0, image1 = frames(21, 30)
    found = estimator(image0, image1)
    network = estimator.network
    expected = network.apply({"params": params}, np.float32(image0[None]), np.float32(image1[None]))
    assert found.shape == (21, 30, 2)
    np.testing.assert_allclose(found, expected[0], atol=1e-4)


@pytest.mark.parametrize("size", [(30, 151), (145, 24)])
def test_tiles_are_the_whole_frame(weights, size):
    image0, image1 = frames(*size)
    whole = SoFlowEstimator(weights)(image0, image1)
    tiled = SoFlowEstimator(weights, tile=16)(image0, image1)
    assert TINY.reach(1) * 2 + 16 < max(size)  # there are several
    np.testing.assert_allclose(tiled, whole, atol=1e-3)
    assert np.abs(whole).max() > 1


@pytest.mark.slow
def test_tiles_of_the_shipped_network_are_the_whole_frame():
    size = (32, 2 * TILE)
    image0, image1 = draw_pair(AerialConfig(), *size, 5).frames
    tiled, whole = SoFlowEstimator(), SoFlowEstimator(tile=size[1])
    assert TILE + 2 * tiled.network.config.reach(tiled.iterations) < size[1]  # there are two
    np.testing.assert_allclose(tiled(image0, image1), whole(image0, image1), atol=1e-3)


def test_a_tile_of_a_large_frame_takes_little_memory():
    """The most that frames of any size take beside themselves, of the network as it is trained."""
    config = SoFlowConfig()
    side = TILE + 2 * (config.reach(config.iterations) // 2 * 2 + 2)
    image = jax.ShapeDtypeStruct((1, side, side, 3), np.uint8)
    small = jax.ShapeDtypeStruct((1, 16, 16, 3), np.float32)
    variables = jax.eval_shape(SoFlow(config).init, jax.random.key(0), small, small)
    lowered = _estimate.lower(SoFlow(config), config.iterations, variables, image, image)
    memory = lowered.compile().memory_analysis()
    assert memory.temp_size_in_bytes < 1.5e9, memory.temp_size_in_bytes / 1e9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda file: SoFlowEstimator(file, iterations=0), "iterations 0"),
        (lambda file: SoFlowEstimator(file, tile=15), "tile 15: expected an even"),
        (lambda file: SoFlowEstimator(file.parent), "a folder, expected a file"),
        (lambda file: SoFlowEstimator(file.parent / "none"), "none"),
        (lambda file: SoFlowEstimator(file)(*frames(8, 8)[:1], frames(9, 8)[0]), "one size"),
        (lambda file: make_estimator("soflow", weights=file, preset="fine"), "no setting 'preset'"),
    ],
)
def test_what_is_wrong_is_one_line(weights, call, words):
    with pytest.raises(InputError, match=words):
        call(weights)


def test_weights_of_another_network_are_refused(untrained_run, tmp_path):
    from jaxmotion.models.zoo import export_model

    other = tmp_path / "em.safetensors"
    export_model(untrained_run, other)
    with pytest.raises(InputError, match="trained for segmentation, expected a run of soflow"):
        read_soflow(other)


def test_flow_of_enlarged_frames_is_in_pixels_of_the_frames():
    pair = draw_pair(AerialConfig(vehicles=(1, 1), parked=1.0, noise=(1.0, 1.5)), 64, 80, 3)
    for scale in (2, 3):
        flow = Enlarged(DIS(), scale)(*pair.frames)
        assert flow.shape == (64, 80, 2)
        error = np.linalg.norm(flow - pair.flow, axis=-1)[8:-8, 8:-8]
        assert np.median(error) < 0.3 < np.linalg.norm(pair.flow, axis=-1).mean()


def test_any_estimator_is_enlarged_for_masks_too():
    refined = estimator_for_masks("dis", 2)
    assert isinstance(refined, Refined)
    assert refined.settings["scale"] == 2
    assert concurrent_calls(refined) == concurrent_calls(DIS())
    assert estimator_for_masks("dis", 1) == estimator_for_masks("dis")
    with pytest.raises(InputError, match="scale 9"):
        Enlarged(DIS(), 9)


def test_commands_take_it(weights, tmp_path, capfd):
    from jaxmotion.cli import run
    from jaxmotion.data import write_image

    video = tmp_path / "video"
    video.mkdir()
    for number, frame in enumerate(frames(24, 32)):
        write_image(video / f"{number}.png", frame)
    options = ["--estimator", "soflow", "--weights", str(weights)]
    assert run("flow", [str(video), "--out", str(tmp_path / "flow"), *options]) == 0
    assert len(list((tmp_path / "flow").glob("*.flo"))) == 1
    shutil.rmtree(tmp_path / "flow")
    options = ["--estimator", "dis", "--scale", "2"]
    assert run("flow", [str(video), "--out", str(tmp_path / "flow"), *options]) == 0
    assert '"scale": 2' in (tmp_path / "flow" / "flow.json").read_text()
