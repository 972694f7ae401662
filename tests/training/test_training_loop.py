import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import monitoring

from jaxmotion.data import DataConfig, TrainLoader
from jaxmotion.data.config import AugmentConfig
from jaxmotion.data.held_out import HeldOut
from jaxmotion.errors import InputError
from jaxmotion.experiments.experiment import open_clips, run_experiment
from jaxmotion.motion import MotionModel
from jaxmotion.networks import NetworkConfig
from jaxmotion.optical_flow import write_flow_npz
from jaxmotion.options import to_json
from jaxmotion.tasks.segmentation_config import ObjectiveConfig, SegmentationConfig
from jaxmotion.tasks.task import Output, Task
from jaxmotion.training.checkpoints import Checkpoints, stored_steps
from jaxmotion.training.config import Config, OptimizerConfig
from jaxmotion.training.kept import load_best
from jaxmotion.training.loop import train
from jaxmotion.training.metrics import write_json
from jaxmotion.training.shardings import put_batch
from jaxmotion.training.step import init_state, make_train_step
from jaxmotion.training.stopping import InterruptedTrainingError, NonFiniteLossError

TINY = Config(
    data=DataConfig(height=16, width=24, validation_clips=5, validation_fraction=0.001),
    task=SegmentationConfig(
        network=NetworkConfig(widths=(4, 8), stem=1),
        augment=AugmentConfig(global_motion=1.0, flip_horizontal=0.5),
    ),
    optimizer=OptimizerConfig(warmup_steps=2, ema_decay=0.9, schedule="constant"),
    steps=8,
    batch_size=4,
    log_every=1,
    validate_every=4,
    checkpoint_every=4,
    picture_every=0,
)


@dataclasses.dataclass(frozen=True)
class LineTask(Task):
    """Fits y = a x + b to batches; fast to compile, so that the loop itself can be tested."""

    poison_at: int = -1

    @property
    def spec(self):
        return {"x": "B N", "y": "B N"}

    def init(self, key, batch):
        return {"params": {"a": jax.random.normal(key), "b": jnp.zeros(())}}

    def loss(self, variables, batch, *, step, key):
        params = variables["params"]
        noise = 0.0 if key is None else 0.1 * jax.random.normal(key)
        error = params["a"] * batch["x"] + params["b"] + noise - batch["y"]
        loss = jnp.mean(error**2, axis=1)
        loss = jnp.where(step == self.poison_at, jnp.nan, loss)
        return Output(loss, metrics={"a": (params["a"], 1)})

    def picture(self, variables, batch):
        return np.asarray(_painted(variables["params"], batch))


@jax.jit
def _painted(params, batch):
    shade = jnp.clip(255 * (params["a"] * batch["x"] + params["b"]), 0, 255)
    return jnp.broadcast_to(shade[0, :4, None, None], (4, 4, 3)).astype(jnp.uint8)


class LineClips:
    """Batches that are a function of their number."""

    def __init__(self, stop_after=None):
        self.position, self.stop_after = 0, stop_after

    def __next__(self):
        x = np.random.default_rng(self.position).normal(size=(4, 6)).astype(np.float32)
        self.position += 1
        if self.position == self.stop_after:
            import signal

            signal.raise_signal(signal.SIGINT)
        return {"x": x, "y": 2 * x + 1}

    def get_state(self):
        return {"position": self.position}

    def set_state(self, state):
        self.position = state["position"]


def held_out():
    return HeldOut(next(LineClips()), np.ones(4))


def run_line(workdir, config=TINY, task=None, stop_after=None):
    return train(config, task or LineTask(), LineClips(stop_after), [held_out()], workdir)


def segmenting(config=TINY, **changes):
    """The configuration with another network, motion, objective or augmentation."""
    return dataclasses.replace(config, task=dataclasses.replace(config.task, **changes))


