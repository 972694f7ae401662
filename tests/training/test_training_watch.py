"""The figures of speed and cost: by hand, over restarts, and in the log of a run."""

import dataclasses
import importlib.util
import json
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_training_loop import TINY, LineTask, run_line

from jaxmotion.errors import InputError
from jaxmotion.tasks.task import Output
from jaxmotion.training import watch
from jaxmotion.training.config import Config, chosen_steps
from jaxmotion.training.flights import Landed
from jaxmotion.training.operations import step_operations
from jaxmotion.training.peaks import PEAKS
from jaxmotion.training.profiling import Profile
from jaxmotion.training.program import build_program
from jaxmotion.training.stopping import InterruptedTrainingError
from jaxmotion.training.watch import FILE, Costs, Watch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clock(monkeypatch):
    """The time of day, which goes on when it is told to."""
    now = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def test_figures_are_what_they_say(tmp_path, clock, monkeypatch):
    monkeypatch.setitem(PEAKS, jax.local_devices()[0].device_kind, 1e9)
    monkeypatch.setattr(watch, "most_memory", lambda: 123.0)
    monkeypatch.setattr(jax, "device_count", lambda: 3)
    figures = Watch(clips=6, frames=9, flops=2e8, workdir=tmp_path, step=0)
    figures.add(Landed(1, {}, seconds=1.5, busy=1.0, waited=0.4))
    figures.add(Landed(2, {}, seconds=0.5, busy=0.4, waited=0.1))
    clock[0] += 7200
    assert figures.take() == pytest.approx(
        {
            "watch/step_seconds": 1.0,
            "watch/clips_per_second": 6.0,
            "watch/frames_per_second": 54.0,
            "watch/input_wait": 0.25,
            "watch/flop_utilization": 0.2,  # 2e8 operations in a second of at most 1e9
            "watch/memory_bytes": 123.0,
            "watch/device_hours": 6.0,
            "watch/goodput": 1.4 / 7200,
        }
    )
    # Nothing since then but the cost.
    assert set(figures.take()) == {"watch/memory_bytes", "watch/device_hours", "watch/goodput"}


def test_what_is_not_known_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "most_memory", lambda: None)
    figures = Watch(clips=1, frames=1, flops=1e9, workdir=tmp_path, step=0)
    figures.add(Landed(1, {}, 1.0, 1.0, 0.0))
    assert not {"watch/flop_utilization", "watch/memory_bytes"} & set(figures.take())


def test_goodput_over_restarts_counts_a_step_once(tmp_path, clock):
    first = Costs(tmp_path, 0, devices=2)
    first.useful += 30
    clock[0] += 50
    first.save(10)
    first.useful += 40  # steps after the checkpoint, which are lost with the process
    clock[0] += 50
    again = Costs(tmp_path, 10, devices=4)
    again.useful += 30
    clock[0] += 100
    found = again.values()
    assert found["goodput"] == pytest.approx((30 + 30) / 200)
    assert found["device_hours"] == pytest.approx((2 * 50 + 4 * 100) / 3600)
    again.save(20)
    # The newest checkpoint was damaged: the run goes on from the one before.
    assert Costs(tmp_path, 10, devices=1).useful == 30
    assert Costs(tmp_path, 0, devices=1).useful == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"first_start": 1, "useful_seconds": {"x": 1}}'])
def test_a_damaged_file_of_costs_stops_no_run(tmp_path, caplog, text):
    (tmp_path / FILE).write_text(text)
    assert Costs(tmp_path, 5, devices=1).useful == 0
    assert "counted from now on" in caplog.text
    assert Costs(tmp_path, 5, devices=1).useful == 0  # it was written anew
    assert caplog.text.count("counted from now on") == 1


