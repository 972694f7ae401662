"""Weight files, right and wrong: what is read, what is refused, and that nothing in them runs."""

import collections
import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.optical_flow.raft import LARGE, SMALL, load_weights, read_tensors

# ------------------------------------------------------------- a writer of .pth files, by opcodes


class Program:
    """A pickle written by hand, as PyTorch and as an attacker would."""

    def __init__(self):
        self.code = b"\x80\x02"

    def name(self, module, name):
        self.code += f"c{module}\n{name}\n".encode()
        return self

    def text(self, text):
        data = text.encode()
        self.code += b"X" + struct.pack("<I", len(data)) + data
        return self

    def number(self, value):
        self.code += b"\x8a\x08" + struct.pack("<q", value)
        return self

    def numbers(self, values):
        self.code += b"("
        for value in values:
            self.number(value)
        self.code += b"t"
        return self

    def tensor(self, key, shape, strides=None, length=None, offset=0, legacy=False):
        count = int(np.prod(shape))
        if strides is None:
            strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
        self.name("torch._utils", "_rebuild_tensor_v2")
        self.code += b"(("
        self.text("storage").name("torch", "FloatStorage").text(key).text("cpu")
        self.number(count if length is None else length)
        self.code += b"NtQ" if legacy else b"tQ"
        self.number(offset).numbers(shape).numbers(strides)
        self.code += b"\x89"
        self.name("collections", "OrderedDict")
        self.code += b")RtR"
        return self

    def dictionary(self, write_items):
        self.name("collections", "OrderedDict")
        self.code += b")R("
        write_items(self)
        self.code += b"u."
        return self.code


def state_program(tensors, legacy=False):
    def items(program):
        for index, (name, array) in enumerate(tensors.items()):
            program.text(name).tensor(str(index), array.shape, legacy=legacy)

    return Program().dictionary(items)


def write_zip(path, program, storages=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        for index, array in enumerate(storages):
            archive.writestr(f"archive/data/{index}", np.asarray(array, "<f4").tobytes())
        archive.writestr("archive/version", "3\n")


def write_pth(path, tensors):
    write_zip(path, state_program(tensors), tensors.values())


def write_legacy(path, tensors):
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    with open(path, "wb") as file:
        for head in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(head, file, protocol=2)
        file.write(state_program(tensors, legacy=True))
        pickle.dump([str(i) for i in range(len(tensors))], file, protocol=2)
        for array in tensors.values():
            file.write(struct.pack("<q", array.size) + array.astype("<f4").tobytes())


def write_safetensors(path, tensors):
    header, data = {"__metadata__": {"made": "by a test"}}, b""
    for name, array in tensors.items():
        chunk = array.astype("<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": array.shape,
            "data_offsets": [len(data), len(data) + len(chunk)],
        }
        data += chunk
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_npz(path, tensors):
    with open(path, "wb") as file:
        np.savez(file, **tensors)


WRITERS = {
    "zip.pth": write_pth,
    "legacy.pth": write_legacy,
    "w.safetensors": write_safetensors,
    "w.npz": write_npz,
}

# ---------------------------------------------------------------- names and shapes, independently


def convolution(name, out, inputs, height, width=None):
    return {f"{name}.weight": (out, inputs, height, width or height), f"{name}.bias": (out,)}


def batch_norm(name, channels):
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean")} | {
        f"{name}.running_var": (channels,)
    }


def small_encoder(name, out):
    shapes = convolution(f"{name}.conv1", 32, 3, 7)
    before = 32
    for pair, width in enumerate((32, 64, 96), start=1):
        for index in range(2):
            block, narrow = f"{name}.layer{pair}.{index}", width // 4
            shapes |= convolution(f"{block}.conv1", narrow, before, 1)
            shapes |= convolution(f"{block}.conv2", narrow, narrow, 3)
            shapes |= convolution(f"{block}.conv3", width, narrow, 1)
            if pair > 1 and index == 0:
                shapes |= convolution(f"{block}.downsample.0", width, before, 1)
            before = width
    return shapes | convolution(f"{name}.conv2", out, 96, 1)


def small_shapes():
    """Names and shapes of the official small network."""
    update = "update_block"
    shapes = small_encoder("fnet", 128) | small_encoder("cnet", 160)
    shapes |= convolution(f"{update}.encoder.convc1", 96, 196, 1)
    shapes |= convolution(f"{update}.encoder.convf1", 64, 2, 7)
    shapes |= convolution(f"{update}.encoder.convf2", 32, 64, 3)
    shapes |= convolution(f"{update}.encoder.conv", 80, 128, 3)
    for letter in "zrq":
        shapes |= convolution(f"{update}.gru.conv{letter}", 96, 242, 3)
    shapes |= convolution(f"{update}.flow_head.conv1", 128, 96, 3)
    return shapes | convolution(f"{update}.flow_head.conv2", 2, 128, 3)


