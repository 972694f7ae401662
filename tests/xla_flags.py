"""How XLA compiles and waits in tests. JAX reads it once, from the environment, when it starts."""

# Most programs of the tests run once or twice: to compile them fast is what counts.
FAST_COMPILATION = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

# A device that waits for another one in a collective gives up after 40 s by default, and the whole
# process with it. On a machine that is busy with other things that is not long.
PATIENCE = (
    "--xla_cpu_collective_call_terminate_timeout_seconds=3600 "
    "--xla_cpu_collective_timeout_seconds=3600"
)


def virtual_devices(count: int) -> dict[str, str]:
    """The environment of a process with several CPU devices."""
    devices = f"--xla_force_host_platform_device_count={count}"
    return {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{devices} {FAST_COMPILATION} {PATIENCE}",
        # XLA's threads: eight of them may wait, one for each device, for others that solve a batch
        # of triangular systems for them (jaxlib), and with no more than eight for ever.
        "NPROC": "32",
    }
