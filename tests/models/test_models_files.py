"""Model files: what is written is what is read, and what is wrong is one line."""

import dataclasses
import json
import math
import random
from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jaxmotion.data import DataConfig
from jaxmotion.errors import InputError
from jaxmotion.locks import locked
from jaxmotion.models.files import model_paths, read_model, write_model
from jaxmotion.models.trained import Trained
from jaxmotion.networks import NetworkConfig, build_segmenter
from jaxmotion.options import to_json
from jaxmotion.tasks.segmentation_config import SegmentationConfig
from jaxmotion.training.config import Config

NETWORK = NetworkConfig(num_masks=3, widths=(4, 8), input="scaled")
CONFIG = Config(
    data=DataConfig(source="scenes:hard", height=16, width=24, intervals=(1, -2)),
    task=SegmentationConfig(network=NETWORK),
)


def make(config=CONFIG, **changes):
    clip = np.zeros((1, 1, 16, 24, 2), np.float32)
    module = build_segmenter(config.task.network)
    shapes = jax.eval_shape(module.init, jax.random.key(0), clip)["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: rng.normal(0, 3, x.shape).astype(np.float32), shapes)
    metrics, provenance = {"validation_loss": 0.25, "J": None}, {"trained_on": "scènes"}
    return Trained(config, params, 7, metrics, provenance)._replace(**changes)


@pytest.fixture(scope="module")
def trained():
    return make()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_what_is_written_is_read(trained, path):
    write_model(path, trained)
    read = read_model(path)
    assert read._replace(params=None) == trained._replace(params=None)
    expected = jax.tree.map(lambda x: x.astype(np.float16).astype(np.float32), trained.params)
    assert jax.tree.structure(read.params) == jax.tree.structure(expected)
    for found, leaf in zip(*map(jax.tree.leaves, (read.params, expected)), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, leaf)


def test_the_file_is_small_and_open_to_all(trained, path):
    write_model(path, trained)
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        note = json.loads(file.metadata()["jaxmotion"])
        halves = [file.get_tensor(name) for name in names]
    assert set(names) == flatten_dict(trained.params, sep="/").keys()
    assert {half.dtype for half in halves} == {np.dtype(np.float16)}
    assert list(note) == ["format", "config", "step", "metrics", "provenance"]
    assert note["config"]["data"]["intervals"] == [1, -2]
    header = int.from_bytes(path.read_bytes()[:8], "little")
    assert path.stat().st_size == 8 + header + 2 * trained.num_parameters


def test_parts_are_small_and_read_as_one(trained, path):
    write_model(path, trained)
    whole = read_model(path)
    write_model(path, trained, part_bytes=1000)
    parts = model_paths(path)
    assert len(parts) > 2
    names = []
    for part in parts:
        with safe_open(part, framework="numpy") as file:
            sizes = [file.get_tensor(name).nbytes for name in file.keys()]  # noqa: SIM118
            names += file.keys()
        assert sum(sizes) <= 1000 or len(sizes) == 1
    assert sorted(names) == sorted(flatten_dict(trained.params, sep="/"))
    read = read_model(path)
    assert read._replace(params=None) == whole._replace(params=None)
    jax.tree.map(np.testing.assert_array_equal, read.params, whole.params)
    write_model(path, trained)  # no part of the earlier one is left
    assert list(path.parent.iterdir()) == [path]


def test_a_part_that_is_missing_or_of_another_model(trained, path):
    write_model(path, trained._replace(step=trained.step + 1), part_bytes=1000)
    second = model_paths(path)[1]
    foreign = second.read_bytes()
    write_model(path, trained, part_bytes=1000)
    second.write_bytes(foreign)
    with pytest.raises(InputError, match=r"part2\.safetensors: no part of .*model\.safetensors"):
        read_model(path)
    second.unlink()
    with pytest.raises(InputError, match=r"part2\.safetensors"):
        read_model(path)


def test_files_of_like_names_are_not_taken_for_parts(trained, path):
    """Neither removed with the parts of the model that is replaced nor written over."""
    write_model(path, trained, part_bytes=1000)
    count = len(model_paths(path))
    others = ("partial-results", f"part{count + 1}", "part2.old", "part02", "part", "partx")
    for name in others:
        path.with_name(f"model.{name}.safetensors").write_text("mine")
    write_model(path.with_name("model.part99.safetensors"), trained)
    assert len(model_paths(path)) == count
    write_model(path, trained)
    assert sorted(file.name for file in path.parent.iterdir()) == sorted(
        ["model.safetensors", "model.part99.safetensors"]
        + [f"model.{name}.safetensors" for name in others]
    )
    assert {path.with_name(f"model.{name}.safetensors").read_text() for name in others} == {"mine"}
    assert read_model(path.with_name("model.part99.safetensors")).step == trained.step


@pytest.mark.parametrize("content", ["mine", None])
def test_what_is_where_a_part_goes_is_kept(trained, path, content):
    second = path.with_name("model.part2.safetensors")
    second.write_text(content) if content else write_model(second, trained)
    before = second.read_bytes()
    with pytest.raises(InputError, match=r"part2.safetensors: is there and no part of model"):
        write_model(path, trained, part_bytes=1000)
    assert second.read_bytes() == before
    assert list(path.parent.iterdir()) == [second]


def test_an_earlier_model_in_parts_survives_a_failure(trained, path, monkeypatch):
    write_model(path, trained, part_bytes=4000)
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    rename, calls, breaks_at = Path.rename, [], [0]

    def breaks(self, target):
        calls.append(1)
        if len(calls) == breaks_at[0]:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", breaks)
    later = trained._replace(step=8)
    for breaks_at[0] in (1, 2, 3, 5):
        calls.clear()
        with pytest.raises(KeyboardInterrupt):
            write_model(path, later, part_bytes=1000)
        assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    breaks_at[0] = 0
    write_model(path, later, part_bytes=1000)
    assert read_model(path).step == 8


def test_two_runs_do_not_write_one_model(trained, path):
    with locked(path.parent, path.name):
        with pytest.raises(InputError, match=r"model\.safetensors: another run is writing"):
            write_model(path, trained)
        write_model(path.with_name("other.safetensors"), trained)


def test_the_same_network_is_the_same_bytes(trained, tmp_path):
    for name in ("a", "b"):
        write_model(tmp_path / f"{name}.safetensors", trained)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_no_folder_of_the_machine_goes_along(trained, path):
    source = "/home/someone/data/DAVIS,tfds:video_flow/raft,scenes:hard,here/clip.npz"
    data = dataclasses.replace(CONFIG.data, source=source)
    config = dataclasses.replace(CONFIG, data=data, start="/home/someone/runs/em4")
    write_model(path, trained._replace(config=config))
    read = read_model(path).config
    assert read.data.source == "DAVIS,tfds:video_flow/raft,scenes:hard,clip.npz"
    assert read.start == "em4"
    assert b"someone" not in path.read_bytes()


@pytest.mark.parametrize("value", [7e4, -1e6, np.nan, np.inf])
def test_what_float16_cannot_hold_is_refused(trained, path, value):
    write_model(path, trained)
    before = path.read_bytes()
    flat = flatten_dict(trained.params, sep="/")
    name = sorted(flat)[3]
    wrong = np.full_like(flat[name], value)
    params = unflatten_dict(flat | {name: wrong}, sep="/")
    with pytest.raises(InputError, match=f"parameter {name} is NaN or beyond"):
        write_model(path, trained._replace(params=params))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_only_a_model_file_is_replaced(trained, path):
    write_model(path, trained)
    write_model(path, trained._replace(step=8))
    assert read_model(path).step == 8
    path.unlink()
    save_file({"weights": np.ones(3)}, path)
    with pytest.raises(InputError, match="is there and no model file"):
        write_model(path, trained)
    assert load_file(path).keys() == {"weights"}
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="is there and no model file"):
        write_model(path, trained)


