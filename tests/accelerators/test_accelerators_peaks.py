"""Peaks of devices, under the names that their compilers know them by."""

import json
from pathlib import Path

import pytest

from jaxmotion.training.peaks import PEAKS

TERA = 1e12
# Of a chip in bfloat16, as Google publishes it, and devices of a chip.
CHIPS = {
    "v4:2x2x1": (275, 1),
    "v5e:2x2": (197, 1),
    "v5p:2x2x1": (459, 1),
    "v6e:2x2": (918, 1),
    "tpu7x:2x2x1": (2307, 2),
}


@pytest.mark.tpu_aot
def test_every_tpu_has_the_peak_of_its_part_of_a_chip(for_a_tpu):
    kinds = json.loads(for_a_tpu("device_kinds.py", *CHIPS).splitlines()[-1])
    found = [PEAKS.get(kind) for kind in kinds]
    assert found == [chip * TERA / devices for chip, devices in CHIPS.values()], kinds


def test_the_described_h100_has_half_of_what_its_sheet_says_with_sparsity(request):
    text = (Path(request.config.rootpath) / "benchmarks" / "h100.txtpb").read_text()
    (name,) = (line for line in text.splitlines() if line.startswith("device_description_str"))
    assert PEAKS[name.split('"')[1]] == 1979 * TERA / 2
