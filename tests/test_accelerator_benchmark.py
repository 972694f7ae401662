"""The benchmark of one accelerator: a part that fails ends no other, and times are medians."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import accelerator

    return accelerator


def test_a_time_is_the_median_of_groups_that_are_waited_for(accelerator, monkeypatch):
    import accelerator_timing

    clock, waited = [0.0], []
    monkeypatch.setattr(accelerator_timing.time, "perf_counter", lambda: clock[0])
    costs = iter([9.0, 1.0] + [2.0] * 5 + [50.0] + [2.0] * 100)  # two to warm up, one disturbed

    def call():
        clock[0] += next(costs)
        return clock[0]

    timed = accelerator_timing.time_calls(call, waited.append, 20.0)
    assert timed["seconds"] == 2.0
    assert timed["calls"] == len(waited) - 2
    assert accelerator_timing.time_calls(call, waited.append, 0.0)["calls"] == 1


def test_what_fails_is_named_and_the_others_are_shown(accelerator, monkeypatch, tmp_path, capsys):
    def run_part(name, python, small, limit):
        assert python == ("other" if name.startswith("twin") else sys.executable)
        if name == "train_em":
            return {"rows": [], "seconds": 1.0, "error": "JaxRuntimeError: INTERNAL: tile sizes"}
        row = {"program": name, "seconds": 0.25, "frames": 8, "flops": 2.5e12, "memory": 3e6}
        row |= {"mfu": 0.01, "about": {"device": "NVIDIA H100 80GB HBM3"}}
        return {"rows": [row], "seconds": 1.0}

    monkeypatch.setattr(accelerator, "run_part", run_part)
    out = tmp_path / "out.json"
    arguments = ["--only", "train_em", "segment", "twin_raft", "--twin-python", "other"]
    monkeypatch.setattr(sys, "argv", ["accelerator.py", *arguments, "--out", str(out)])
    with pytest.raises(SystemExit) as ending:
        accelerator.main()
    assert ending.value.code == 1
    printed = capsys.readouterr().out
    assert "failed: train_em: JaxRuntimeError: INTERNAL: tile sizes" in printed
    assert "| segment |  |  | 250 ms | 4 | 32 | 10 | 1.0% | 3 MB |" in printed
    assert "device NVIDIA H100 80GB HBM3" in printed
    stored = json.loads(out.read_text())
    assert stored["about"]["device"] == "NVIDIA H100 80GB HBM3"
    assert stored["parts"]["twin_raft"]["rows"][0]["seconds"] == 0.25


def test_a_program_that_does_not_compile_says_so_in_its_row(accelerator, tmp_path, capsys):
    import accelerator_parts
    import jax

    def refused(words):
        def measure():
            raise jax.errors.JaxRuntimeError(words)

        return measure

    file = tmp_path / "rows.jsonl"
    rows = accelerator_parts.Rows(file)
    rows.attempt(refused("INTERNAL: no\n tile sizes"), program="a step", clips="1")
    rows.attempt(refused("RESOURCE_EXHAUSTED: 9 GB"), program="a step", clips="8")
    assert "seconds" in rows.attempt(lambda: {"seconds": 0.5}, program="another", clips="1")
    parts = {"train": {"rows": [json.loads(line) for line in file.read_text().splitlines()]}}
    assert accelerator.failures(parts) == {"a step, 1": "INTERNAL: no tile sizes"}
    accelerator.print_table(parts)
    printed = capsys.readouterr().out
    assert "| a step | 1 |  | does not run |" in printed
    assert "| a step | 8 |  | more than the memory |" in printed
    assert "failed: a step, 1: INTERNAL: no tile sizes" in printed
    assert "| another | 1 |  | 500 ms | 2 |" in printed


def test_a_part_that_hangs_or_dies_keeps_its_rows(accelerator, monkeypatch, tmp_path):
    script = tmp_path / "accelerator_parts.py"
    script.write_text(
        "import os, sys, time\n"
        "assert 'XLA_FLAGS' not in os.environ\n"
        "open(sys.argv[3], 'w').write('{\"program\": \"x\"}\\n')\n"
        "time.sleep(600) if sys.argv[1] == 'segment' else sys.exit('RuntimeError: no such card')\n"
    )
    monkeypatch.setattr(accelerator, "HERE", tmp_path)
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=0")
    hung = accelerator.run_part("segment", sys.executable, False, 3.0)
    assert hung["error"] == "not done in 3 s"
    assert hung["rows"] == [{"program": "x"}]
    died = accelerator.run_part("raft", sys.executable, False, 60.0)
    assert (died["error"], len(died["rows"])) == ("RuntimeError: no such card", 1)
    absent = accelerator.run_part("raft", str(tmp_path / "python"), False, 60.0)
    assert "No such file" in absent["error"]


def test_the_shell_is_sound():
    script = BENCHMARKS / "accelerator.sh"
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    done = subprocess.run(
        [script, "--installed", "--help"],
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--small" in done.stdout


@pytest.mark.slow
def test_every_part_runs_in_its_tiny_form(tmp_path):
    out = tmp_path / "out.json"
    command = [sys.executable, str(BENCHMARKS / "accelerator.py"), "--small", "--limit", "3600"]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True)
    parts = json.loads(out.read_text())["parts"]
    failed = {name: part["error"] for name, part in parts.items() if "error" in part}
    if failed.keys() <= {"twin_networks", "twin_raft"}:  # without the extra [torch]
        assert all("torch" in error for error in failed.values())
    assert all(part["rows"] for name, part in parts.items() if name not in failed)
    assert done.returncode == bool(failed), done.stdout
