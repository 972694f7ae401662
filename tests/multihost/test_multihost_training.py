"""What must hold when several processes train as one (in CI: two, on one machine, short)."""

import re
import signal
from pathlib import Path

import pytest

from jaxmotion.stores import run_place

pytestmark = pytest.mark.multihost

COUNTED = Path(__file__).with_name("counted_train.py")
ENDLESS = 1_000_000
"""Steps of a run that is to be interrupted before its end, however fast or busy the machine."""


def assert_same_curve(parts, whole):
    """The same losses at every step; the rest, which Adam's first steps stir up, nearly."""
    parts, whole = parts.curve(), whole.curve()
    assert parts.keys() == whole.keys()
    for step, name in sorted(whole):
        tolerance = 1e-5 if "loss" in name else 1e-3
        assert parts[step, name] == pytest.approx(whole[step, name], rel=tolerance), (step, name)


def stored_steps(run):
    # Beside them may lie what a killed process was about to store, "4.orbax-checkpoint-tmp".
    names = (path.name for path in (run.workdir / "checkpoints").iterdir())
    return sorted(int(name) for name in names if name.isdigit())


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_two_processes_stop_at_one_signal_and_go_on_as_one(launch, number):
    # How long it goes on does not matter: the last run is told where to stop.
    two = launch("parts", 2, steps=ENDLESS)
    two.wait_for_step(4)
    two.processes[1].send_signal(number)
    assert two.end() == [130, 130], two.text()
    said = {re.search(r"step (\d+) is stored", log.read_text())[1] for log in two.logs}
    assert [str(step) for step in stored_steps(two)] == list(said)
    # Only the main process says what it does, shows progress and writes the log.
    for word in ("compiling the training step", "%|"):
        assert word in two.text(0)
        assert word not in two.text(1)
    assert len(list((two.workdir / "tensorboard").iterdir())) == 1

    steps = int(said.pop()) + 4
    one = launch("parts", steps=steps)
    assert one.end() == [0], one.text()
    assert f"continuing from step {steps - 4}" in one.text()
    assert (one.workdir / "summary.json").exists()
    whole = launch("whole", steps=steps)
    assert whole.end() == [0], whole.text()
    assert_same_curve(one, whole)


def test_no_step_has_a_collective_beside_its_own(launch):
    """However many steps: the processes talk at the start, in pauses and at the end only."""
    asked = []
    for steps in (4, 24):
        often = f"--validate-every {steps} --checkpoint-every {steps}"
        run = launch(f"steps{steps}", 2, steps=steps, more=often, program=COUNTED)
        assert run.end() == [0, 0], run.text()
        asked.append([int(re.search(r"asked (\d+) times", run.text(n))[1]) for n in (0, 1)])
    assert asked[0] == asked[1]
    assert min(asked[0]) > 0, "nothing was counted"


@pytest.mark.slow
def test_two_processes_write_one_checkpoint_into_a_store(launch, gs):
    every = "--validate-every 4"  # where the first two stop, which validate there too
    place = run_place("gs://bucket/two")
    two = launch("two", 2, steps=4, more=every, place=place)
    assert two.end() == [0, 0], two.text()
    assert stored_steps(two) == [4]
    parts = {name.split("/")[3] for name in gs.names("two") if "/ocdbt.process_" in name}
    assert {"ocdbt.process_0", "ocdbt.process_1"} <= parts
    again = launch("two", 2, steps=8, more=every, place=place)
    assert again.end() == [0, 0], again.text()
    assert "continuing from step 4" in again.text()
    assert {"summary.json", "config.json", "metrics.jsonl"} <= set(gs.names("two"))
    assert ".jaxmotion.lock" not in gs.names("two")
    whole = launch("whole", steps=8, more=every)
    assert whole.end() == [0], whole.text()
    assert_same_curve(again, whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stages", "more"),
    [
        ([(2, 2, ""), (1, 2, ""), (2, 2, "")], "--picture-every 3"),
        (
            [
                (1, 8, ""),
                (1, 4, "--accumulate 2 --network.remat norms"),  # to fit on half the devices
                (1, 8, "--mesh.fsdp"),
            ],
            "",
        ),
        (
            [(2, 2, "--mesh.data 1 --mesh.time 4"), (1, 2, ""), (2, 2, "--mesh.time 2")],
            "--data.clip-length 5 --network.kernel 3 3 3",
        ),
    ],
    ids=["two, one, two processes", "8, 4, 8 devices", "clips shared by processes"],
)
def test_a_run_goes_on_whatever_the_topology(launch, stages, more):
    more += " --validate-every 4"  # where the stages end, which validate there too
    whole = launch("whole", steps=4 * len(stages), more=more)
    assert whole.end() == [0], whole.text()
    for number, (count, devices, mesh) in enumerate(stages, 1):
        part = launch("parts", count, steps=4 * number, devices=devices, more=f"{more} {mesh}")
        assert part.end() == [0] * count, part.text()
    assert_same_curve(part, whole)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_and_the_run_goes_on(launch, victim):
    run = launch("killed", 2, steps=ENDLESS, more="--checkpoint-every 2")
    run.wait_for_step(5)
    run.processes[victim].kill()
    statuses = run.end()
    assert statuses[victim] == -signal.SIGKILL
    assert statuses[1 - victim] not in (0, 130)
    assert re.search("another (task died|one ended first)", run.text(1 - victim))
    stored = stored_steps(run)
    steps = max(stored) + 2
    one = launch("killed", steps=steps)
    assert one.end() == [0], one.text()
    assert f"continuing from step {max(stored)}" in one.text()
    whole = launch("whole", steps=steps)
    assert whole.end() == [0], whole.text()
    assert {step for step, name in one.curve() if name == "loss"} == set(range(1, steps + 1))
    assert one.curve()[steps, "loss"] == pytest.approx(whole.curve()[steps, "loss"], rel=1e-5)


@pytest.mark.slow
def test_two_processes_leave_a_checkpoint_cut_short_for_the_one_before(launch):
    run = launch("cut", 2, steps=6, more="--checkpoint-every 3")
    assert run.end() == [0, 0], run.text()
    for file in (run.workdir / "checkpoints" / "6" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:10])
    again = launch("cut", 2, steps=8)
    assert again.end() == [0, 0], again.text()
    assert "checkpoint 6 cannot be read" in again.text(0)
    assert "continuing from step 3" in again.text(0)
    assert {step for step, name in again.curve() if name == "loss"} == set(range(1, 9))


@pytest.mark.slow
def test_what_is_wrong_with_one_process_ends_all(launch):
    run = launch("wrong", 2, steps=6, last="--data.source nowhere")
    statuses = run.end()
    assert statuses[1] == 2
    assert run.text(1).count("error: nowhere: no such file or folder") == 1
    assert statuses[0] not in (0, 130)
    assert "another task died" in run.text(0)
