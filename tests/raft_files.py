"""Weight files of RAFT in every format, written by hand, and the names and shapes in them."""

import json
import pickle
import struct
import zipfile

import numpy as np

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


def random_small():
    """Random weights of the small network under official names."""
    rng = np.random.default_rng(0)
    return {name: rng.normal(0, 0.05, s).astype("f4") for name, s in small_shapes().items()}


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
