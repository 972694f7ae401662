"""The benchmark of throughput: what it compares, its arithmetic, and that it runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from jaxmotion.data.config import AugmentConfig

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def throughput(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import throughput

    return throughput


def test_published_and_small_networks_see_the_same_clips(throughput):
    frames = []
    for setting in throughput.SETTINGS:
        published, small = (setting.configuration(m) for m in ("published", "small"))
        assert published.task.augment == AugmentConfig()
        for config in (published, small):
            assert (config.data.height, config.data.width) == (128, 224)
            assert config.batch_size == setting.batch
        assert published.data.clip_length == small.data.clip_length
        frames.append(small.data.clip_length)
    assert frames == [1, 3, 9]


def test_rates_and_ratios(throughput, monkeypatch, capsys):
    seconds = {"published": (0.5, 2.0), "torch": (1.0, 50.0), "small": (0.1, 0.4)}

    def measured(index, method, short):
        forward, training = seconds[method]
        return {"forward": forward, "training": training, "memory": 10.0, "versions": method}

    monkeypatch.setattr(throughput, "measure_apart", measured)
    monkeypatch.setattr(throughput.importlib.util, "find_spec", lambda name: True)
    throughput.print_table([2], short=False)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| LT-MS")]
    cells = [[cell.strip() for cell in row.split("|")[3:-1]] for row in rows]
    assert [row[1:5] for row in cells] == [
        ["18 frames/s", "2.0 ×", "0.5 clips/s", "25.0 ×"],  # one clip of 9 frames
        ["9 frames/s", "", "0.02 clips/s", ""],
        ["90 frames/s", "10.0 ×", "2.5 clips/s", "125.0 ×"],
    ]


@pytest.mark.slow
def test_the_short_form_runs():
    command = [sys.executable, BENCHMARKS / "throughput.py", "--short", "--only", "EM"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "| EM | 1 × 1 × 32 × 48 | published network |" in result.stdout
    assert "| EM | 1 × 1 × 32 × 48 | our configuration |" in result.stdout
