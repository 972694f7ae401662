"""Weight files of every kind are read the same, under the names of both who publish them."""

import numpy as np
import pytest
from raft_files import WRITERS, random_small, torchvision, write_npz, write_safetensors

from jaxmotion.errors import InputError
from jaxmotion.networks.raft import LARGE, SMALL
from jaxmotion.optical_flow.raft import load_weights, read_tensors


@pytest.fixture(scope="module")
def small():
    return random_small()


def leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def same(one, other):
    one, other = dict(leaves(one)), dict(leaves(other))
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_weights(name, small, tmp_path):
    WRITERS[name](tmp_path / name, {f"module.{key}": array for key, array in small.items()})
    loaded = load_weights(tmp_path / name, SMALL)
    params = loaded["params"]
    kernel = small["fnet.layer2.0.downsample.0.weight"]
    np.testing.assert_array_equal(
        params["fnet"]["layer2_0"]["downsample"]["kernel"], kernel.transpose(2, 3, 1, 0)
    )
    z, r, q = (small[f"update_block.gru.conv{x}.weight"].transpose(2, 3, 1, 0) for x in "zrq")
    gru = params["update"]["gru_0"]
    # (state 96, context 64, motion 82) in; update gate, reset gate, candidate out
    np.testing.assert_array_equal(gru["context"]["kernel"][..., 96:192], r[:, :, 96:160])
    np.testing.assert_array_equal(gru["gates"]["kernel"][:, :, 96:, :96], z[:, :, 160:])
    np.testing.assert_array_equal(gru["candidate"]["kernel"][:, :, :96], q[:, :, :96])
    assert sum(array.size for _, array in leaves(params)) == 990_162  # as published
    assert all(array.dtype == np.float32 for _, array in leaves(params))


def test_names_of_torchvision(small, tmp_path):
    assert torchvision("cnet.layer2.0.conv3.bias") == (
        "context_encoder.layer2.0.convnormrelu3.0.bias"
    )
    write_npz(tmp_path / "official.npz", small)
    write_npz(tmp_path / "tv.npz", {torchvision(name): array for name, array in small.items()})
    official = load_weights(tmp_path / "official.npz", SMALL)
    assert same(load_weights(tmp_path / "tv.npz", SMALL), official)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: cannot be read"):
        load_weights(tmp_path / "none.pth", LARGE)
    with pytest.raises(InputError, match="cannot be read"):
        load_weights(tmp_path, LARGE)


# ----------------------------------------------------------------------------- the published files


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "architecture", "count"),
    [("raft-small", SMALL, 990_162), ("raft-sintel", LARGE, 5_257_536)],
)
def test_the_official_files(shared, name, architecture, count, tmp_path):
    path = shared / "data" / "raft" / f"{name}.pth"
    loaded = load_weights(path, architecture)
    assert sum(array.size for _, array in leaves(loaded["params"])) == count
    tensors = {key.removeprefix("module."): array for key, array in read_tensors(path).items()}
    renamed = {
        torchvision(key): array
        for key, array in tensors.items()
        if not key.endswith("num_batches_tracked") and ".norm3." not in key
    }
    write_safetensors(tmp_path / "tv.safetensors", renamed)
    assert same(load_weights(tmp_path / "tv.safetensors", architecture), loaded)
    other = LARGE if architecture is SMALL else SMALL
    with pytest.raises(InputError, match="network, expected those of the"):
        load_weights(path, other)


@pytest.mark.real
def test_the_official_files_as_torch_reads_them(shared):
    torch = pytest.importorskip("torch")
    for name in ("raft-small", "raft-sintel"):
        path = shared / "data" / "raft" / f"{name}.pth"
        expected = torch.load(path, map_location="cpu", weights_only=True)
        found = read_tensors(path)
        assert found.keys() == expected.keys()
        for key, tensor in expected.items():
            np.testing.assert_array_equal(found[key], tensor.numpy())


def test_what_torch_writes_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    state = {
        "plain": torch.randn(3, 4),
        "part of another": torch.randn(10, 4)[2:5, 1:],
        "turned": torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last),
        "half": torch.randn(7).half(),
        "brain": torch.randn(7).bfloat16(),
        "count": torch.tensor(3),
    }
    for new in (True, False):
        torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
        found = read_tensors(tmp_path / "w.pth")
        for key, tensor in state.items():
            tensor = tensor.float() if key == "brain" else tensor
            np.testing.assert_array_equal(found[key], tensor.numpy())
