"""A task of its own, in this file alone: fields, state, groups of parameters, another network.

It tells clips that move to the right from clips that move to the left. On eight devices it is run
as a program: ``python test_tasks_toy.py WORKDIR DATA TIME`` trains it on such a mesh.
"""

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tyro.conf import Suppress

import jaxmotion as jm
from jaxmotion.data import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.experiments.evals import final_scores, register_evaluation
from jaxmotion.experiments.experiment import run_experiment
from jaxmotion.models.files import read_model
from jaxmotion.models.loading import load_trained
from jaxmotion.models.zoo import export_model, format_models
from jaxmotion.options import NotNegative, check_fields, from_json, to_json
from jaxmotion.tasks.config import TaskConfig
from jaxmotion.tasks.kinds import register_task
from jaxmotion.tasks.task import Criterion, Output, Task
from jaxmotion.training.config import Config, Group, MeshConfig, OptimizerConfig

FRAMES, HEIGHT, WIDTH = 3, 4, 6


@register_task
@dataclasses.dataclass(frozen=True)
class ToyConfig(TaskConfig):
    """Which way clips move.

    Attributes:
        smoothing: share of the running mean that a batch replaces.
        teacher: another network, whose opinion counts too.
    """

    kind: Annotated[Literal["toy"], Suppress] = "toy"
    smoothing: NotNegative = 0.1
    teacher: str = ""

    def __post_init__(self):
        check_fields(self)

    def build(self, data: DataConfig, load: Callable[[str], Any] | None = None) -> "ToyTask":
        teacher = load(self.teacher).variables if load and self.teacher else None
        return ToyTask(self.smoothing, teacher)


@dataclasses.dataclass(frozen=True)
class ToyTask(Task):
    smoothing: float
    teacher: Mapping[str, Any] | None = None

    criterion = Criterion("accuracy", higher_is_better=True)

    @property
    def spec(self):
        return {"flow": "B T H W 2", "valid": "B T H W", "label": "B"}

    def init(self, key, batch):
        classifier = {"weight": 0.1 * jax.random.normal(key, (2, 2)), "bias": jnp.zeros(2)}
        return {
            "params": {
                "classifier": classifier,
                "scale": {"fixed": jnp.ones(2)},
                "multiplier": {"of_norm": jnp.float32(0.5)},
            },
            "statistics": {"mean": jnp.zeros(2)},
        }

    def logits(self, variables, motion):
        params = variables["params"]
        seen = (motion - variables["statistics"]["mean"]) * params["scale"]["fixed"]
        return seen @ params["classifier"]["weight"] + params["classifier"]["bias"]

    def motion(self, batch):
        valid = batch["valid"][..., None]
        total = jnp.sum(batch["flow"] * valid, axis=(1, 2, 3))
        return total / jnp.maximum(jnp.sum(valid, axis=(1, 2, 3)), 1)

    def loss(self, variables, batch, *, step, key):
        motion = self.motion(batch)
        if key is not None:
            motion += 0.1 * jax.random.normal(key, motion.shape)
        logits = self.logits(variables, motion)
        truth = jax.nn.one_hot(batch["label"], 2)
        loss = -jnp.sum(truth * jax.nn.log_softmax(logits), axis=-1)
        if self.teacher is not None:
            opinion = jax.nn.softmax(self.logits(self.teacher, motion))
            loss -= jnp.sum(opinion * jax.nn.log_softmax(logits), axis=-1)
        params = variables["params"]
        norm = jnp.sum(params["classifier"]["weight"] ** 2)
        loss += params["multiplier"]["of_norm"] * (norm - 1)
        right = (jnp.argmax(logits, axis=-1) == batch["label"]).astype(jnp.float32)
        mean = variables["statistics"]["mean"]
        mean += self.smoothing * (jnp.mean(motion, axis=0) - mean)
        metrics = {"accuracy": (right, jnp.ones_like(right)), "norm": (norm, 1)}
        return Output(loss, metrics=metrics, state={"statistics": {"mean": mean}})

    def predict(self, variables, batch):
        return {"label": jnp.argmax(self.logits(variables, self.motion(batch)), axis=-1)}


@dataclasses.dataclass(frozen=True)
class ToyClips:
    """Clips that are a function of their number, which has no label but the way they move."""

    first: int = 0
    length: int = 1000

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        rng = np.random.default_rng(self.first + index)
        label = rng.integers(2)
        flow = rng.normal(size=(FRAMES, HEIGHT, WIDTH, 2)) + np.array([0.6 * label - 0.3, 0.0])
        valid = (rng.random(flow.shape[:-1]) < 0.9).astype(np.float32)
        return {"flow": flow.astype(np.float32), "valid": valid, "label": np.int32(label)}

    def hold_out(self, fraction, seed=0):
        return self, ToyClips(self.first + self.length, 30)


