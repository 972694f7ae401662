"""The parts of `accelerator.py` that PyTorch runs: the published networks, and RAFT.

As fast as PyTorch is without changing what it computes: TF32, channels last, `torch.compile`. A row
has the faster of eager and compiled, and says which. Needs torch and numpy, and no jaxmotion.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_networks
import torch_raft
from accelerator_timing import time_calls

SIZE, SMALL_SIZE = (128, 224), (16, 24)
PUBLISHED = {"em": (8, 1), "st_ms": (8, 3), "lt_ms": (2, 9)}
TWINS = {"em": ("EM", 4), "st_ms": ("STMS", 4), "lt_ms": ("LTMS", 4)}
"""Classes of `torch_networks`, and the number of masks of the published networks."""


class Rows:
    """The file of rows."""

    def __init__(self, path: Path, device: str) -> None:
        self._path, self.device = path, device
        self._about = {"torch": torch.__version__}

    def add(self, **row: Any) -> None:
        """Adds a row."""
        with self._path.open("a") as file:
            file.write(json.dumps({**row, "about": self._about}) + "\n")


def waiting(device: str) -> Callable[[Any], Any]:
    """The function that waits for the device."""
    return (lambda _: torch.cuda.synchronize()) if device == "cuda" else (lambda result: result)


def fastest(
    rows: Rows, program: str, make: Callable[[bool], Callable], seconds: float, **row: Any
) -> None:
    """Adds the row of the faster of eager and compiled.

    Args:
        rows: the file.
        program: name of the row.
        make: function from whether to compile to the call to time.
        seconds: seconds for each.
        **row: what else is known.
    """
    found = {}
    for kind in ("eager", "compiled"):
        try:
            if rows.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            call = make(kind == "compiled")
            waiting(rows.device)(call())
            first = time.perf_counter() - start
            timed = time_calls(call, waiting(rows.device), seconds)
        except Exception as error:  # of the compiler; the other way still counts
            if kind == "eager":
                raise
            print(f"{program}, compiled: {' '.join(str(error).split())[:300]}")
            continue
        memory = torch.cuda.max_memory_allocated() if rows.device == "cuda" else None
        found[kind] = {**timed, "memory": memory, "compilation": max(first - timed["seconds"], 0)}
    kind = min(found, key=lambda kind: found[kind]["seconds"])
    also = {name: times["seconds"] for name, times in found.items()}
    rows.add(program=f"{program}, torch ({kind})", **row, **found[kind], both=also)


def networks(rows: Rows, small: bool, seconds: float) -> None:
    """The published networks, forward and with the gradient of the mean square of their logits."""
    for name, (clips, frames) in PUBLISHED.items():
        clips, (height, width) = 1 if small else clips, SMALL_SIZE if small else SIZE
        kind, masks = TWINS[name]
        widths = (torch_networks.EM_WIDTHS[:3],) if small and name == "em" else ()
        network = getattr(torch_networks, kind)(masks, *widths)
        of_space = torch.channels_last if name == "em" else torch.channels_last_3d
        network = network.to(rows.device).to(memory_format=of_space)  # pyright: ignore
        flow = torch.randn(clips, frames, height, width, 2)
        shape = f"{clips} × {frames} × {height} × {width}"

        def forward(compiled: bool, network=network, flow=flow) -> Callable:
            function = torch.compile(network) if compiled else network

            def call() -> torch.Tensor:
                with torch.inference_mode():
                    return function(flow)

            return call

        def gradient(compiled: bool, network=network, flow=flow) -> Callable:
            function = torch.compile(network) if compiled else network

            def call() -> torch.Tensor:
                network.zero_grad(set_to_none=True)
                loss = function(flow).square().mean()
                loss.backward()
                return loss

            return call

        for words, make in (("forward", forward), ("with gradient", gradient)):
            what = {"clips": shape, "frames": clips * frames}
            fastest(rows, f"published {name}, {words}", make, seconds / 30, **what)


def raft(rows: Rows, small: bool, seconds: float) -> None:
    """RAFT on a pair of frames, from the host and back to it, upsampled once."""
    height, width = (64, 96) if small else (480, 856)  # ours pads 854 to it
    iterations = 2 if small else 12
    images = [np.random.default_rng(0).uniform(0, 255, (1, 3, height, width)).astype("f4")] * 2
    for name in ("small",) if small else ("large", "small"):
        network = torch_raft.RAFT(name == "small", upsample_every=False).eval().to(rows.device)
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore

        def make(compiled: bool, network=network) -> Callable:
            function = torch.compile(network) if compiled else network

            def call() -> np.ndarray:
                with torch.inference_mode():
                    pair = [torch.from_numpy(image).to(rows.device) for image in images]
                    return function(*pair, iterations).cpu().numpy()

            return call

        what = {"clips": f"{height} × {width}", "frames": 1}
        fastest(rows, f"RAFT {name}, {iterations} iterations", make, seconds / 8, **what)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=("twin_networks", "twin_raft"))
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() and not options.small else "cpu"
    torch.set_default_device(device)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    rows = Rows(options.rows, device)
    part = networks if options.part == "twin_networks" else raft
    part(rows, options.small, 0.0 if options.small else options.seconds)


if __name__ == "__main__":
    main()
