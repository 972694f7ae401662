"""Runs in an object store: the same results, whole checkpoints, one run at a time."""

import dataclasses
import importlib.util
import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from test_training_loop import TINY, curve, run_line

from jaxmotion import leases
from jaxmotion.errors import InputError
from jaxmotion.experiments.folder import check_folder, claim_folder, sole_run
from jaxmotion.experiments.seeds import run_seeds
from jaxmotion.locks import locked
from jaxmotion.models.loading import find_trained
from jaxmotion.stores import get_bytes, run_place
from jaxmotion.training.checkpoints import stored_steps
from jaxmotion.training.kept import load_best
from jaxmotion.training.metrics import append_metrics, read_json, write_json

SHORT = dataclasses.replace(TINY, steps=4)


@pytest.fixture
def place(gs, request):
    """A place of the test's own."""
    return run_place(f"gs://bucket/{re.sub('[^a-z_]', '_', request.node.name)}")


def names(gs, place):
    return gs.names(str(place).removeprefix("gs://bucket/"))


def test_a_run_in_a_store_is_continued_and_ends_as_one_on_a_disk(gs, place, tmp_path, own_cache):
    run_line(place, SHORT)
    assert stored_steps(place) == [4]
    run_line(place)
    run_line(tmp_path / "disk")
    assert curve(place) == curve(tmp_path / "disk")
    assert stored_steps(place) == [4, 8]
    assert any(name.startswith("tensorboard/events") for name in names(gs, place))
    assert not [name for name in names(gs, place) if "tmp" in name or "part" in name]
    there, here = load_best(find_trained(str(place))), load_best(tmp_path / "disk")
    assert there.step == here.step
    assert there.values == here.values
    np.testing.assert_array_equal(there.variables["params"]["a"], here.variables["params"]["a"])


@pytest.mark.usefixtures("own_cache")
def test_a_profile_gets_there_as_the_log_does(gs, place):
    if importlib.util.find_spec("libtpu") and os.environ.get("JAX_PLATFORMS") != "cpu":
        pytest.skip("libtpu is installed: JAX_PLATFORMS=cpu runs this")
    run_line(place, dataclasses.replace(SHORT, profile_steps="3:9"))
    traces = [name for name in names(gs, place) if name.startswith("tensorboard/plugins/profile/")]
    assert any(name.endswith(".xplane.pb") for name in traces)


def test_a_checkpoint_without_its_last_object_does_not_count(gs, place, tmp_path, own_cache):
    run_line(place)
    root = str(place).removeprefix("gs://bucket/")
    del gs.objects[f"{root}/checkpoints/8/commit_success.txt"]  # as if killed while it was written
    assert stored_steps(place) == [4]
    run_line(place, dataclasses.replace(TINY, steps=12))
    run_line(tmp_path / "disk", dataclasses.replace(TINY, steps=12))
    assert curve(place) == curve(tmp_path / "disk")
    assert stored_steps(place) == [8, 12]
    for name in names(gs, place):  # nor does a kept network
        if re.fullmatch(r"best/\d+/commit_success.txt", name):
            gs.objects[f"{root}/best/99/commit_success.txt/leftover"] = b"", 1
    assert load_best(find_trained(str(place))).step != 99


def test_a_damaged_checkpoint_is_put_aside(gs, place, caplog):
    run_line(place)
    root = str(place).removeprefix("gs://bucket/")
    for name in names(gs, place):
        if name.startswith("checkpoints/8/state/"):
            gs.objects[f"{root}/{name}"] = b"damaged", 1
    with caplog.at_level("WARNING"):
        run_line(place, dataclasses.replace(TINY, steps=9))
    assert "checkpoint 8 cannot be read" in caplog.text
    assert f"checkpoint 8 is kept in {place}/unreadable/8" in caplog.text
    assert "unreadable/8/commit_success.txt" in names(gs, place)
    assert stored_steps(place) == [8, 9]


def test_a_store_that_refuses_is_one_line(gs, place):
    run_line(place, SHORT)
    gs.refuses = re.compile("checkpoints/8")
    try:
        with pytest.raises(InputError, match=r"cannot be written, earlier ones are kept.*no room"):
            run_line(place)
    finally:
        gs.refuses = None
    assert stored_steps(place) == [4]
    nowhere = run_place("gs://other-bucket/x")
    with pytest.raises(InputError, match=r"^gs://other-bucket/.*nothing there"), locked(nowhere):
        pass