def evaluation(config, variables, baselines):
    """Accuracy on other clips."""
    clips = [ToyClips(10**6)[index] for index in range(50)]
    batch = {name: np.stack([clip[name] for clip in clips]) for name in clips[0]}
    found = config.task.build(config.data).predict(variables, batch)["label"]
    scores = {"test_accuracy": float(np.mean(found == batch["label"]))}
    return scores | ({"chance": 0.5} if baselines else {})


register_evaluation("toy", evaluation)

CONFIG = Config(
    data=DataConfig(height=HEIGHT, width=WIDTH, clip_length=FRAMES, validation_clips=21),
    task=ToyConfig(),
    optimizer=OptimizerConfig(
        kind="adamw",
        learning_rate=0.3,
        schedule="constant",
        warmup_steps=2,
        ema_decay=0.9,
        groups=(Group("scale/.*", 0.0), Group("multiplier/.*", -0.5)),
    ),
    steps=12,
    batch_size=8,
    log_every=1,
    validate_every=2,
    checkpoint_every=4,
    picture_every=4,
)


def configured(**changes):
    return dataclasses.replace(CONFIG, **changes)


def lines_of(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def losses_of(workdir):
    return [line["loss"] for line in lines_of(workdir) if "loss" in line]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    run_experiment(CONFIG, folder, ToyClips())
    return folder


def test_it_learns_and_keeps_what_is_best_by_its_own_criterion(run):
    accuracies = {
        line["step"]: (line["validation_accuracy"], line["validation_loss"])
        for line in lines_of(run)
        if "validation_accuracy" in line
    }
    best = max(accuracy for accuracy, _ in accuracies.values())
    assert best > 0.8
    trained = load_trained(run)
    assert trained.step == next(s for s, (accuracy, _) in accuracies.items() if accuracy == best)
    expected = dict(zip(("accuracy", "loss"), accuracies[trained.step], strict=True))
    assert trained.metrics == {f"validation_{name}": v for name, v in expected.items()}
    # 21 clips in batches of 8: those that fill the last batch up count in nothing.
    assert round(21 * best, 4) == round(21 * best)


def test_groups_stay_descend_and_climb(tmp_path):
    run_experiment(configured(steps=1), tmp_path, ToyClips())
    params = load_trained(tmp_path).params
    fresh = ToyTask(0.1).init(jax.random.key(0), {})["params"]
    np.testing.assert_array_equal(params["scale"]["fixed"], np.ones(2))
    assert np.abs(params["classifier"]["weight"] - fresh["classifier"]["weight"]).max() > 0.05
    # Its gradient is the norm minus 1, below 0 at first: descending it would grow.
    assert lines_of(tmp_path)[0]["norm"] < 1
    assert params["multiplier"]["of_norm"] < 0.5


def test_its_state_is_a_running_mean(run):
    stored = load_trained(run)
    source, mean = ToyClips(), np.zeros(2)
    from jaxmotion.data import TrainLoader

    loader = TrainLoader(source, 8, fields=("flow", "valid", "label"))
    task = ToyTask(0.1)
    for step in range(stored.step):
        key = jax.random.fold_in(jax.random.key(0), step)
        motion = np.asarray(task.motion(next(loader)))
        motion = motion + 0.1 * np.asarray(jax.random.normal(key, motion.shape))
        mean += 0.1 * (motion.mean(axis=0) - mean)
    loader.close()
    np.testing.assert_allclose(stored.collections["statistics"]["mean"], mean, atol=1e-6)


def test_an_interrupted_run_ends_bit_for_bit_as_an_uninterrupted_one(run, tmp_path):
    for steps in (5, 7, 12):
        run_experiment(configured(steps=steps), tmp_path, ToyClips())
    assert losses_of(tmp_path) == losses_of(run)
    found, expected = load_trained(tmp_path), load_trained(run)
    assert found.step == expected.step
    jax.tree.map(np.testing.assert_array_equal, found.variables, expected.variables)


def test_parts_of_a_batch_give_the_same_gradient(tmp_path):
    quiet = configured(steps=2, task=ToyConfig(smoothing=0.0))
    first = []
    for accumulate in (1, 4):
        work = tmp_path / str(accumulate)
        run_experiment(dataclasses.replace(quiet, accumulate=accumulate), work, ToyClips())
        first.append(lines_of(work)[0])
    # Each part draws its own noise.
    assert first[1]["loss"] == pytest.approx(first[0]["loss"], rel=0.1)
    assert first[1]["norm"] == pytest.approx(first[0]["norm"], rel=1e-6)
    assert 8 * first[1]["accuracy"] == round(8 * first[1]["accuracy"])


@pytest.mark.sharding
def test_eight_devices_see_what_one_does(run, tmp_path, on_eight_devices):
    """Three frames over two and four devices, so that some are padded; labels have no frames."""
    for data, time in ((8, 1), (4, 2), (2, 4)):
        work = tmp_path / f"{data}x{time}"
        on_eight_devices(Path(__file__), str(work), str(data), str(time))
        np.testing.assert_allclose(losses_of(work), losses_of(run), rtol=1e-5, atol=1e-6)
        found, expected = (load_trained(folder).variables for folder in (work, run))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), found, expected)


