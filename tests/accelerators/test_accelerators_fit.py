"""The fit in the program for a TPU itself: it compiles, every product is exact, kernels are few."""

import hlo
import pytest

# Kernels of the program, the body of a loop counted once: what was found, and a tenth more.
MOST_KERNELS = {"em": 315, "st_ms": 520, "lt_ms": 510, "lt_ms of a long clip": 1060}


@pytest.mark.tpu_aot
@pytest.mark.parametrize("method", MOST_KERNELS)
def test_the_fit_compiles_for_a_tpu_to_exact_products_and_few_kernels(for_a_tpu, method):
    printed = for_a_tpu("fit_program.py", method)
    text = printed[printed.index("HloModule ") :]
    products = [i for i in hlo.instructions(text) if i.kind in ("dot", "convolution")]
    assert products
    for product in products:  # else in bfloat16, which ruins normal equations
        assert "operand_precision={highest,highest}" in product.text, product.text
    assert hlo.work(text).written <= MOST_KERNELS[method]