@pytest.fixture(scope="module")
def small():
    """Random weights of the small network under official names."""
    rng = np.random.default_rng(0)
    shapes = small_shapes()
    return {name: rng.normal(0, 0.05, shape).astype("f4") for name, shape in shapes.items()}


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


def torchvision(name):
    """The official name as torchvision has it, by hand for the few kinds that there are."""
    encoder = {"fnet": "feature_encoder", "cnet": "context_encoder"}
    head, _, rest = name.partition(".")
    if head in encoder:
        words = rest.split(".")
        if words[0] in ("conv1", "norm1"):
            words[0] = "convnormrelu." + ("0" if words[0] == "conv1" else "1")
        elif words[0] == "conv2":
            words[0] = "conv"
        elif words[2].startswith(("conv", "norm")):
            kind, number = words[2][:4], words[2][4:]
            words[2] = f"convnormrelu{number}." + ("0" if kind == "conv" else "1")
        return ".".join([encoder[head], *words])
    words = name.split(".")
    if words[1] == "encoder":
        words[1] = "motion_encoder"
        words[2] = words[2].replace("convc", "convcorr").replace("convf", "convflow") + ".0"
    elif words[1] == "gru":
        letter, number = words[2][4], words[2][5:] or "1"
        words[1:3] = ["recurrent_block", f"convgru{number}", f"conv{letter}"]
    elif words[1] == "mask":
        return ".".join(["mask_predictor", "convrelu.0" if words[2] == "0" else "conv", words[3]])
    return ".".join(words)


def test_names_of_torchvision(small, tmp_path):
    assert torchvision("cnet.layer2.0.conv3.bias") == (
        "context_encoder.layer2.0.convnormrelu3.0.bias"
    )
    write_npz(tmp_path / "official.npz", small)
    write_npz(tmp_path / "tv.npz", {torchvision(name): array for name, array in small.items()})
    official = load_weights(tmp_path / "official.npz", SMALL)
    assert same(load_weights(tmp_path / "tv.npz", SMALL), official)


def damage_truncated(path, small):
    write_pth(path, small)
    path.write_bytes(path.read_bytes()[:-2000])


def damage_cut_to_its_head(path, small):
    write_pth(path, small)
    path.write_bytes(path.read_bytes()[:200])


def damage_legacy_truncated(path, small):
    write_legacy(path, small)
    path.write_bytes(path.read_bytes()[:-2000])


def damage_safetensors_truncated(path, small):
    write_safetensors(path, small)
    path.write_bytes(path.read_bytes()[:-2000])


def damage_safetensors_header(path, small):
    path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}" + bytes(50))


def damage_npz_truncated(path, small):
    write_npz(path, small)
    path.write_bytes(path.read_bytes()[:-2000])


def damage_npz_of_objects(path, small):
    with open(path, "wb") as file:
        np.savez(file, x=np.array([{}], object))


def damage_no_weights(path, small):
    path.write_text("<html>not found</html>")


def damage_empty(path, small):
    path.write_bytes(b"")


def damage_missing_key(path, small):
    write_pth(path, {k: v for k, v in small.items() if k != "cnet.layer1.0.conv2.bias"})


def damage_shape(path, small):
    write_pth(path, small | {"fnet.conv2.weight": np.zeros((128, 97, 1, 1), "f4")})


def damage_gru_shape(path, small):
    write_npz(path, small | {"update_block.gru.convr.weight": np.zeros((96, 240, 3, 3), "f4")})


def damage_nan(path, small):
    write_pth(path, small | {"fnet.conv2.bias": np.full(128, np.nan, "f4")})


def damage_integers(path, small):
    write_npz(path, small | {"fnet.conv2.bias": np.zeros(128, "i8")})


def damage_more_than_raft(path, small):
    write_pth(path, small | {"att.to_v.weight": np.zeros((128, 128, 1, 1), "f4")})


def damage_other_network(path, small):
    large = {k.replace(".gru.convz.", ".gru.convz1."): v for k, v in small.items()}
    write_pth(path, large | {"update_block.gru.convz2.weight": np.zeros((128, 384, 5, 1), "f4")})


def damage_short_storage(path, small):
    def items(program):
        program.text("fnet.conv2.bias").tensor("0", (128,))

    write_zip(path, Program().dictionary(items), [np.zeros(127)])


def damage_stride_beyond_the_storage(path, small):
    def items(program):
        program.text("fnet.conv2.bias").tensor("0", (128,), strides=(1000,), length=128)

    write_zip(path, Program().dictionary(items), [np.zeros(128)])


def damage_tensor_out_of_nothing(path, small):
    def items(program):
        program.text("fnet.conv2.bias").tensor("0", (1 << 40,), strides=(0,), length=1)

    write_zip(path, Program().dictionary(items), [np.zeros(1)])