def test_it_is_scored_while_it_is_trained_and_at_the_end(tmp_path):
    evals = dataclasses.replace(CONFIG.evals, every=5)
    run_experiment(configured(evals=evals), tmp_path, ToyClips())
    scores = final_scores(tmp_path, baselines=True)
    assert scores["chance"] == 0.5
    assert scores["test_accuracy"] > 0.8
    assert final_scores(tmp_path, baselines=True) == scores
    scored = [line for line in lines_of(tmp_path) if "test_accuracy" in line]
    assert [line["step"] for line in scored] == [5, 10, load_trained(tmp_path).step]
    assert scored[-1] == {"step": scored[-1]["step"], **scores}


def test_another_network_is_part_of_the_run(run, tmp_path):
    teacher = tmp_path / "teacher"
    run_experiment(configured(steps=4), teacher, ToyClips())
    student = configured(steps=2, task=ToyConfig(teacher=str(teacher)))
    work = tmp_path / "student"
    run_experiment(student, work, ToyClips())
    assert losses_of(work)[0] > losses_of(run)[0] + 0.1
    run_experiment(dataclasses.replace(student, steps=3), work, ToyClips())
    shutil.rmtree(teacher)
    run_experiment(configured(steps=4, seed=1), teacher, ToyClips())  # another one by that name
    with pytest.raises(InputError, match=r"teacher: another network than the run in .*student"):
        run_experiment(dataclasses.replace(student, steps=4), work, ToyClips())
    # To predict, and so to load, it needs no teacher.
    (teacher / "best").rename(teacher / "worst")
    assert load_trained(work).config.task == student.task


def test_it_starts_from_another_run_with_its_state(run, tmp_path, capsys):
    run_experiment(configured(steps=1, start=str(run), seed=1), tmp_path, ToyClips())
    assert "taken: everything" in capsys.readouterr().err
    assert lines_of(tmp_path)[0]["accuracy"] >= 0.75


def test_a_file_holds_its_state_too(run, tmp_path):
    export_model(run, tmp_path / "toy.safetensors")
    read = read_model(tmp_path / "toy.safetensors")
    assert read.config == CONFIG
    found, expected = read.variables, load_trained(run).variables
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3), found, expected)
    assert "toy" in format_models({"toy": tmp_path / "toy.safetensors"})
    with pytest.raises(InputError, match="trained for toy, expected one for segmentation"):
        jm.load(run)
    with pytest.raises(InputError, match=f"{run}: a network trained for toy"):
        jm.Segmenter.load(run)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimizer": OptimizerConfig(groups=(Group("scal", 0.0),))}, "'scal': no parameter"),
        ({"start": "em-k2"}, "--start: .*missing there"),
    ],
)
def test_what_cannot_begin_leaves_no_folder(tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        run_experiment(configured(**change), tmp_path / "run", ToyClips())
    assert not (tmp_path / "run").exists()


class WithoutLabels(ToyClips):
    def __getitem__(self, index):
        clip = super().__getitem__(index)
        return {name: clip[name] for name in ("flow", "valid")}


class WithOddFlow(ToyClips):
    def __getitem__(self, index):
        clip = super().__getitem__(index)
        return clip | {"valid": clip["valid"][:-1]}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (WithoutLabels(), "has no 'label', which this task needs; it has flow, valid"),
        (
            WithOddFlow(),
            r"'valid' of shape \(8, 2, 4, 6\): expected \[B, T, H, W\] with T = 3, as of .*'flow'",
        ),
    ],
)
def test_clips_without_its_fields_are_one_line(tmp_path, monkeypatch, source, words):
    monkeypatch.setattr(type(source), "hold_out", lambda self, fraction: (self, self))
    with pytest.raises(InputError, match=words):
        run_experiment(CONFIG, tmp_path, source)


def test_its_configuration_is_read_by_its_kind():
    values = json.loads(json.dumps(to_json(CONFIG)))
    assert values["task"]["kind"] == "toy"
    assert from_json(Config, values) == CONFIG
    with pytest.raises(InputError, match="ToyConfig has no field network"):
        from_json(Config, values | {"task": values["task"] | {"network": {}}})
    with pytest.raises(InputError, match=r"smoothing -1.0: expected a finite number of at least 0"):
        from_json(Config, values | {"task": {"kind": "toy", "smoothing": -1.0}})
    with pytest.raises(ValueError, match="there is a task 'toy' already"):
        register_task(type("ToyConfig", (ToyConfig,), {}))


if __name__ == "__main__":
    folder, data, time = sys.argv[1:]
    mesh = MeshConfig(data=int(data), time=int(time))
    run_experiment(configured(mesh=mesh), Path(folder), ToyClips())
