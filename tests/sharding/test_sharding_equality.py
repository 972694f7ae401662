"""Eight devices compute what one does, whichever of clips and frames they share."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.sharding

PROGRAM = Path(__file__).with_name("train_sharded.py")
# One fit instead of three: what the short form leaves to the long one.
ONE_FIT = {
    "network": {"input": "scaled"},
    "objective": {"normalisation": "flow", "remove_global_motion": False},
}


def check(printed: str, meshes: int) -> None:
    rows = [json.loads(line) for line in printed.splitlines()]
    assert len(rows) == meshes
    for mesh, loss, gradient in rows:
        assert loss < 1e-5, f"loss on {mesh}"
        assert gradient < 1e-5, f"gradient on {mesh}"


def test_clips_of_nine_frames_over_four_devices(on_eight_devices):
    case = dict(method="lt_ms", frames=9, batch=4, meshes=[[2, 4]], **ONE_FIT)
    check(on_eight_devices(PROGRAM, "compare", json.dumps(case)), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        {"method": "instances"},
        {"method": "foreground"},
        {"method": "masked"},
        {"method": "masked", "task": {"reconstruct": "predictive"}},
        {"method": "masked", "task": {"reconstruct": "variational"}},
    ],
)
def test_nine_frames_over_four_devices(on_eight_devices, case):
    """Frames that fill clips up change nothing in the losses of other methods either."""
    case = {"frames": 9, "batch": 4, "meshes": [[2, 4]]} | case
    check(on_eight_devices(PROGRAM, "compare", json.dumps(case)), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "frames"), [("em", 1), ("st_ms", 3), ("lt_ms", 16), ("lt_ms", 13), ("lt_ms_sa", 9)]
)
def test_every_mesh(on_eight_devices, method, frames):
    meshes = [[8, 1], [4, 2], [2, 4], [1, 8]]
    case = {"method": method, "frames": frames, "batch": 8, "meshes": meshes}
    check(on_eight_devices(PROGRAM, "compare", json.dumps(case)), len(meshes))


@pytest.mark.slow
def test_attention_does_not_depend_on_the_mesh(on_eight_devices):
    attention = {"layers": 1, "heads": 2, "gate": True}
    case = dict(method="st_ms", frames=9, batch=4, meshes=[[2, 4], [1, 8]], **ONE_FIT)
    check(on_eight_devices(PROGRAM, "compare", json.dumps(case | {"attention": attention})), 2)


@pytest.mark.slow
def test_augmentation_does_not_depend_on_the_mesh(on_eight_devices):
    augment = {
        "global_motion": 2.0,
        "corruption_probability": 1.0,
        "corrupted_frames": [1, 2],
        "still_share": 0.5,
        "flip_horizontal": 0.5,
        "scale_jitter": 1.5,
    }
    case = dict(method="lt_ms", frames=9, batch=4, meshes=[[2, 4]], augment=augment, **ONE_FIT)
    check(on_eight_devices(PROGRAM, "compare", json.dumps(case)), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"changed": {"accumulate": 2}},
        {"changed": {"network": {"input": "scaled", "remat": "norms"}}},
        {"changed": {"network": {"input": "scaled", "remat": "blocks"}}},
        {"meshes": [[2, 2, 2]], "fsdp": True, "widths": [64, 128]},
    ],
)
def test_what_saves_memory_changes_nothing(on_eight_devices, change):
    case = {"method": "st_ms", "frames": 4, "batch": 4, "meshes": [[2, 2]], **ONE_FIT}
    check(on_eight_devices(PROGRAM, "compare", json.dumps(case | change)), 1)


@pytest.mark.slow
def test_bfloat16_is_float32_but_for_rounding(on_eight_devices):
    half = {"changed": {"network": {"input": "scaled", "compute_dtype": "bfloat16"}}}
    case = {"method": "lt_ms", "frames": 8, "batch": 2, "meshes": [[2, 4]], **ONE_FIT, **half}
    [row] = on_eight_devices(PROGRAM, "compare", json.dumps(case)).splitlines()
    _, loss, gradient = json.loads(row)
    assert 1e-6 < loss < 1e-2
    assert 1e-4 < gradient < 0.2
