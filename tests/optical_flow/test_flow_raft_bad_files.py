"""Weight files that are wrong: each is one line, and nothing in them runs."""

import collections
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
from raft_files import (
    Program,
    random_small,
    state_program,
    write_legacy,
    write_npz,
    write_pth,
    write_safetensors,
    write_zip,
)

from jaxmotion.errors import InputError
from jaxmotion.networks.raft import SMALL
from jaxmotion.optical_flow.raft import load_weights, read_tensors


@pytest.fixture(scope="module")
def small():
    return random_small()


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


def damage_npz_larger_than_memory(path, small):
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6, 10**6)}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fnet.conv2.weight.npy", buffer.getvalue())


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
        (damage_npz_larger_than_memory, "claims 4000000000000000128 bytes"),
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