def test_a_log_that_is_not_taken_is_tried_again(gs, place, capsys, monkeypatch):
    monkeypatch.setattr("jaxmotion.training.outbox.SECONDS", 0.05)
    from jaxmotion.training.metrics import MetricsLog

    gs.refuses = re.compile("metrics.jsonl")
    try:
        log = MetricsLog(place, 0)
        log.write(1, {"loss": 1.0})
        deadline = time.monotonic() + 60
        said = ""
        while "stays behind" not in said and time.monotonic() < deadline:
            time.sleep(0.05)
            said += capsys.readouterr().err
    finally:
        gs.refuses = None
    log.write(2, {"loss": 0.5})
    log.close()
    assert said.count("stays behind") == 1
    assert curve(place)[2, "loss"] == 0.5


def test_the_files_of_a_run(place):
    write_json(place / "summary.json", {"steps": 3})
    assert read_json(place / "summary.json") == {"steps": 3}
    append_metrics(place, 3, {"iou": 0.5})
    append_metrics(place, 3, {"iou": 0.5})
    assert (place / "metrics.jsonl").read_text() == '{"step": 3, "iou": 0.5}\n'
    with pytest.raises(InputError, match="not a readable JSON file"):
        read_json(place / "missing.json")
    claim_folder(TINY, place)
    assert check_folder(TINY, place) is None
    run_line(place, SHORT)
    with pytest.raises(InputError, match="holds a run with another configuration"):
        check_folder(dataclasses.replace(TINY, batch_size=2), place)


def test_one_run_at_a_time(gs, place, capsys, monkeypatch):
    monkeypatch.setattr(leases, "PERIOD", 0.1)
    monkeypatch.setattr(leases, "PATIENCE", 5.0)
    words = f"{place}/?: another run is writing there"
    with sole_run(place):
        with pytest.raises(InputError, match=words), sole_run(place):
            pass
        assert ".jaxmotion.lock" in names(gs, place)
    assert ".jaxmotion.lock" not in names(gs, place)
    with locked(place, "file"), locked(place):  # another lock
        pass
    assert "locked by" in capsys.readouterr().err


def test_the_lock_of_a_run_that_was_killed_is_taken_over(place, monkeypatch):
    monkeypatch.setattr(leases, "PATIENCE", 0.4)
    write_json(place / ".jaxmotion.lock", {"holder": "a dead one", "token": "x", "renewals": 7})
    before = time.monotonic()
    with locked(place):
        note = json.loads(get_bytes(place / ".jaxmotion.lock") or b"")
        assert note["token"] != "x"
    assert time.monotonic() - before >= 0.4


def test_who_lost_the_lock_ends(place, monkeypatch, capsys):
    monkeypatch.setattr(leases, "PERIOD", 0.05)
    told = threading.Event()
    earlier = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        with locked(place):
            write_json(place / ".jaxmotion.lock", {"holder": "another", "token": "x"})
            assert told.wait(60)
    finally:
        signal.signal(signal.SIGTERM, earlier)
    assert "another run has taken over" in capsys.readouterr().err
    assert json.loads(get_bytes(place / ".jaxmotion.lock") or b"")["token"] == "x"


def test_of_two_that_want_the_lock_at_once_one_gets_it(place, monkeypatch):
    monkeypatch.setattr(leases, "PERIOD", 0.1)
    monkeypatch.setattr(leases, "PATIENCE", 5.0)
    holding, refused = [], []
    done = threading.Barrier(4)

    def run():
        try:
            with locked(place):
                holding.append(1)
                done.wait(60)
        except InputError:
            refused.append(1)
            done.wait(60)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(holding), len(refused)) == (1, 3)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("s3://bucket/run", r"expected a folder, or gs://BUCKET/FOLDER"),
        ("gs://", r"expected a folder, or gs://BUCKET/FOLDER"),
        (Path("gs://bucket/run"), r"gs:/bucket/run: `Path` makes one slash of two"),
    ],
)
def test_no_place_for_a_run(where, words):
    with pytest.raises(InputError, match=words):
        run_place(where)


def test_a_missing_package_is_one_line(monkeypatch):
    def absent(scheme):
        raise ImportError(f"Please install {scheme}")

    monkeypatch.setattr("fsspec.get_filesystem_class", absent)
    with pytest.raises(InputError, match=r"^gs://b/run: gs:// needs `pip install gcsfs`$"):
        run_place("gs://b/run")


def test_what_needs_a_disk_says_so(place):
    with pytest.raises(InputError, match="--seeds 2: expected a folder of a disk"):
        run_seeds(TINY, place, 2)


def test_a_folder_of_a_disk_stays_a_path(tmp_path):
    assert run_place(str(tmp_path)) == tmp_path
    assert isinstance(run_place("runs/x"), Path)
    assert os.fspath(run_place(tmp_path)) == str(tmp_path)
