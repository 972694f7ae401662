"""What a configuration may hold: the same in Python, in JSON and on the command line."""

import dataclasses
import json
import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxmotion.commands import train
from jaxmotion.configs import CONFIGS, get_config
from jaxmotion.data.config import AugmentConfig, DataConfig
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.errors import InputError
from jaxmotion.motion import MotionModel
from jaxmotion.networks import DecoderConfig, NetworkConfig
from jaxmotion.options import (
    Count,
    Figure,
    Positive,
    check_fields,
    differences,
    from_json,
    to_json,
)
from jaxmotion.scenes import LEVELS, SceneConfig
from jaxmotion.tasks.segmentation_config import ObjectiveConfig, SegmentationConfig
from jaxmotion.training.config import Config, EvalsConfig, MeshConfig, OptimizerConfig, Processes

NAN, INF = math.nan, math.inf

# Of each field what it must not hold. Every field is here.
WRONG = {
    OptimizerConfig: {
        "kind": ["sgd", "", None, 0, "Adam"],
        "learning_rate": [-1, 0, 0.0, NAN, INF, -INF, "0.1", None, True, 10**400, [0.1]],
        "schedule": ["linear", None],
        "warmup_steps": [-5, 3.0, "3", True, None, 2**31, NAN],
        "halve_every": [0, -1, 2.5],
        "weight_decay": [-1e-9, NAN, INF],
        "clip_norm": [-1, NAN, INF, False],
        "ema_decay": [1.5, -1, 1, 1.0, NAN],
        "groups": [3, ("a",), (("a",),), (("a", NAN),), (("a", "b"),), ((1, 2.0),), (("(", 1.0),)],
    },
    ObjectiveConfig: {
        "penalty": ["l3", 1],
        "normalisation": ["typo", None],
        "remove_global_motion": [1, 0, "true", None],
        "entropy_weight": [NAN, -1],
        "foreground_cost": [INF, -0.5],
        "border_cost": [-1, NAN],
        "consistency_weight": [-1, "4"],
        "consistency_ramp": [-1, 1.5],
        "occlusion_quantile": [2, 0, -0.1, NAN, True],
    },
    DecoderConfig: {
        "kind": ["oracle", 3],
        "layers": [0, 10**9, 1.0],
        "heads": [0, -1],
        "feed_forward": [0, 10**9],
        "dropout": [1, -0.1, NAN],
        "iterations": [0, 10**9],
        "differentiation": ["two_step"],
        "linear_start": [1, "yes"],
    },
    NetworkConfig: {
        "num_masks": [0, -1, 2.0, True, 10**9, "2"],
        "input": ["flow", 0],
        "widths": [(), (0,), (4.5, 8), (4, "8"), 16, "16", (10**9,), (4,) * 40, (True, 8)],
        "stem": [0, 3, 2.0, "2"],
        "down": ["mean"],
        "up": [""],
        "kernel": [(2, 3, 3), (3, 3), (3, 3, 3, 3), (10**6 + 1, 3, 3), (-1, 3, 3), 3],
        "norm": ["batch", None],
        "norm_frames": [0, 10**9],
        "activation": ["swish"],
        "padding": ["same"],
        "favoured_bias": [NAN, INF],
        "threshold_start": [-1, NAN],
        "direction_start": [INF],
        "attention": [None, True],
        "decoder": [None, "slots"],
        "compute_dtype": ["float16"],
        "remat": ["all"],
        "known_channel": [1, "true", None],
    },
    DataConfig: {
        "source": ["", None, 3],
        "flow": [None],
        "split": [1],
        "height": [0, 1, -64, 60_000, 64.0, True],
        "width": [0, 60_000],
        "clip_length": [0, -1, 10**12, 1.0],
        "intervals": [(), (0,), (1, 0), (1.5,), 1, (10**9,)],
        "validation_fraction": [0, 1, -0.1, 2, NAN],
        "validation_clips": [0, -5, 2.5],
        "cache_bytes": [-1, 2**60, 1.5],
        "reader_workers": [-1, 1.5],
        "prefetch": [0],
        "wire": ["float16", None],
        "pictures": [None, 3],
    },
    MeshConfig: {
        "data": [0, -2, 1.0],
        "time": [0, "1"],
        "model": [0, True],
        "fsdp": [1, None],
    },
    InferenceConfig: {
        "window": [-1, 10**30, 1.0],
        "overlap": [-1, 1],
        "linking": ["nearest"],
    },
    AugmentConfig: {
        "global_motion": [-1, NAN],
        "global_motion_probability": [-0.1, 1.1],
        "corruption_probability": [2],
        "corrupted_frames": [(2, 1), (-1, 1), (1,), (1, 2, 3), (1, 2.0), 1],
        "still_share": [NAN],
        "flip_horizontal": [True, "0.5"],
        "flip_vertical": [1.01],
        "scale_jitter": [0.9, NAN, INF],
    },
    SegmentationConfig: {
        "kind": ["saliency", None, 3],
        "network": [3],
        "motion": ["quadratic"],
        "objective": [None],
        "augment": [()],
        "inference": [1],
    },
    EvalsConfig: {
        "scenes": ["nowhere", "easy+nowhere", None, 3],
        "frames": [0, 1.5],
        "data": [None, 3],
        "flow": [None, 1],
        "split": [None, 2],
        "every": [-1],
    },
    Config: {
        "data": [None, 3],
        "task": [None, 3, "segmentation"],
        "optimizer": ["adam"],
        "steps": [0, -1, 2**31, 2.0, True],
        "batch_size": [0, 10**9],
        "accumulate": [0],
        "mesh": [None],
        "start": [None],
        "seed": [-1, 2**70, 2**32, 0.0],
        "log_every": [0],
        "validate_every": [0],
        "checkpoint_every": [0, -1],
        "picture_every": [-1],
        "profile_steps": ["5", "3:2", "0:1", 3, None],
        "on_bad_clip": ["ignore"],
        "evals": [None, "scenes"],
    },
    SceneConfig: {
        **{field.name: [-0.1, NAN, "0"] for field in dataclasses.fields(SceneConfig)},
        "object_probabilities": [(), (0.0,), (-1.0, 2.0), 1.0],
        "object_area": [(0.3, 0.1), (0.0, 0.1), (0.1,)],
        "object_parts": [0, 1.5],
        "patch_share": [1.0, NAN],
        "period": [0],
        "earliest_stop": [2, NAN, "0"],
    },
    MotionModel: {
        "spatial": ["cubic", 1, None],
        "temporal": ["fourier"],
        "degree": [-1, 1.5, 10**9, "2", True],
        "knot_spacing": [0, 2.0, 10**12],
        "knots": ["open"],
    },
    Processes: {"join_timeout": [0, -1, 10**12, 1.5], "distributed": [1]},
}
CASES = [
    pytest.param(kind, name, value, id=f"{kind.__name__}.{name}={str(value)[:20]}")
    for kind, fields in WRONG.items()
    for name, values in fields.items()
    for value in values
]


