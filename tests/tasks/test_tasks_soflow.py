"""SoFlow's task: its loss knows the right flow, and a run ends as a file that estimates flow."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmotion.configs import get_config
from jaxmotion.data.aerial_source import AerialSource
from jaxmotion.data.config import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.experiments.small_flow import score_flow
from jaxmotion.models.loading import load_trained
from jaxmotion.models.zoo import export_model
from jaxmotion.networks.soflow.config import SoFlowConfig
from jaxmotion.optical_flow import make_estimator
from jaxmotion.scenes.aerial import draw_pair
from jaxmotion.scenes.aerial_config import AerialConfig
from jaxmotion.tasks.soflow import SoFlowTask
from jaxmotion.tasks.soflow_config import PhotometricConfig, SoFlowTaskConfig

TINY = SoFlowConfig(
    features=4, context=3, hidden=5, radius=2, levels=1, lookup=1, iterations=1, contrast=2
)
SCENE = AerialConfig(vehicles=(20, 20), noise=(1.0, 1.5))


@dataclasses.dataclass(frozen=True)
class Known(SoFlowTask):
    """The task with flows that are given, of the part that is seen."""

    ahead: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    back: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))

    def flows(self, params, first, second):
        both = [jnp.broadcast_to(f, (*first.shape[:3], 2)) for f in (self.ahead, self.back)]
        half = len(first) // 2
        return jnp.concatenate([both[0][:half], both[1][half:]])[None]


def loss_of(objective, ahead, back, frames, key=None, step=10**6):
    task = Known(TINY, objective, np.float32(ahead), np.float32(back))
    return task.loss({"params": {}}, {"frames": frames[None]}, step=jnp.int32(step), key=key)


@pytest.mark.parametrize("likeness", ["census", "ssim"])
@pytest.mark.parametrize("occlusion", ["consistency", "none"])
def test_the_true_flow_costs_less_than_others(likeness, occlusion):
    pair = draw_pair(SCENE, 64, 64, 4)
    objective = PhotometricConfig(likeness=likeness, window=3, occlusion=occlusion, crop=0)
    camera = np.median(pair.flow.reshape(-1, 2), axis=0)
    losses = [
        float(loss_of(objective, f, -camera, pair.frames).loss[0])
        for f in (pair.flow, pair.flow + 1.0, np.zeros(2))
    ]
    assert losses[0] < min(losses[1:])


def test_what_is_hidden_counts_only_from_a_step_on():
    pair = draw_pair(SCENE, 64, 64, 4)
    camera = np.median(pair.flow.reshape(-1, 2), axis=0)
    objective = PhotometricConfig(crop=0, occlusion_from=5)
    key = jax.random.key(0)
    found = (
        loss_of(objective, pair.flow, -camera, pair.frames, key=key, step=step) for step in (4, 5)
    )
    shares = [float(output.metrics["hidden"][0][0]) for output in found]
    assert shares[0] == 0 < shares[1] < 0.3


def test_flow_out_of_the_part_that_is_seen_is_followed_over_the_whole_frame():
    """A picture that moves by 8 px: every crop of it matches, though all its edge leaves it."""
    picture = draw_pair(SCENE, 48, 56, 4).frames[0]
    frames = np.stack([picture[:, 8:], picture[:, :-8]])
    objective = PhotometricConfig(crop=16, occlusion="none", smoothness=0.0)
    ahead, back = np.array([8.0, 0.0]), np.array([-8.0, 0.0])
    for number in range(3):
        found = loss_of(objective, ahead, back, frames, key=jax.random.key(number))
        assert float(found.loss[0]) < 1e-3
    assert float(loss_of(objective, back, ahead, frames, key=jax.random.key(0)).loss[0]) > 0.2


def test_sparsity_is_a_part_of_the_loss():
    """Its numbers are those of `losses.photometric.sparsity`; here it is only traced."""

    def loss(pair, weight):
        return loss_of(PhotometricConfig(crop=0, sparsity=weight), 1.0, -1.0, pair).loss

    pair = jax.ShapeDtypeStruct((2, 32, 32, 3), np.uint8)
    sizes = [len(str(jax.make_jaxpr(lambda p, w=w: loss(p, w))(pair))) for w in (0.0, 1.0)]
    assert sizes[1] > 1.2 * sizes[0]


CONFIG = dataclasses.replace(
    get_config("soflow"),
    data=DataConfig(source="aerial:busy", clip_length=2, height=24, width=24, validation_clips=2),
    task=SoFlowTaskConfig(network=TINY, objective=PhotometricConfig(window=3, crop=16)),
    steps=2,
    batch_size=2,
    log_every=1,
    validate_every=2,
    checkpoint_every=2,
    picture_every=2,
)


def test_a_run_ends_as_a_file_that_estimates_flow(tmp_path):
    source = AerialSource("busy", (24, 24), length=20)
    run_experiment(CONFIG, tmp_path / "run", source)
    lines = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)
    assert any((tmp_path / "run" / "pictures").iterdir())
    trained = load_trained(tmp_path / "run")
    fresh = jax.jit(CONFIG.task.build(CONFIG.data).init)(jax.random.key(0), {})["params"]
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), trained.params, fresh)
    assert min(jax.tree.leaves(moved)) > 0  # a gradient reaches everything
    export_model(tmp_path / "run", tmp_path / "own.safetensors")
    frames = source[0]["frames"]
    flow = make_estimator("soflow", weights=tmp_path / "own.safetensors")(*frames)
    predict = jax.jit(CONFIG.task.build(CONFIG.data).predict)
    expected = predict(trained.variables, {"frames": frames[None]})["flow"][0]
    np.testing.assert_allclose(flow, expected, atol=0.02)  # parameters in half precision
    few = dataclasses.replace(CONFIG, evals=dataclasses.replace(CONFIG.evals, frames=1))
    scores = score_flow(few, trained.variables, baselines=True)
    assert {"flow_moving", "flow_within", "dis_moving", "no_flow_ring"} <= scores.keys()
    videos = dataclasses.replace(few, data=dataclasses.replace(few.data, source="videos:x"))
    assert score_flow(videos, trained.variables, baselines=True) == {}


def of_size(height, width):
    return SoFlowTaskConfig().build(DataConfig(height=height, width=width))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PhotometricConfig(window=4), "window 4: expected an odd"),
        (lambda: PhotometricConfig(crop=3), "crop 3: expected an even"),
        (lambda: of_size(32, 96), "crop 64: expected at most"),
        (lambda: of_size(97, 96), "expected even numbers"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(make, words):
    with pytest.raises(InputError, match=words):
        make()
