"""A network as a program of its own: the same masks, for any clips, where jaxmotion is not."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxmotion.commands import export as command
from jaxmotion.data import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.inference.portable import export_program
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.models.trained import Trained
from jaxmotion.networks import DecoderConfig, NetworkConfig, build_segmenter
from jaxmotion.networks.inputs import INPUT_CHANNELS
from jaxmotion.networks.norm import block_mean
from jaxmotion.tasks.segmentation_config import ObjectiveConfig, SegmentationConfig
from jaxmotion.training.config import Config

# What calls the program, in a process that cannot import the package.
CALLER = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("jaxmotion", "flax"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Refused())
import numpy as np
from jax import export

program = export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
for number in range(int(sys.argv[3])):
    clips = np.load(f"{sys.argv[2]}/clips{number}.npz")
    outputs = program.call({name: clips[name] for name in ("flow", "valid")})
    np.save(f"{sys.argv[2]}/masks{number}.npy", outputs["masks"])
assert "jaxmotion" not in sys.modules
"""

LONG = NetworkConfig(
    num_masks=3,
    widths=(4, 8),
    stem=1,
    kernel=(3, 3, 3),
    norm_frames=4,
    input="scaled",
    decoder=DecoderConfig(kind="transformer", layers=1, feed_forward=8, linear_start=False),
)


def make(network: NetworkConfig, **data) -> Trained:
    plain = ObjectiveConfig(normalisation="pixels")
    config = Config(
        data=DataConfig(height=16, width=24, **data),
        task=SegmentationConfig(network=network, objective=plain),
    )
    clip = np.zeros((1, 1, 16, 24, INPUT_CHANNELS[network.input]), np.float32)
    shapes = jax.eval_shape(build_segmenter(network).init, jax.random.key(0), clip)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), shapes)
    return Trained(config, params, 1, {}, {})


def called(program, folder, batches):
    for number, (flow, valid) in enumerate(batches):
        np.savez(folder / f"clips{number}.npz", flow=flow, valid=valid)
    arguments = [sys.executable, "-c", CALLER, str(program), str(folder), str(len(batches))]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [np.load(folder / f"masks{number}.npy") for number in range(len(batches))]


def clips(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    for batch, length in shapes:
        valid = (rng.uniform(size=(batch, length, 16, 24)) > 0.1).astype(np.float32)
        valid[:, length - length // 4 :] = 0  # padding at the end
        yield rng.normal(0, 3, (batch, length, 16, 24, 2)).astype(np.float32), valid


@pytest.mark.parametrize(
    ("network", "shapes"),
    [
        pytest.param(LONG, [(1, 10), (2, 3), (3, 1)], id="lt_ms"),
        pytest.param(
            NetworkConfig(widths=(4, 8), stem=2), [(1, 1), (2, 2)], id="em", marks=pytest.mark.slow
        ),
    ],
)
def test_a_program_gives_the_masks_of_the_segmenter_to_those_who_have_no_jaxmotion(
    network, shapes, tmp_path
):
    trained = make(network)
    program = export_program(trained, tmp_path / "network.stablehlo")
    assert program.platforms == ("cpu", "tpu", "cuda")
    batches = list(clips(*shapes))
    found = called(tmp_path / "network.stablehlo", tmp_path, batches)
    segmenter = Segmenter.of(trained)
    for (flow, valid), masks in zip(batches, found, strict=True):
        expected = segmenter._segment(flow, valid).masks
        assert masks.shape == expected.shape
        np.testing.assert_allclose(masks, expected, rtol=0, atol=1e-5)
    note = (tmp_path / "network.md").read_text()
    assert "- `flow` `[b, t, 16, 24, 2]`" in note
    assert f"- `masks` `[b, t, 16, 24, {network.num_masks}]`" in note


@pytest.mark.parametrize("frames", [1, 3, 9])
def test_blocks_of_a_length_that_is_not_known_are_those_of_any_length(frames):
    def mean(values, count):
        return block_mean(values, count, frames)

    batch, length = jax.export.symbolic_shape("b, t")
    shapes = [jax.ShapeDtypeStruct((batch, length, size), np.float32) for size in (5, 1)]
    program = jax.export.export(jax.jit(mean))(*shapes)
    rng = np.random.default_rng(0)
    for size in (1, 3, 10, 18, 20):
        values = rng.normal(size=(2, size, 5)).astype(np.float32)
        count = rng.uniform(size=(2, size, 1)).astype(np.float32)
        count[:, size - size // 3 :] = 0
        expected = mean(values, count)
        np.testing.assert_allclose(program.call(values, count), expected, atol=1e-6)


def test_what_the_command_refuses(untrained_run, tmp_path):
    with pytest.raises(InputError, match=r"expected --out NAME\.safetensors, --stablehlo"):
        command.main([str(untrained_run)])
    with pytest.raises(InputError, match="--size: is of the program"):
        command.main([str(untrained_run), "--out", str(tmp_path / "x"), "--size", "8", "8"])
    with pytest.raises(InputError, match=r"x\.bin: expected the name of a file, NAME\.stablehlo"):
        command.main([str(untrained_run), "--stablehlo", str(tmp_path / "x.bin")])


def test_the_command_writes_program_and_note(untrained_run, tmp_path, capsys):
    out = tmp_path / "small.stablehlo"
    command.main([str(untrained_run), "--stablehlo", str(out), "--size", "24", "32"])
    assert "small.md says how to call it" in capsys.readouterr().out
    program = jax.export.deserialize(bytearray(out.read_bytes()))
    assert str(program.in_avals[0].shape) == "(b, t, 24, 32, 2)"
    assert not list(tmp_path.glob(".*"))