@pytest.mark.parametrize(("kind", "name", "value"), CASES)
def test_a_wrong_value_is_refused_where_it_is_made(kind, name, value):
    with pytest.raises(ValueError, match=rf"{name}|one for one axis") as caught:
        kind(**{name: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    # And in the file of a run or a model, whose values JSON has carried.
    text = json.dumps({name: value}, default=to_json)
    with pytest.raises(InputError) as caught:
        from_json(kind, json.loads(text))
    assert "\n" not in str(caught.value)


def test_an_integer_of_thousands_of_digits_is_one_line():
    with pytest.raises(InputError, match="seed a huge int: expected a whole number"):
        Config(seed=10**5000)


@pytest.mark.parametrize("kind", [k for k in WRONG if k is not Processes])
def test_no_field_is_forgotten(kind):
    assert WRONG[kind].keys() == {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda: OptimizerConfig(kind="sgd"),  # pyright: ignore
            "optimizer.kind 'sgd': expected 'adam' or 'adamw'",
        ),
        (
            lambda: NetworkConfig(decoder=DecoderConfig(dropout=1)),
            "network.decoder.dropout 1: expected a finite number of at least 0 and below 1",
        ),
        (
            lambda: DataConfig(height=5000, width=5000),
            "data.height 5000 and data.width 5000: expected at most 16,777,216 pixels",
        ),
        (
            lambda: from_json(Config, {"optimizer": {"ema_decay": "x" * 500}}),
            "optimizer.ema_decay 'xxx",
        ),
        (lambda: from_json(Config, {"data": 3}), "data 3: expected fields by name"),
        (
            lambda: from_json(Config, {"task": {"motion": {"degree": -1}}}),
            "motion: degree must be at least",
        ),
        (
            lambda: from_json(Config, {"task": {"network": {"widths": [0]}}}),
            "network.widths [0]: expected",
        ),
        (
            lambda: from_json(Config, {"task": {"kind": "saliency"}}),
            "task.kind 'saliency': expected",
        ),
        (lambda: Config(task=NetworkConfig()), "task NetworkConfig("),  # pyright: ignore
        (lambda: from_json(Config, [1]), "Config [1]: expected fields by name"),
    ],
)
def test_the_line_names_field_value_and_what_was_expected(make, line):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    "options",
    [
        "--optimizer.learning-rate -1",
        "--optimizer.clip-norm nan",
        "--optimizer.ema-decay 1.5",
        "--optimizer.halve-every 0",
        "--data.height 0",
        "--data.validation-clips -5",
        "--seed -1",
        "--seeds 0",
        "--network.kernel 2 3 3",
        "--network.decoder.dropout 1",
        "--mesh.data 0",
        "--motion.knot-spacing 0",
        "--inference.overlap 3",
    ],
)
def test_on_the_command_line_it_is_the_same_line(options, capsys):
    with pytest.raises(InputError) as caught:
        train.parse(options.split())
    assert options.split()[0].strip("-").replace("-", "_").split(".")[-1] in str(caught.value)
    assert capsys.readouterr().err == ""


