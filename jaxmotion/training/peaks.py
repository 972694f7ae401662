"""The most that devices compute, by their kind, as their makers publish it."""

PEAKS = {
    # https://docs.cloud.google.com/tpu/docs/v2, and in place of v2 v3, v4, v5e, v5p, v6e, tpu7x:
    # the peak of a chip in bfloat16. A device is half a chip of v2, v3 and 7x.
    "TPU v2": 45e12 / 2,
    "TPU v3": 123e12 / 2,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "TPU7x": 2307e12 / 2,
    # NVIDIA's data sheets of the A100, H100, H200 and L4: bfloat16 on tensor cores. The last three
    # give it with sparsity, so half of it is taken.
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100-PCIE-40GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA H100 80GB HBM3": 989.5e12,
    "NVIDIA H100 PCIe": 756.5e12,
    "NVIDIA H200": 989.5e12,
    "NVIDIA L4": 121e12,
}
"""FLOP/s of dense bfloat16 products by `jax.Device.device_kind`. Whatever a program computes in,
its utilization is measured against these."""