def damage_number_in_the_place_of_a_tensor(path, small):
    write_zip(path, Program().dictionary(lambda program: program.text("epoch").number(3)))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_truncated, "truncated or damaged"),
        (damage_cut_to_its_head, "truncated or damaged"),
        (damage_legacy_truncated, "truncated or damaged"),
        (damage_safetensors_truncated, "truncated or damaged"),
        (damage_safetensors_header, "truncated or damaged"),
        (damage_npz_truncated, "truncated or damaged"),
        (damage_npz_of_objects, "truncated or damaged"),
        (damage_no_weights, "not a weight file"),
        (damage_empty, "not a weight file"),
        (damage_missing_key, "has no tensor 'cnet.layer1.0.conv2.bias'"),
        (damage_shape, "fnet.conv2.weight is (128, 97, 1, 1), expected (128, 96, 1, 1)"),
        (damage_gru_shape, "gru.convr.weight is (96, 240, 3, 3), expected (96, 242, 3, 3)"),
        (damage_nan, "fnet.conv2.bias holds integers, NaN"),
        (damage_integers, "fnet.conv2.bias holds integers, NaN"),
        (damage_more_than_raft, "holds 'att.to_v.weight', which RAFT does not have"),
        (damage_other_network, "weights of the large RAFT network, expected those of the small"),
        (damage_short_storage, "truncated or damaged"),
        (damage_stride_beyond_the_storage, "truncated or damaged"),
        (damage_tensor_out_of_nothing, "truncated or damaged"),
        (damage_number_in_the_place_of_a_tensor, "'epoch' is no tensor"),
    ],
)
def test_a_wrong_file_is_one_line(damage, words, small, tmp_path):
    path = tmp_path / "file.pth"
    damage(path, small)
    with pytest.raises(InputError) as caught:
        load_weights(path, SMALL)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth: cannot be read"):
        load_weights(tmp_path / "none.pth", LARGE)
    with pytest.raises(InputError, match="cannot be read"):
        load_weights(tmp_path, LARGE)


# --------------------------------------------------------------------- what must never be executed


def call(module, name, *arguments):
    """A pickle that calls a function when it is loaded by an ordinary unpickler."""
    program = Program().name(module, name)
    program.code += b"("
    for argument in arguments:
        program.text(argument)
    program.code += b"tR."
    return program.code


def stack_global(module, name, argument):
    """The same by the newer instruction for names."""
    program = Program()
    program.code = b"\x80\x04"
    program.text(module).text(name)
    program.code += b"\x93("
    program.text(argument)
    program.code += b"tR."
    return program.code


def instance(module, name, argument):
    """The same by the oldest one."""
    program = Program()
    program.code += b"("
    program.text(argument)
    program.code += f"i{module}\n{name}\n.".encode()
    return program.code


class Innocent(collections.OrderedDict):
    """A dictionary of tensors that runs something on the way."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def __reduce__(self):
        return (io.open, (self.path, "w"))


@pytest.mark.parametrize("container", ["zip", "legacy", "bare"])
@pytest.mark.parametrize(
    "attack",
    [
        lambda path: call("builtins", "eval", f"open({path!r}, 'w').close()"),
        lambda path: call("os", "system", f"touch {path}"),
        lambda path: call("posix", "system", f"touch {path}"),
        lambda path: stack_global("builtins", "exec", f"open({path!r}, 'w').close()"),
        lambda path: instance("os", "system", f"touch {path}"),
        lambda path: pickle.dumps(Innocent(path)),
        lambda path: call("torch", "load", path),
        lambda path: call("torch.storage", "_load_from_bytes", path),
        # by the attributes of a name that is allowed
        lambda path: stack_global("collections", "OrderedDict.fromkeys.__self__", path),
        lambda path: call("collections", "_sys"),
    ],
)
def test_a_malicious_pickle_is_refused_and_does_nothing(container, attack, tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    program = attack(str(trace))
    if container == "zip":
        write_zip(path, program)
    elif container == "bare":
        path.write_bytes(program)
    else:
        with open(path, "wb") as file:
            for head in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
                pickle.dump(head, file, protocol=2)
            file.write(program)
    with pytest.raises(InputError, match=r"evil\.pth: (asks for|truncated or damaged)"):
        read_tensors(path)
    assert not trace.exists()


def test_the_attack_would_work_on_an_ordinary_unpickler(tmp_path):
    trace = tmp_path / "trace"
    pickle.loads(call("builtins", "eval", f"open({str(trace)!r}, 'w').close()"))
    assert trace.exists()


def test_compressed_members_are_refused(small, tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", state_program({}))
        archive.writestr("archive/data/0", bytes(10_000_000))
    with pytest.raises(InputError, match="compressed members"):
        read_tensors(tmp_path / "w.pth")


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