# ----------------------------------------------------------------------------- files that are wrong


def rewrite(path, note=None, tensors=None):
    """The same file with another note, or other tensors."""
    with safe_open(path, framework="numpy") as file:
        old = json.loads(file.metadata()["jaxmotion"])
    text = note if isinstance(note, str) else json.dumps(old | (note or {}))
    save_file(load_file(path) | (tensors or {}), path, {"jaxmotion": text})


def config_with(**changes):
    return {"config": to_json(CONFIG) | changes}


def config_of_network(**changes):
    """As files from before there were several tasks have it, the network beside the data."""
    values = to_json(CONFIG)
    task = values.pop("task")
    del task["kind"]
    return {"config": values | task | {"network": task["network"] | changes}}


def damage_truncated(path):
    path.write_bytes(path.read_bytes()[:-10])


def damage_truncated_header(path):
    path.write_bytes(path.read_bytes()[:50])


def damage_empty(path):
    path.write_bytes(b"")


def damage_text(path):
    path.write_text("no model at all\n" * 20)


def damage_header_length(path):
    path.write_bytes((1 << 60).to_bytes(8, "little") + path.read_bytes()[8:])


def damage_removed(path):
    path.unlink()


def damage_folder(path):
    path.unlink()
    path.mkdir()


def damage_without_note(path):
    save_file(load_file(path), path)


