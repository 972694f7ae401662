"""The plan past this machine: its laws, its arithmetic, its table."""

import dataclasses

import pytest
import scaling

pytestmark = pytest.mark.sharding

CHIP = scaling.Chip("chip", 100.0, 10.0, 20.0, 1000.0, 5.0, 8, 1.0, 0.01, 0.1)
ROW = {
    "products": 0.0,
    "exact": 0.0,
    "touched": 0.0,
    "temporaries": 0.0,
    "kernels": 0.0,
    "halo": 0.0,
    "sums": 0.0,
    "parameters": 0.0,
    "exchanges": 0.0,
}


def truth(case: scaling.Case) -> dict[str, float]:
    """A program whose numbers follow the laws."""
    own, clips = case.frames / case.time, case.clips
    shared = case.time > 1
    work = clips * (7e6 * own + 300.0 * own * case.frames)
    return {
        "products": 5e6 + work,
        "exact": 0.1 * work,
        "touched": 2e6 + 3 * work,
        "temporaries": 1e6 + clips * (4e6 * own + 2e4 * case.frames),
        "kernels": 5000.0 + 40 * case.frames + 300 * shared,
        "halo": 3e5 * clips * shared,
        "sums": shared * (1e3 * (case.data == 1) + clips * 700.0 * case.frames),
        "parameters": 4e6 * (case.data > 1),
        "exchanges": 3.0 * (case.devices > 1) + 400 * shared,
        "state": 1.6e7,
    }


def test_laws_are_found_and_foretell_what_was_not_compiled():
    constants = scaling.fit_laws({case: truth(case) for case in scaling.COMPILED[:-1]})
    for case in (scaling.COMPILED[-1], scaling.Case(64, 8, 1, 4096), scaling.Case(512, 1, 1, 9)):
        found, expected = scaling.predict(constants, case), truth(case)
        for name in scaling.QUANTITIES:
            assert found[name] == pytest.approx(expected[name], rel=1e-3), name


@pytest.mark.parametrize(
    ("row", "data", "time", "seconds", "bound"),
    [
        ({"products": 300.0, "exact": 100.0}, 1, 1, 200 / 100 + 100 / 10, "compute"),
        ({"touched": 60.0, "products": 100.0}, 1, 1, 3.0, "memory"),
        ({"halo": 5.0, "sums": 20.0}, 1, 4, (5 + 2 * 20 * 3 / 4) / 5, "network"),
        ({"halo": 5.0, "sums": 20.0}, 1, 16, (5 + 2 * 20 * 15 / 16) / 1, "network"),
        ({"parameters": 40.0}, 4, 1, 2 * 40 * 3 / 4 / 5, "network"),
        ({"parameters": 40.0}, 16, 1, 2 * 40 * 15 / 16 / 1, "network"),
        ({"kernels": 100.0, "exchanges": 5.0, "touched": 1.0}, 1, 1, 1.5, "latency"),
    ],
)
def test_a_step_takes_as_long_as_its_longest_part(row, data, time, seconds, bound):
    found = scaling.step_time(CHIP, scaling.Case(data, time, 1, 64), ROW | row)
    assert found == (pytest.approx(seconds), bound)


def test_the_longest_clip_just_fits():
    constants = scaling.fit_laws({case: truth(case) for case in scaling.COMPILED[:-1]})
    chip = dataclasses.replace(CHIP, memory=1e9)
    for time in (1, 8):
        frames = scaling.longest_clip(chip, constants, time, state=1.6e7)
        assert frames % time == 0
        fits, next_one = (
            truth(scaling.Case(1, time, 1, n))["temporaries"] + 1.6e7 < 0.9e9
            for n in (frames, frames + 2 * time)
        )
        assert fits
        assert not next_one


def test_the_tables_name_every_mesh_chip_and_bound(capsys):
    scaling.print_tables({case: truth(case) for case in scaling.COMPILED})
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in rows} == {8, 11, 6}
    for chip in scaling.CHIPS:
        assert chip.name in printed
    assert "| 512 × 1 | 4096 |" in printed
    assert "| 1 × 64 | 9 |" not in printed  # no frame for most of the devices


def test_published_figures_stay_within_their_order():
    for chip in scaling.CHIPS:
        assert 10 < chip.products / chip.bandwidth < 1000  # FLOP per byte of any accelerator
        assert chip.exact < chip.products
        assert chip.network <= chip.link < chip.bandwidth
