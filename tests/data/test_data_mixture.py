import numpy as np
import pytest

from jaxmotion.data import FlowSource, SceneSource, open_sources
from jaxmotion.data.clips import is_stored_in_half
from jaxmotion.data.mixture import MixedSource
from jaxmotion.errors import InputError
from jaxmotion.optical_flow import write_flo, write_flow_npz


@pytest.fixture
def folder(tmp_path):
    for name in ("climb", "run", "walk"):
        flow = np.random.default_rng(0).normal(size=(6, 8, 12, 2)).astype(np.float16)
        write_flow_npz(tmp_path / f"{name}.npz", flow)
    return tmp_path


def names(source, indices):
    return [source[i]["name"].split("/")[0] for i in indices]


def test_sources_take_turns_and_the_short_one_goes_round_again(folder):
    source = open_sources(f"{folder},scenes:hard+long", size=(8, 12), num_scenes=50)
    assert len(source) == 100
    assert names(source, range(5)) == ["climb", "hard", "climb", "long", "climb"]
    real = [source[i]["name"] for i in range(0, 100, 2)]
    assert real[:18] == real[18:36]
    assert len(set(real)) == 18
    assert {source[i]["flow"].shape for i in range(4)} == {(1, 8, 12, 2)}
    with pytest.raises(IndexError):
        source[100]


def test_flow_is_stored_in_half_where_all_of_it_is(folder):
    def half(*specs):
        return is_stored_in_half(open_sources(",".join(map(str, specs)), size=(8, 12)))

    assert half(folder)
    assert half(folder / "run.npz")
    assert all(is_stored_in_half(part) for part in open_sources(folder).hold_out(0.3))
    assert not half(folder, "scenes:default")
    flow = np.zeros((6, 8, 12, 2), np.float32)
    write_flo(folder / "flo" / "walk" / "00000.flo", flow[0])
    assert half(folder, folder / "climb.npz")
    assert not half(folder / "flo")
    write_flow_npz(folder / "single.npz", flow)
    assert not half(folder)


def test_each_source_is_held_out_by_itself(folder):
    train, held = open_sources(f"{folder},scenes:default", size=(8, 12), num_scenes=40).hold_out(
        0.25
    )
    assert isinstance(held, MixedSource)
    kept, validated = (
        {c["name"] for c in map(s.__getitem__, range(len(s)))} for s in (train, held)
    )
    assert not kept & validated
    assert {name.split("/")[0] for name in validated} >= {"default"}
    assert len({name.split("/")[0] for name in kept | validated}) == 4


def test_one_source_stays_what_it_is(folder, tmp_path):
    assert isinstance(open_sources("scenes:default"), SceneSource)
    assert isinstance(open_sources(folder), FlowSource)
    # A comma in the name of a folder that is there.
    odd = folder.rename(folder.with_name("a,b"))
    assert isinstance(open_sources(odd), FlowSource)


def test_a_source_that_is_not_there_is_named(folder):
    with pytest.raises(InputError, match="nowhere"):
        open_sources(f"{folder},nowhere", size=(8, 12))
    with pytest.raises(InputError, match="unknown level"):
        open_sources(f"{folder},scenes:easiest", size=(8, 12))
