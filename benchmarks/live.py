"""What `jaxmotion live` reaches on this machine: frames per second, latency, CPU time by frame.

    python benchmarks/live.py
    python benchmarks/live.py --flow-pixels 307200 --checkpoints st-ms-k4

A drawn film of 640x480 is the source, read from a file and recorded, as without a display.
Compilation is left out. CPU seconds are those of all threads of the process; those of the encoder
and the decoder, which are processes of their own, stand beside. The load average says how busy the
machine was with other work.
"""

import os
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxmotion.data.video import VideoWriter
from jaxmotion.inference.causal import CausalSegmenter
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.live import Recording, open_source
from jaxmotion.live.loop import FLOW_PIXELS, Live, watch
from jaxmotion.optical_flow import estimator_for_masks
from jaxmotion.scenes.film import draw_film
from jaxmotion.training.compilation_cache import enable_compilation_cache


@dataclass(frozen=True)
class BenchmarkConfig:
    """Runs the loop on a film.

    Attributes:
        checkpoints: networks.
        size: rows and columns of the film.
        frames: number of its frames.
        flow_pixels: pixels that its frames are reduced to about, for DIS.
        stride: frames after which the network looks again.
    """

    checkpoints: tuple[str, ...] = ("st-ms-k4", "em-k2")
    size: tuple[int, int] = (480, 640)
    frames: int = 60
    flow_pixels: int = FLOW_PIXELS
    stride: int = 1


def main(config: BenchmarkConfig) -> None:
    """Prints a line for each network."""
    enable_compilation_cache()
    estimator = estimator_for_masks("dis")
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        with VideoWriter(film) as writer:
            for frame in draw_film(config.frames, *config.size).frames:
                writer.write(frame)
        for name in config.checkpoints:
            segmenter = CausalSegmenter(Segmenter.load(name), stride=config.stride)
            Live(segmenter, estimator, config.size, config.flow_pixels).prepare()
            source, out = open_source(str(film)), Path(folder) / "out.mp4"
            before, others = time.process_time(), _children()
            report = watch(
                source,
                segmenter,
                estimator,
                [Recording(out, source.fps, source.is_live)],
                flow_pixels=config.flow_pixels,
            )
            own = (time.process_time() - before) / report.frames
            other = (_children() - others) / report.frames
            print(f"{name}: {report}")
            print(
                f"  CPU {1000 * own:.0f} ms/frame, encoder and decoder {1000 * other:.0f}; "
                f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            )


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
