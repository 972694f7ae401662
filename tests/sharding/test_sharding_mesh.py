"""The mesh, what of a batch each process loads, what each device holds."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.training.config import MeshConfig
from jaxmotion.training.shardings import ProcessShare, make_mesh, pad_frames, process_share

pytestmark = pytest.mark.sharding


def grid(processes: list[int], data: int, time: int) -> SimpleNamespace:
    """Stands for a mesh whose devices belong to these processes."""
    devices = np.array([SimpleNamespace(process_index=p) for p in processes], object)
    shape = {"data": data, "time": time, "model": 1}
    return SimpleNamespace(devices=devices.reshape(data, time, 1), shape=shape)


@pytest.mark.parametrize(
    ("processes", "data", "time", "parts", "count"),
    [
        ([0] * 8, 2, 4, [0], 1),
        ([0, 0, 1, 1], 4, 1, [0, 1], 2),
        ([0, 0, 1, 1], 2, 2, [0, 1], 2),
        ([0, 0, 0, 1, 1, 1], 2, 3, [0, 1], 2),
        ([0, 0, 1, 1], 1, 4, [0, 0], 1),  # both load the clip, each hands over half its frames
        ([0, 0, 1, 1, 2, 2, 3, 3], 2, 4, [0, 0, 1, 1], 2),
    ],
)
def test_processes_with_the_same_rows_load_the_same_clips(processes, data, time, parts, count):
    mesh = grid(processes, data, time)
    shares = [process_share(mesh, 8, process) for process in range(max(processes) + 1)]
    assert shares == [ProcessShare(part, count) for part in parts]


def test_processes_that_cut_across_the_rows_are_refused():
    for processes, data, time in (
        ([0, 0, 0, 0, 1, 1], 2, 3),
        ([0, 0, 0, 1, 1, 1], 3, 2),
        ([0, 0, 0, 0, 1, 1], 3, 2),
    ):
        for process in (0, 1):
            with pytest.raises(InputError, match=r"--mesh\.data"):
                process_share(grid(processes, data, time), 6, process)
    with pytest.raises(InputError, match="--batch_size 3"):
        process_share(grid([0, 1], 2, 1), 3, 0)


@pytest.mark.parametrize(
    ("config", "batch", "named"),
    [
        ({"data": 2}, 2, "--mesh.data 2 .* product is the 1 devices"),
        ({"time": 2}, 2, "--mesh.time 2"),
    ],
)
def test_a_mesh_that_the_devices_do_not_fill_is_refused(config, batch, named):
    with pytest.raises(InputError, match=named):
        make_mesh(MeshConfig(**config), batch, jax.devices()[:1])


@pytest.mark.parametrize("config", [{"data": 0}, {"time": -2}, {"data": -1, "time": -1}])
def test_sizes_that_mean_nothing_are_refused(config):
    with pytest.raises(InputError, match="--mesh"):
        MeshConfig(**config)


def test_padding_fills_up_frames_only():
    clip = np.arange(2 * 9 * 3.0).reshape(2, 9, 3)
    padded = pad_frames(clip, ["B", "T", "H"], 4)
    assert padded.shape == (2, 12, 3)
    np.testing.assert_array_equal(padded[:, :9], clip)
    assert not padded[:, 9:].any()
    assert pad_frames(clip, ["B", "T", "H"], 3) is clip
    assert pad_frames(clip, ["B", "N", "H"], 4) is clip


EIGHT_DEVICES = """
import jax, numpy as np
from jaxmotion.errors import InputError
from jaxmotion.training.shardings import *

mesh = make_mesh(MeshConfig(data=2, time=4), 4)
clips = np.random.default_rng(0).normal(size=(4, 9, 3)).astype(np.float32)
spec = {"flow": "B T H", "label": "B", "scores": "B 7", "image": "B S T"}
batch = {"flow": clips, "label": np.arange(4), "scores": np.ones((4, 7)), "other": None,
         "image": np.ones((4, 2, 9))}
put = put_batch(mesh, spec, batch)
shapes = {name: (x.shape, {s.data.shape for s in x.addressable_shards}) for name, x in put.items()}
assert shapes == {"flow": ((4, 12, 3), {(2, 3, 3)}), "label": ((4,), {(2,)}),
                  "scores": ((4, 7), {(2, 7)}), "image": ((4, 2, 12), {(2, 2, 3)})}, shapes
assert put["flow"].sharding == batch_shardings(mesh, spec)["flow"]
np.testing.assert_array_equal(np.asarray(put["flow"])[:, :9], clips)

state = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in dict(
    kernel=(3, 3, 64, 128), bias=(128,), small=(3, 3, 2, 16), odd=(129, 131), step=()).items()}
spec = lambda mesh, fsdp: {
    name: tuple(s.spec) for name, s in state_shardings(mesh, state, fsdp=fsdp).items()}
whole = {"kernel": (None,) * 4, "bias": (None,), "small": (None,) * 4, "odd": (None,) * 2,
         "step": ()}
assert spec(mesh, False) == whole
assert spec(mesh, True) == whole | {"kernel": (None, None, None, "data")}
mesh = make_mesh(MeshConfig(data=2, time=2, model=2), 4)
assert spec(mesh, True) == whole | {"kernel": (None, None, "data", "model")}
assert [d.id for d in mesh.devices.ravel()] == list(range(8))
for config, batch in ((MeshConfig(), 4), (MeshConfig(data=3), 3)):
    try:
        make_mesh(config, batch)
    except InputError as error:
        print(error)
"""


def test_eight_devices(on_eight_devices):
    first, second = on_eight_devices(EIGHT_DEVICES).splitlines()
    assert first.startswith("--batch_size 4: expected a multiple of the 8 parts")
    assert second.endswith("expected sizes whose product is the 8 devices")