def test_a_typing_error_keeps_the_words_of_the_parser(capsys):
    with pytest.raises(SystemExit) as caught:
        train.parse(["--steps", "many"])
    assert caught.value.code == 2
    assert "--steps" in capsys.readouterr().err


@pytest.mark.parametrize("name", CONFIGS)
def test_good_values_pass_unchanged(name):
    config = get_config(name)
    assert from_json(Config, json.loads(json.dumps(to_json(config)))) == config
    assert differences(json.loads(json.dumps(to_json(config))), to_json(config)) == []


def test_the_same_value_in_another_type_is_taken():
    config = NetworkConfig(num_masks=np.int64(3), widths=[4, np.int32(8)], favoured_bias=1)  # pyright: ignore
    assert config == NetworkConfig(num_masks=3, widths=(4, 8), favoured_bias=1.0)
    assert json.dumps(to_json(config))
    assert hash(config) == hash(NetworkConfig(num_masks=3, widths=(4, 8), favoured_bias=1.0))


def test_levels_of_scenes_are_as_they_were():
    assert {name: level.object_parts for name, level in LEVELS.items()}["easy"] == 1


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["adam", "l1", "slots", 2, 64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FIELDS = [
    (part.name, field.name)
    for part in dataclasses.fields(Config)
    if dataclasses.is_dataclass(getattr(Config(), part.name))
    for field in dataclasses.fields(getattr(Config(), part.name))
] + [("", field.name) for field in dataclasses.fields(Config)]


@given(st.sampled_from(FIELDS), json_values)
def test_whatever_json_holds_it_is_a_configuration_or_one_line(field, value):
    part, name = field
    values = to_json(Config())
    (values[part] if part else values)[name] = value
    try:
        config = from_json(Config, values)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert to_json(config) == values or isinstance(value, dict | list | float | int)
        hash(config)


@dataclasses.dataclass(frozen=True)
class Circle:
    radius: Positive
    kind: Literal["circle"] = "circle"


@dataclasses.dataclass(frozen=True)
class Box:
    sides: tuple[Count, Count]
    kind: Literal["box"] = "box"


@dataclasses.dataclass(frozen=True)
class Drawing:
    shape: Circle | Box = Circle(1.0)
    more: tuple[Box, ...] = ()
    errors: dict[str, Figure] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        check_fields(self)


def test_a_field_that_is_one_of_several_comes_back_as_what_it_was():
    drawing = Drawing(Box((2, 3)), (Box((1, 1)),), {"a": math.nan, "b": 0.5})
    text = json.dumps(to_json(drawing))
    assert json.loads(text)["errors"] == {"a": None, "b": 0.5}
    again = from_json(Drawing, json.loads(text))
    assert (again.shape, again.more) == (drawing.shape, drawing.more)
    assert math.isnan(again.errors["a"])
    assert again.errors["b"] == 0.5
    assert from_json(Drawing, {"shape": {"radius": 2}}).shape == Circle(2.0)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"shape": {"kind": "line"}}, "shape.kind 'line': expected 'circle' or 'box'"),
        ({"shape": {"kind": [1]}}, r"shape.kind \[1\]: expected 'circle' or 'box'"),
        ({"shape": {"kind": "box", "radius": 1}}, "Box has no field radius"),
        ({"shape": {"kind": "box", "sides": [1, 0]}}, r"shape.sides \[1, 0\]: expected 2 values"),
        ({"shape": {"kind": "box"}}, "shape: .*missing.*sides"),
        ({"more": [{"sides": [1, 2]}, {"sides": 3}]}, r"more\[1\].sides 3: expected 2 values"),
        ({"errors": {"a": "x"}}, "errors.'a' 'x': expected a finite number"),
    ],
)
def test_in_nested_values_the_line_says_where(values, line):
    with pytest.raises(InputError, match=line):
        from_json(Drawing, values)


def test_another_dataclass_is_refused_from_python_too():
    with pytest.raises(InputError, match="shape 3: expected a Circle or a Box"):
        Drawing(3)  # pyright: ignore
