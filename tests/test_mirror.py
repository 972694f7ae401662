"""Copies of what lies in a store: what is there is what is here, and nothing is fetched twice."""

import shutil
from pathlib import Path

import fsspec
import jax
import numpy as np
import pytest

import jaxmotion as jm
from jaxmotion import mirror
from jaxmotion.data.sources import open_source
from jaxmotion.errors import InputError
from jaxmotion.evaluation.suite import network
from jaxmotion.mirror import local_copy, named
from jaxmotion.models.files import read_model, write_model
from jaxmotion.models.loading import load_trained
from jaxmotion.optical_flow import write_flow_npz


@pytest.fixture
def memory(own_cache):
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def fetched(monkeypatch, memory):
    """The names of what is fetched."""
    names = []
    get_file = type(memory).get_file

    def noted(self, remote, local, **options):
        names.append(remote)
        return get_file(self, remote, local, **options)

    monkeypatch.setattr(type(memory), "get_file", noted)
    return names


def contents(folder: Path):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_copy_follows_what_is_there(memory, fetched):
    memory.pipe({"/a/b/one.txt": b"1", "/a/b/c/two.txt": b"2"})
    copy = local_copy("memory://a/b/")
    assert copy.name == "b"
    assert contents(copy) == {"one.txt": b"1", "c/two.txt": b"2"}
    fetched.clear()
    assert local_copy("memory://a/b") == copy
    assert not fetched
    memory.pipe("/a/b/one.txt", b"3")  # of the same length
    memory.rm("/a/b/c/two.txt")
    assert contents(local_copy("memory://a/b")) == {"one.txt": b"3"}
    assert fetched == ["/a/b/one.txt"]


def test_what_was_lost_or_not_needed(memory, fetched):
    memory.pipe({"/a/x": b"1", "/a/y": b"2"})
    copy = local_copy("memory://a", lambda names: [n for n in names if n == "x"])
    assert contents(copy) == {"x": b"1"}
    assert contents(local_copy("memory://a")) == {"x": b"1", "y": b"2"}
    (copy / "y").unlink()
    fetched.clear()
    assert contents(local_copy("memory://a")) == {"x": b"1", "y": b"2"}
    assert fetched == ["/a/y"]


def test_one_file(memory, fetched):
    memory.pipe("/a/file.bin", b"12")
    assert local_copy("memory://a/file.bin").read_bytes() == b"12"
    local_copy("memory://a/file.bin")
    assert fetched == ["/a/file.bin"]


def test_a_copy_that_was_interrupted_goes_on(memory, fetched, monkeypatch):
    memory.pipe({f"/a/{n}": bytes([n]) for n in range(5)})
    get_file = type(memory).get_file

    def broken(self, remote, local, **options):
        if remote == "/a/3":
            Path(local).write_bytes(b"half")
            raise ConnectionError("gone")
        return get_file(self, remote, local, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "get_file", broken)
        with pytest.raises(InputError, match=r"^memory://a: the store says: gone$"):
            local_copy("memory://a")
    copy = local_copy("memory://a")
    assert contents(copy) == {str(n): bytes([n]) for n in range(5)}


def test_what_is_wrong_is_one_line(memory, monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"^memory://no/where: nothing is there"):
        local_copy("memory://no/where")
    with pytest.raises(InputError, match=r"^nosuch://x: nosuch:// cannot be read"):
        local_copy("nosuch://x")
    memory.pipe("/a/big", b"123")
    usage = shutil.disk_usage(tmp_path)._replace(free=2)
    monkeypatch.setattr(mirror.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(InputError, match=r"^memory://a: 0.0 GB to fetch.*XDG_CACHE_HOME"):
        local_copy("memory://a")
    copy = tmp_path / "a"
    with pytest.raises(InputError, match=r"^memory://a/x: wrong$"), named(copy, "memory://a"):
        raise InputError(f"{copy}/x: wrong")


def put(memory, folder: Path, place: str):
    for name, content in contents(folder).items():
        memory.pipe(f"/{place}/{name}", content)


@pytest.fixture
def davis(tmp_path):
    root, rng = tmp_path / "DAVIS", np.random.default_rng(0)
    for name in ("a", "b", "c"):
        write_flow_npz(root / "Flows/raft" / f"{name}.npz", rng.normal(0, 3, (4, 8, 12, 2)))
        write_flow_npz(root / "Flows/other" / f"{name}.npz", rng.normal(0, 3, (4, 8, 12, 2)))
    (root / "ImageSets").mkdir()
    (root / "ImageSets/train.txt").write_text("a\nc\n")
    (root / "JPEGImages").mkdir()
    (root / "JPEGImages/large.jpg").write_bytes(b"1" * 1000)
    return root


@pytest.mark.parametrize("options", [{"flow": "raft", "split": "train"}, {"flow": "other"}])
def test_flow_in_a_store_gives_the_clips_of_the_folder(davis, memory, fetched, options):
    put(memory, davis, "data/DAVIS")
    there = open_source("memory://data/DAVIS", clip_length=2, **options)
    here = open_source(davis, clip_length=2, **options)
    assert len(there) == len(here)
    assert there.fingerprint() == here.fingerprint()
    for one, other in zip(there, here, strict=True):
        assert one["name"] == other["name"]
        np.testing.assert_array_equal(one["flow"], other["flow"])
    assert not [name for name in fetched if "JPEG" in name]
    assert not [name for name in fetched if "/Flows/" in name and options["flow"] not in name]


def test_errors_of_flow_name_the_place_in_the_store(memory):
    memory.pipe("/data/x.npz", b"damaged")
    with pytest.raises(InputError, match=r"^memory://data/x\.npz"):
        open_source("memory://data/x.npz")


def test_a_run_and_its_file_load_from_a_store(untrained_run, memory, tmp_path):
    put(memory, untrained_run, "runs/em")
    trained = load_trained(untrained_run)
    file = tmp_path / "model.safetensors"
    write_model(file, trained, part_bytes=400)
    assert len(list(tmp_path.glob("model.part*"))) > 1
    for path in tmp_path.glob("model*"):
        memory.pipe(f"/models/{path.name}", path.read_bytes())
    flow = np.random.default_rng(0).normal(size=(1, 40, 64, 2)).astype(np.float32)
    expected = jm.load(untrained_run)(flow)
    np.testing.assert_array_equal(jm.load("memory://runs/em")(flow), expected)
    np.testing.assert_array_equal(jm.load("memory://runs/em/best")(flow), expected)
    names = {"memory://runs/em": "em", "mine=memory://runs/em": "mine"}
    for checkpoint, name in names.items():
        assert (network(checkpoint).name, network(checkpoint).source) == (name, "memory://runs/em")
    there = load_trained("memory://models/model.safetensors")
    here = read_model(file)
    jax.tree.map(np.testing.assert_array_equal, there.params, here.params)


def test_no_model_in_a_store_is_one_line(memory):
    memory.pipe({"/models/x.safetensors": b"damaged", "/empty/readme": b""})
    with pytest.raises(InputError, match=r"^memory://models/x\.safetensors: truncated or damaged"):
        load_trained("memory://models/x.safetensors")
    with pytest.raises(InputError, match=r"^memory://empty: no checkpoint here"):
        load_trained("memory://empty")