def damage_note_of_another(path):
    save_file(load_file(path), path, {"format": "pt"})


def damage_note(path):
    rewrite(path, note='{"format": 1, "config"')


def damage_deep_note(path):
    rewrite(path, note="[" * 100_000)


def damage_note_of_nothing(path):
    rewrite(path, note="[]")


def damage_step(path):
    rewrite(path, note={"step": None})


def damage_metrics(path):
    rewrite(path, note={"metrics": 3})


def damage_config(path):
    rewrite(path, note={"config": [1, 2]})


def damage_later_format(path):
    rewrite(path, note={"format": 2})


def damage_later_config(path):
    rewrite(path, note=config_of_network(wormholes=4))


def damage_later_choice(path):
    rewrite(path, note=config_of_network(decoder={"kind": "oracle"}))


def damage_config_of_no_network(path):
    rewrite(path, note=config_of_network(decoder={"kind": "transformer", "heads": 3}))


def damage_other_network(path):
    rewrite(path, note=config_of_network(widths=[4, 16]))


def damage_later_task(path):
    rewrite(path, note=config_with(task={"kind": "telepathy"}))


def damage_one_more(path):
    rewrite(path, tensors={"unet/extra": np.zeros(3, np.float16)})


def damage_nan(path):
    name, half = next(iter(load_file(path).items()))
    rewrite(path, tensors={name: np.full_like(half, np.nan)})


def damage_integers(path):
    name, half = next(iter(load_file(path).items()))
    rewrite(path, tensors={name: half.astype(np.int16)})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_truncated, "truncated or damaged"),
        (damage_truncated_header, "truncated or damaged"),
        (damage_empty, "truncated or damaged"),
        (damage_text, "truncated or damaged"),
        (damage_header_length, "truncated or damaged"),
        (damage_removed, "cannot be read (No such file"),
        (damage_folder, "cannot be read (Is a directory"),
        (damage_without_note, "no model of jaxmotion"),
        (damage_note_of_another, "no model of jaxmotion"),
        (damage_note, "its metadata is damaged"),
        (damage_deep_note, "its metadata is damaged"),
        (damage_note_of_nothing, "its metadata is damaged"),
        (damage_step, "its metadata is damaged"),
        (damage_metrics, "its metadata is damaged"),
        (damage_config, "a configuration that this version does not know"),
        (damage_later_format, "of format 2, expected 1; a later version"),
        (damage_later_config, "NetworkConfig has no field wormholes"),
        (damage_later_choice, "network.decoder.kind 'oracle': expected 'linear'"),
        (damage_later_task, "kind 'telepathy': expected 'segmentation'"),
        (damage_config_of_no_network, "its configuration describes no network"),
        (damage_other_network, "holds parameters of another network; unet/"),
        (damage_one_more, "another network; unet/extra has shape (3,), expected None"),
        (damage_nan, "holds integers, NaN or infinity"),
        (damage_integers, "holds integers, NaN or infinity"),
    ],
)
def test_a_wrong_file_is_one_line(trained, path, damage, words):
    write_model(path, trained)
    damage(path)
    with pytest.raises(InputError) as caught:
        read_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fields_of_later_versions_that_a_file_lacks_take_their_defaults(trained, path):
    write_model(path, trained)
    values = to_json(CONFIG)
    del values["accumulate"], values["data"]["validation_clips"]
    rewrite(path, note={"config": values})
    assert read_model(path).config == CONFIG


def test_a_file_from_before_there_were_several_tasks_segments(trained, path):
    write_model(path, trained)
    rewrite(path, note=config_of_network())
    assert read_model(path).config == CONFIG


def damage_absurd_size(path):
    rewrite(path, note=config_with(data=to_json(CONFIG.data) | {"height": 60_000, "width": 60_000}))


def damage_large_size(path):
    rewrite(path, note=config_with(data=to_json(CONFIG.data) | {"height": 10_000, "width": 10_000}))


