"""The fit in the program for a TPU itself: it compiles, every product is exact, kernels are few."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import hlo
import pytest

PROGRAM = Path(__file__).with_name("fit_program.py")
# Kernels of the program, the body of a loop counted once: what was found, and a tenth more.
MOST_KERNELS = {"em": 490, "st_ms": 640, "lt_ms": 690, "lt_ms of a long clip": 1240}


@pytest.mark.tpu_aot
@pytest.mark.parametrize("method", MOST_KERNELS)
def test_the_fit_compiles_for_a_tpu_to_exact_products_and_few_kernels(method):
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("no TPU compiler (pip install jaxmotion[accelerators])")
    # Nothing is asked of the machine, and another process may have the compiler loaded, too.
    nothing = {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), method],
        env=os.environ | nothing | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout[done.stdout.index("HloModule ") :]
    products = [i for i in hlo.instructions(text) if i.kind in ("dot", "convolution")]
    assert products
    for product in products:  # else in bfloat16, which ruins normal equations
        assert "operand_precision={highest,highest}" in product.text, product.text
    assert hlo.work(text).kernels <= MOST_KERNELS[method]
