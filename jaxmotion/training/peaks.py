"""The most that devices compute, by their kind, as their makers publish it."""

PEAKS = {
    # Cloud TPU's pages of each chip, "Peak compute per chip (bf16)":
    # https://docs.cloud.google.com/tpu/docs/v2, and in place of v2 v3, v4, v5e, v5p, v6e, tpu7x.
    # A device is half a chip of v2, v3 and 7x, and one whole of the others.
    "TPU v2": 45e12 / 2,
    "TPU v3": 123e12 / 2,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "TPU7x": 2307e12 / 2,
    # NVIDIA's data sheets, "BFLOAT16 Tensor Core". That of the A100 gives 312 without sparsity;
    # those of the H100 (SXM 1,979, PCIe 1,513, NVL 1,671), H200 (1,979) and L4 (242) with it, which
    # is twice as much. The V100 and older ones have no bfloat16, and are left out.
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100-PCIE-40GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA H100 80GB HBM3": 989.5e12,
    "NVIDIA H100 PCIe": 756.5e12,
    "NVIDIA H100 NVL": 835.5e12,
    "NVIDIA H200": 989.5e12,
    "NVIDIA L4": 121e12,
}
"""FLOP/s of dense bfloat16 products by `jax.Device.device_kind`. Whatever a program computes in,
its utilization is measured against these."""