def damage_beyond_float32(path):
    name, half = next(iter(load_file(path).items()))
    rewrite(path, tensors={name: np.full(half.shape, 1e300)})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_absurd_size, "data.height 60000: expected a whole number from 2 to"),
        (damage_large_size, "expected at most 16,777,216 pixels"),
        (damage_beyond_float32, "holds integers, NaN or infinity"),
    ],
)
def test_what_would_fill_memory_or_turn_infinite_is_refused(trained, path, damage, words):
    write_model(path, trained)
    damage(path)
    with pytest.raises(InputError) as caught:
        read_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("step", math.inf),
        ("step", math.nan),
        ("step", -1),
        ("step", 2.5),
        ("step", "7"),
        ("step", True),
        ("step", 10**400),
        ("parts", math.inf),
        ("parts", 0),
        ("parts", -3),
        ("parts", 10**9),
        ("parts", 1.0),
        ("metrics", {"J": 10**400}),
        ("metrics", {"J": math.inf}),
        ("metrics", {"J": "high"}),
        ("metrics", {"J": [1]}),
        ("metrics", []),
        ("provenance", {"command": 3}),
        ("provenance", None),
        ("provenance", ["train.py"]),
        ("format", 1.0),
        ("format", True),
        ("format", "1" * 1000),
        ("config", None),
    ],
)
def test_every_field_of_the_note_is_checked(trained, path, field, value):
    write_model(path, trained)
    rewrite(path, note={field: value})
    with pytest.raises(InputError) as caught:
        read_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


def test_a_tensor_in_two_parts_is_refused(trained, path):
    write_model(path, trained, part_bytes=1000)
    first, second = model_paths(path)[:2]
    with safe_open(second, framework="numpy") as file:
        metadata = file.metadata()
    save_file(load_file(second) | load_file(first), second, metadata)
    with pytest.raises(InputError, match="as another part of"):
        read_model(path)


ODD = (None, True, -1, 0, 3, 2.5, 1e308, math.nan, math.inf, 10**30, "", "x", [], [1], {}, {"a": 1})


def places(value, way=()):
    """All ways into nested dicts and lists."""
    yield way
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        yield from places(inner, (*way, key))


def mutate(note, rng):
    """The note with another value, one less, or one more, somewhere."""
    way = rng.choice([way for way in places(note) if way])
    *front, last = way
    holder = note
    for key in front:
        holder = holder[key]
    match rng.randrange(4):
        case 0 if isinstance(holder, dict):
            del holder[last]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(["", "new", "format", "\x00\n"])] = rng.choice(ODD)
        case _:
            holder[last] = rng.choice(ODD)


def test_whatever_is_in_a_note_it_is_a_model_or_one_line(trained, path):
    write_model(path, trained)
    with safe_open(path, framework="numpy") as file:
        text = file.metadata()["jaxmotion"]
    tensors, rng, refused = load_file(path), random.Random(0), 0
    for _ in range(400):
        note = json.loads(text)
        for _ in range(rng.choice((1, 1, 1, 3))):
            mutate(note, rng)
        save_file(tensors, path, {"jaxmotion": json.dumps(note)})
        refused += is_refused(path)
    for _ in range(200):
        at, letters = rng.randrange(len(text)), list(text)
        letters[at : at + rng.choice((1, 1, 5, 60))] = rng.choice(("", "9", "-", '"', "{", "e99"))
        save_file(tensors, path, {"jaxmotion": "".join(letters)})
        refused += is_refused(path)
    assert 300 < refused < 600


def test_whatever_is_in_a_header_it_is_a_model_or_one_line(trained, path):
    write_model(path, trained)
    data, rng, refused = path.read_bytes(), random.Random(1), 0
    header = 8 + int.from_bytes(data[:8], "little")
    for _ in range(200):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 8))):
            changed[rng.randrange(header)] = rng.randrange(256)
        path.write_bytes(changed)
        refused += is_refused(path)
    header_json = json.loads(data[8:header])
    for _ in range(100):
        values = json.loads(json.dumps(header_json))
        name = rng.choice([name for name in values if name != "__metadata__"])
        field = rng.choice(["dtype", "shape", "data_offsets"])
        values[name][field] = rng.choice(
            ["I64", "F64", "BF16", "F8_E5M2", [1], [2**40, 2**40], [0, 2**62], [], None, [-1], "F4"]
        )
        text = json.dumps(values).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[header:])
        refused += is_refused(path)
    assert refused > 150


def is_refused(path):
    try:
        read = read_model(path)
    except InputError as error:
        line = str(error)
    else:
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(read.params))
        return False
    assert line.startswith(str(path))
    assert "\n" not in line
    return True
