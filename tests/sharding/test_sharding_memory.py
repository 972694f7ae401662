"""Long clips: what each device needs where devices share the frames."""

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.sharding, pytest.mark.slow]

PROGRAM = Path(__file__).with_name("train_sharded.py")
LONG = {"method": "lt_ms", "frames": 480, "batch": 1, "size": [64, 112]}


def test_eight_devices_need_a_sixth_each(on_eight_devices):
    case = json.dumps(LONG | {"meshes": [[1, 1], [1, 8]]})
    one, eight = map(int, on_eight_devices(PROGRAM, "memory", case).split())
    assert 6 * eight <= one


def test_a_clip_of_480_frames_trains(on_eight_devices):
    case = json.dumps(LONG | {"meshes": [[1, 1]]})
    loss = float(on_eight_devices(PROGRAM, "train", case))
    assert 0 < loss < 10