def curve(workdir):
    """Every logged number by its step and name, without those of the clock."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    rows = [(line["step"], name, value) for line in lines for name, value in line.items()]
    return {(step, name): value for step, name, value in rows if not name.startswith("watch/")}


@pytest.mark.parametrize("stop_after", [1, 3, 4, 5, 7])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path, stop_after):
    run_line(tmp_path / "whole")
    with pytest.raises(InterruptedTrainingError, match=f"step {stop_after} is stored"):
        run_line(tmp_path / "parts", stop_after=stop_after)
    run_line(tmp_path / "parts")
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    whole, parts = (load_best(tmp_path / name) for name in ("whole", "parts"))
    assert whole.step == parts.step
    jax.tree.map(np.testing.assert_array_equal, whole.variables, parts.variables)


def test_a_killed_run_repeats_what_its_last_checkpoint_had_not_seen(tmp_path):
    run_line(tmp_path / "whole")
    run_line(tmp_path / "killed", dataclasses.replace(TINY, steps=6, checkpoint_every=4))
    shutil.rmtree(
        tmp_path / "killed" / "checkpoints" / "6"
    )  # as if killed before step 6 was stored
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 7, "lo')  # and in the middle of a line
    run_line(tmp_path / "killed")
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")


def test_a_checkpoint_cut_short_is_left_for_the_one_before(tmp_path, caplog):
    run_line(tmp_path / "whole")
    run_line(tmp_path / "cut", dataclasses.replace(TINY, steps=6))
    for file in (tmp_path / "cut" / "checkpoints" / "6" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:10])
    run_line(tmp_path / "cut")
    assert "checkpoint 6 cannot be read" in caplog.text
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")


def spoil(folder, how):
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        how(file)


@pytest.mark.parametrize(
    "how",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-7]),
        lambda file: file.write_bytes(b"\xff" * file.stat().st_size),
        lambda file: file.unlink(),
    ],
    ids=["empty", "cut short", "overwritten", "missing"],
)
@pytest.mark.parametrize("item", ["state", "data"])
def test_a_damaged_checkpoint_is_kept_and_later_ones_are_stored(tmp_path, caplog, how, item):
    run_line(tmp_path, dataclasses.replace(TINY, steps=6))
    spoil(tmp_path / "checkpoints" / "6" / item, how)
    left = sorted(path.name for path in (tmp_path / "checkpoints" / "6").rglob("*"))
    run_line(tmp_path, dataclasses.replace(TINY, checkpoint_every=2))
    assert "checkpoint 6 cannot be read" in caplog.text
    kept = tmp_path / "unreadable" / "6"
    assert sorted(path.name for path in kept.rglob("*")) == left
    # The step of the damaged one is stored anew, and can be read.
    assert stored_steps(tmp_path) == [6, 8]
    spoil(tmp_path / "checkpoints" / "8" / item, how)
    assert run_line(tmp_path).step == 8
    assert "checkpoint 8 cannot be read" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        OSError(5, "Input/output error"),
        PermissionError(13, "Permission denied"),
        MemoryError("no more"),
        ValueError("UNAVAILABLE: Error reading: the server is busy"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_deletes_no_checkpoint(tmp_path, monkeypatch, error):
    import orbax.checkpoint as ocp

    run_line(tmp_path, dataclasses.replace(TINY, steps=6))
    before = sorted(path for path in tmp_path.rglob("*") if "checkpoints" in path.parts)
    restore, calls = ocp.CheckpointManager.restore, []

    def fails(self, step, args=None, **options):
        if "state" in args:
            calls.append(step)
            raise error
        return restore(self, step, args=args, **options)

    monkeypatch.setattr(ocp.CheckpointManager, "restore", fails)
    with pytest.raises(InputError, match=r"checkpoints/6: cannot be read now \(.*; it is kept"):
        run_line(tmp_path)
    assert calls == [6]
    assert sorted(path for path in tmp_path.rglob("*") if "checkpoints" in path.parts) == before
    monkeypatch.undo()
    assert run_line(tmp_path).step == 8
    run_line(tmp_path / "whole")
    resumed, whole = curve(tmp_path), curve(tmp_path / "whole")
    assert {key: resumed[key] for key in whole} == whole


def test_a_fault_of_the_program_is_no_damage(tmp_path, monkeypatch):
    import orbax.checkpoint as ocp

    run_line(tmp_path, dataclasses.replace(TINY, steps=6))

    def fails(self, step, args=None, **options):
        raise NameError("restor")

    monkeypatch.setattr(ocp.CheckpointManager, "restore", fails)
    with pytest.raises(NameError):
        run_line(tmp_path)
    assert stored_steps(tmp_path) == [4, 6]


def test_no_readable_checkpoint_is_an_error_not_a_fresh_start(tmp_path):
    run_line(tmp_path)
    for file in (tmp_path / "checkpoints").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    with pytest.raises(InputError, match="none of the checkpoints"):
        run_line(tmp_path, dataclasses.replace(TINY, steps=9))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint_before(tmp_path):
    with pytest.raises(NonFiniteLossError, match=r"not finite at step 6 \(checkpoint 4 is kept\)"):
        run_line(tmp_path, task=LineTask(poison_at=5))
    checkpoints = Checkpoints(tmp_path, {})
    assert checkpoints.newest_step == 4
    checkpoints.close()
    params = load_best(tmp_path).variables
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("poison_at", [4, 5, 6, 7])
def test_however_seldom_it_is_looked_at_the_first_bad_step_is_named(tmp_path, poison_at):
    seldom = dataclasses.replace(TINY, log_every=50, validate_every=50, checkpoint_every=4)
    words = rf"not finite at step {poison_at + 1} \(checkpoint 4 is kept\)"
    with pytest.raises(NonFiniteLossError, match=words):
        run_line(tmp_path, seldom, LineTask(poison_at=poison_at))
    assert stored_steps(tmp_path) == [4]
    assert not (tmp_path / "best" / "8").exists()


def test_the_kept_parameters_are_those_of_the_lowest_validation_loss(tmp_path):
    config = dataclasses.replace(TINY, validate_every=1)
    run_line(tmp_path, config)
    losses = {s: v for (s, name), v in curve(tmp_path).items() if name == "validation_loss"}
    assert load_best(tmp_path).step == min(losses, key=losses.get)


def test_the_average_is_what_is_validated_and_kept(tmp_path):
    moving = dataclasses.replace(TINY.optimizer, learning_rate=0.1)
    config = dataclasses.replace(TINY, optimizer=moving, validate_every=1, steps=6)
    run_line(tmp_path, config)
    # The same steps, one by one; tests/training/test_training_step.py has them in float64.
    task, clips, batch = LineTask(), LineClips(), next(LineClips())
    step = jax.jit(make_train_step(task, config.optimizer, config.steps, config.seed))
    state = init_state(task, config.optimizer, batch, config.seed)
    best, kept = np.inf, None
    for number in range(1, config.steps + 1):
        state, _ = step(state, next(clips))
        loss, raw = (
            float(jnp.mean(task.loss({"params": params}, batch, step=state.step, key=None).loss))
            for params in (state.average, state.params)
        )
        assert raw != pytest.approx(loss, rel=1e-3)
        assert curve(tmp_path)[number, "validation_loss"] == pytest.approx(loss, rel=1e-5)
        best, kept = min((best, kept), (loss, state.average), key=lambda pair: pair[0])
    params = load_best(tmp_path).variables["params"]
    for name, value in kept.items():
        np.testing.assert_allclose(params[name], value, rtol=1e-5)


def test_a_finished_run_is_not_run_again(tmp_path):
    first = run_line(tmp_path)
    assert run_line(tmp_path) == first


def test_no_step_compiles(tmp_path):
    compiled_at = []
    clips = LineClips()
    monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: (
            compiled_at.append(clips.position)
            if event == "/jax/core/compile/backend_compile_duration"
            else None
        )
    )
    # Log, validation, checkpoint and picture, each several times: what the first compile they keep.
    config = dataclasses.replace(
        TINY, steps=12, validate_every=2, checkpoint_every=4, picture_every=4
    )
    jax.clear_caches()
    train(config, LineTask(), clips, [held_out()], tmp_path)
    assert len(list((tmp_path / "pictures").iterdir())) == 3
    assert compiled_at, "the listener heard nothing"
    assert [position for position in compiled_at if position > 4] == []


def test_segmentation_trains_resumes_and_draws_pictures(tmp_path):
    config = dataclasses.replace(TINY, picture_every=4)
    run_experiment(dataclasses.replace(config, steps=5), tmp_path)
    result = run_experiment(config, tmp_path)
    assert result.step == 8
    assert np.isfinite(result.validation_loss)
    values = curve(tmp_path)
    assert [values[step, "step"] for step in range(1, 9)] == list(range(1, 9))
    assert sorted(p.name for p in (tmp_path / "pictures").iterdir())[0] == "0000004.png"
    assert list(Path(tmp_path / "tensorboard").iterdir())


@pytest.mark.slow
def test_a_run_goes_on_with_other_means_to_save_memory(tmp_path):
    network = dataclasses.replace(TINY.task.network, input="scaled")
    config = dataclasses.replace(
        TINY,
        task=SegmentationConfig(
            network=network,
            motion=MotionModel(spatial="translation", temporal="constant"),
            objective=ObjectiveConfig(penalty="squared", normalisation="pixels"),
        ),
        # Whatever the number of steps.
        optimizer=dataclasses.replace(TINY.optimizer, warmup_steps=1),
        steps=5,
    )
    run_experiment(config, tmp_path / "whole")
    run_experiment(dataclasses.replace(config, steps=2), tmp_path / "parts")
    network = dataclasses.replace(network, remat="blocks")
    saving = dataclasses.replace(segmenting(config, network=network), accumulate=2, steps=4)
    run_experiment(saving, tmp_path / "parts")
    half = dataclasses.replace(network, compute_dtype="bfloat16")
    halved = dataclasses.replace(segmenting(saving, network=half), steps=5)
    run_experiment(halved, tmp_path / "parts")
    whole, parts = curve(tmp_path / "whole"), curve(tmp_path / "parts")
    for step in (1, 2, 3, 4):
        assert parts[step, "loss"] == pytest.approx(whole[step, "loss"], rel=1e-5), step
    assert parts[5, "loss"] == pytest.approx(whole[5, "loss"], rel=2e-2)
    assert parts[5, "loss"] != pytest.approx(whole[5, "loss"], rel=1e-6)
    best = load_best(tmp_path / "parts").variables
    assert {leaf.dtype for leaf in jax.tree.leaves(best)} == {jnp.dtype("float32")}


def test_a_folder_of_another_run_is_refused(tmp_path):
    run_line(tmp_path)
    from jaxmotion.experiments.folder import claim_folder

    claim_folder(TINY, tmp_path)
    claim_folder(dataclasses.replace(TINY, steps=99), tmp_path)
    network = dataclasses.replace(TINY.task.network, remat="norms", compute_dtype="bfloat16")
    claim_folder(dataclasses.replace(segmenting(network=network), accumulate=2), tmp_path)
    wider = dataclasses.replace(TINY.task.network, widths=(8, 16))
    with pytest.raises(InputError, match=r"another configuration \(network.widths: "):
        claim_folder(segmenting(network=wider), tmp_path)
    with pytest.raises(InputError, match=r"another configuration \(batch_size: 4 → 8\)"):
        claim_folder(dataclasses.replace(TINY, batch_size=8), tmp_path)


def test_fewer_steps_than_are_done_are_refused(tmp_path):
    run_line(tmp_path)
    from jaxmotion.experiments.folder import claim_folder

    write_json(tmp_path / "config.json", to_json(TINY))
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(InputError, match=r"--steps 7: the run in .* is at step 8; expected at"):
        claim_folder(dataclasses.replace(TINY, steps=7), tmp_path)
    assert (tmp_path / "config.json").read_text() == before


@pytest.mark.parametrize("schedule", ["constant", "halving", "cosine"])
def test_other_steps_say_how_the_rate_goes_on(tmp_path, capsys, schedule):
    from jaxmotion.experiments.folder import claim_folder

    optimizer = dataclasses.replace(TINY.optimizer, schedule=schedule)
    config = dataclasses.replace(TINY, optimizer=optimizer)
    run_line(tmp_path, config)
    write_json(tmp_path / "config.json", to_json(config))
    claim_folder(config, tmp_path)
    assert capsys.readouterr().err.count("learning rate") == 0
    claim_folder(dataclasses.replace(config, steps=16), tmp_path)
    said = capsys.readouterr().err
    if schedule == "cosine":
        assert said == (
            "--steps 16 instead of 8: the learning rate of the schedule 'cosine' goes on at "
            "0.00122 instead of 0\n"
        )
    else:
        assert said == ""


def test_the_configuration_of_a_later_version_names_file_and_cure(tmp_path):
    from jaxmotion.experiments.folder import claim_folder

    run_line(tmp_path)
    path = tmp_path / "config.json"
    values = to_json(TINY)
    values["task"]["objective"]["new_cost"] = 1.0
    write_json(path, values)
    with pytest.raises(InputError) as caught:
        claim_folder(TINY, tmp_path)
    assert str(caught.value) == (
        f"{path}: a configuration that this version does not know: ObjectiveConfig has no field "
        "new_cost; the version of jaxmotion that wrote it, or a later one, reads it"
    )


def write_flow(folder, seed=0, number=3):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        flow = rng.normal(size=(4, 16, 24, 2)).astype(np.float32)
        np.savez(folder / f"clip{index}.npz", flow=flow)


def on_files(folder, **changes):
    data = dataclasses.replace(TINY.data, source=str(folder), validation_fraction=0.3)
    task = SegmentationConfig(
        network=dataclasses.replace(TINY.task.network, input="scaled"),
        motion=MotionModel("translation", "constant"),
        objective=ObjectiveConfig(normalisation="flow"),
    )
    return dataclasses.replace(TINY, data=data, task=task, **changes)


@pytest.mark.parametrize("stored", [np.float16, np.float32])
def test_flow_stored_in_half_may_travel_in_half_without_changing_anything(tmp_path, stored):
    # Two motions and an unknown corner, at the size of the clips.
    rng = np.random.default_rng(0)
    for number in range(3):
        flow = rng.normal(0, 2, (4, 16, 24, 2))
        valid = np.ones((4, 16, 24), bool)
        valid[:, :3, :5] = False
        write_flow_npz(tmp_path / "flow" / f"s{number}.npz", flow.astype(stored), valid)
    config = on_files(tmp_path / "flow", steps=4)
    stored_wire = dataclasses.replace(config, data=dataclasses.replace(config.data, wire="stored"))
    taken = []
    put = put_batch

    def seen(mesh, spec, batch, **options):
        taken.append({name: array.dtype for name, array in batch.items()})
        return put(mesh, spec, batch, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxmotion.training.program.put_batch", seen)
        run_experiment(config, tmp_path / "float32")
        run_experiment(stored_wire, tmp_path / "stored")
    assert curve(tmp_path / "stored") == curve(tmp_path / "float32")
    # A batch is counted by its flow; the flags of held-out clips are put by themselves.
    travelled = {dtypes["flow"] for dtypes in taken if "flow" in dtypes}
    assert travelled == {np.dtype(np.float32), np.dtype(stored)}


def test_a_run_goes_on_with_its_own_data_only(tmp_path):
    write_flow(tmp_path / "flow")
    config = on_files(tmp_path / "flow", steps=4)
    work = tmp_path / "run"
    run_experiment(config, work)
    stored = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    longer = dataclasses.replace(config, steps=5)

    write_flow(tmp_path / "flow", seed=1)
    with pytest.raises(InputError, match=r"other flow under the same names; .* --start .*run") as e:
        run_experiment(longer, work)
    assert str(e.value).startswith(f"{work}: data position")
    one = np.load(tmp_path / "flow" / "clip1.npz")["flow"]
    write_flow(tmp_path / "flow")
    one[3, 2, 1, 0] += 1e-3
    np.savez(tmp_path / "flow" / "clip1.npz", flow=one)
    with pytest.raises(InputError, match="other flow under the same names"):
        run_experiment(longer, work)
    assert {p: p.stat().st_mtime_ns for p in work.rglob("*") if p.is_file()} == stored

    # The same flow in new files, compressed, is the same data.
    write_flow(tmp_path / "flow")
    for file in (tmp_path / "flow").iterdir():
        np.savez_compressed(file, flow=np.load(file)["flow"])
    assert run_experiment(longer, work).step == 5
    # And the way on that the error names.
    write_flow(tmp_path / "flow", seed=1)
    again = dataclasses.replace(config, start=str(work), steps=1)
    assert run_experiment(again, tmp_path / "other").step == 1


def test_a_run_of_an_earlier_version_says_nothing_of_its_data_and_goes_on(tmp_path):
    write_flow(tmp_path / "flow")
    source = on_files(tmp_path / "flow")
    loader = TrainLoader(open_clips(source)[0], 4, seed=0)
    state = loader.get_state()
    assert state.pop("content")
    loader.set_state(state)
    with pytest.raises(InputError, match="other flow under the same names"):
        loader.set_state(state | {"content": "0"})
    loader.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"start": "nowhere"}, "no checkpoint 'nowhere'"),
        ({"start": "em-k2"}, "its U-net does not fit this network"),
        (
            {"task": SegmentationConfig(network=NetworkConfig(num_masks=1))},
            "num_masks 1: expected at least 2",
        ),
        ({"accumulate": 3}, "expected parts that divide"),
        ({"seed": 1_000_001}, "its scenes are kept"),
    ],
)
def test_what_cannot_begin_leaves_no_folder_and_compiles_nothing(
    tmp_path, monkeypatch, change, words
):
    monkeypatch.setattr("jaxmotion.training.program.compile_ahead", None)
    with pytest.raises(InputError, match=words):
        run_experiment(dataclasses.replace(TINY, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_killed_before_its_first_checkpoint_is_in_nobodys_way(tmp_path):
    from jaxmotion.experiments.folder import claim_folder

    claim_folder(TINY, tmp_path)
    (tmp_path / "checkpoints" / "4.orbax-checkpoint-tmp").mkdir(parents=True)
    claim_folder(dataclasses.replace(TINY, batch_size=8), tmp_path)


def test_a_configuration_of_somebody_elses_is_kept(tmp_path):
    from jaxmotion.experiments.folder import claim_folder

    for text in ('{"mine": 1}', "{}"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(InputError, match=r"config\.json: is there and of no run"):
            claim_folder(TINY, tmp_path)
        assert (tmp_path / "config.json").read_text() == text


def test_a_folder_takes_one_run_at_a_time(tmp_path, monkeypatch):
    from jaxmotion.experiments import folder

    with folder.sole_run(tmp_path):
        for main in (True, False):  # process 0 tells the others
            monkeypatch.setattr(folder, "is_main", lambda main=main: main)
            monkeypatch.setattr(folder, "anywhere", lambda flag, main=main: flag or not main)
            words = "another run is writing" if main else "refused by process 0"
            with pytest.raises(InputError, match=words), folder.sole_run(tmp_path):
                pass
    monkeypatch.undo()
    with folder.sole_run(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_earlier_checkpoints_stay(tmp_path, monkeypatch):
    save = Checkpoints.save

    def full_at_the_second(self, state, data):
        if int(state.step) == 8:

            def refuse(*args, **kwargs):
                raise OSError(28, "No space left on device")

            monkeypatch.setattr(self._newest, "save", refuse)
        return save(self, state, data)

    monkeypatch.setattr(Checkpoints, "save", full_at_the_second)
    with pytest.raises(InputError, match=r"cannot be written, earlier ones are kept: .*No space"):
        run_line(tmp_path)
    monkeypatch.undo()
    checkpoints = Checkpoints(tmp_path, {})
    assert checkpoints.newest_step == 4
    checkpoints.close()