def logged(workdir):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def test_a_run_logs_them_and_goes_on_with_its_costs(tmp_path):
    with pytest.raises(InterruptedTrainingError):
        run_line(tmp_path, stop_after=5)
    time.sleep(0.2)
    run_line(tmp_path)
    lines = logged(tmp_path)
    for line in lines:
        for name in ("step_seconds", "clips_per_second", "frames_per_second"):
            assert line[f"watch/{name}"] > 0
        assert 0 <= line["watch/input_wait"] <= 1
        assert 0 < line["watch/goodput"] < 1
    hours = [line["watch/device_hours"] for line in lines]
    assert hours == sorted(hours)
    stored = json.loads((tmp_path / FILE).read_text())
    assert list(stored["useful_seconds"]) == ["4", "5", "8"]
    useful = list(stored["useful_seconds"].values())
    assert useful == sorted(useful)


def test_every_figure_is_documented(tmp_path, monkeypatch):
    monkeypatch.setitem(PEAKS, jax.local_devices()[0].device_kind, 1e9)
    monkeypatch.setattr(watch, "most_memory", lambda: 1.0)
    run_line(tmp_path)
    names = {name for line in logged(tmp_path) for name in line if name.startswith("watch/")}
    assert len(names) == 8
    for text in ((ROOT / "docs" / "watching.md").read_text(), watch.__doc__ or ""):
        assert all(name in text for name in names)


@dataclasses.dataclass(frozen=True)
class Products(LineTask):
    """A step whose products are known: forward X W and its loss, backward Xᵀ of that."""

    width: int = 256

    def init(self, key, batch):
        return {"params": {"w": jnp.ones((self.width, self.width))}}

    def loss(self, variables, batch, *, step, key):
        return Output(jnp.mean((batch["x"] @ variables["params"]["w"] - batch["y"]) ** 2, axis=1))


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_operations_are_counted(monkeypatch, accumulate, backend):
    clips, task = 64, Products()
    batch = {name: np.ones((clips, task.width), np.float32) for name in "xy"}
    config = dataclasses.replace(TINY, batch_size=clips, accumulate=accumulate)
    program = build_program(config, task, batch)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    count = step_operations(config, task, program)
    assert count is not None
    products = 2 * 2 * clips * task.width**2
    # Beside them there are some operations for each parameter, and each number of a batch.
    assert products < count < products + accumulate * 60 * (task.width**2 + clips * task.width)


@pytest.fixture
def without_libtpu():
    """Where libtpu is installed, JAX must have been told to leave it alone."""
    if importlib.util.find_spec("libtpu") and os.environ.get("JAX_PLATFORMS") != "cpu":
        with pytest.raises(InputError, match="expected the environment variable JAX_PLATFORMS=cpu"):
            Profile(range(3, 5), Path())
        pytest.skip("libtpu is installed: JAX_PLATFORMS=cpu runs this")


@pytest.mark.usefixtures("without_libtpu")
def test_chosen_steps_are_traced_with_their_numbers(tmp_path):
    run_line(tmp_path, dataclasses.replace(TINY, profile_steps="3:5"))
    [trace] = (tmp_path / "tensorboard" / "plugins" / "profile").glob("*/*.xplane.pb")
    data = jax.profiler.ProfileData.from_file(str(trace))
    steps = {
        dict(event.stats)["step_num"]
        for plane in data.planes
        for line in plane.lines
        for event in line.events
        if event.name == "train"
    }
    assert steps == {3, 4, 5}


def test_steps_that_cannot_be_traced_are_refused():
    assert list(chosen_steps("2:4")) == [2, 3, 4]
    assert not chosen_steps("")
    for words in ("3", "4:3", "0:2", "a:b", "1:2:3", "-1:2", "²:3", "1:" + "9" * 5000):
        with pytest.raises(InputError, match=r"--profile_steps .*: expected A:B"):
            Config(profile_steps=words)


@pytest.mark.usefixtures("without_libtpu")
def test_a_run_that_is_past_them_or_ends_in_them_traces_what_is_left(tmp_path):
    run_line(tmp_path, dataclasses.replace(TINY, steps=4))
    run_line(tmp_path, dataclasses.replace(TINY, profile_steps="2:3"))
    assert not (tmp_path / "tensorboard" / "plugins").exists()
    longer = dataclasses.replace(TINY, steps=10, profile_steps="7:99")
    run_line(tmp_path, longer)
    assert list((tmp_path / "tensorboard" / "plugins" / "profile").glob("*/*.xplane.pb"))
