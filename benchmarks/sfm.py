"""What masks of what moves are worth to a reconstruction: COLMAP with and without them.

    python benchmarks/sfm.py --data path/to/DAVIS --out sfm
    python benchmarks/sfm.py --data path/to/DAVIS --out sfm --sequences dog

Each sequence is segmented as `jaxmotion segment FRAMES --export colmap --dilate 10` does, without
any annotation, and reconstructed by pycolmap (the extra `sfm`) twice, on the CPU, with the same
options and seed. The annotation then tells which of what was reconstructed is on the moving object:

- observations: keypoints of registered frames that see a 3D point, and the share on the object;
- points: 3D points, and the share with most of their observations on the object;
- registered frames, and the mean reprojection error in pixels.

What was measured is kept in OUT/SEQUENCE.json; the table is of all that are there.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from jaxmotion.answer import Answer, segment_video
from jaxmotion.data.pictures import read_image
from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.optical_flow import Refined
from jaxmotion.training.compilation_cache import enable_compilation_cache

try:
    import pycolmap
except ImportError:
    pycolmap: Any = None

SEED = 0


@dataclass(frozen=True)
class BenchmarkConfig:
    """Reconstructs videos with and without masks.

    Attributes:
        data: folder laid out like DAVIS, with frames.
        out: where masks, reconstructions and measures are kept.
        sequences: names.
        checkpoint: the network.
        dilate: pixels by which masks are widened.
        every: one frame in so many is reconstructed.
        features: about how many keypoints a frame has, at most.
        overlap: frames that each frame is matched with.
        threads: of COLMAP.
    """

    data: Path
    out: Path
    sequences: tuple[str, ...] = ("blackswan", "car-shadow", "dog", "libby", "scooter-black")
    checkpoint: str = "lt-ms-k4"
    dilate: int = 10
    every: int = 2
    features: int = 1024
    overlap: int = 5
    threads: int = 2


def masks_of(config: BenchmarkConfig, frames: Path) -> Path:
    """The folder of masks for COLMAP, made unless it is there."""
    out = config.out / "segmented" / frames.name
    masks = out / "colmap" / "masks"
    if not masks.is_dir():
        answer = Answer(exports=("colmap",), dilate=config.dilate)
        segment_video(frames, Segmenter.load(config.checkpoint), out, Refined(), answer)
    return masks


def reconstruct(config: BenchmarkConfig, frames: Path, masks: Path | None, out: Path) -> Any:
    """The largest model that COLMAP makes of a folder of frames; None if it makes none."""
    out.mkdir(parents=True, exist_ok=True)
    database = out / "database.db"
    database.unlink(missing_ok=True)
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "SIMPLE_RADIAL"
    if masks is not None:
        reader.mask_path = str(masks)
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.num_threads = config.threads
    extraction.sift.max_num_features = config.features
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads = config.threads
    pairing = pycolmap.SequentialPairingOptions()
    pairing.overlap = config.overlap
    mapping = pycolmap.IncrementalPipelineOptions()
    mapping.num_threads = config.threads
    mapping.random_seed = SEED
    pycolmap.set_random_seed(SEED)
    device = pycolmap.Device.cpu
    names = [path.name for path in sorted(frames.glob("*.jpg"))][:: config.every]
    pycolmap.extract_features(
        database,
        frames,
        image_names=names,
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reader,
        extraction_options=extraction,
        device=device,
    )
    pycolmap.match_sequential(
        database, matching_options=matching, pairing_options=pairing, device=device
    )
    models = pycolmap.incremental_mapping(database, frames, out, options=mapping)
    return max(models.values(), key=lambda model: model.num_reg_images(), default=None)


def measure(model: Any, annotations: Path) -> dict[str, float]:
    """The figures of a model, `truth` being where the object is."""
    if model is None:
        names = ("frames", "observations", "on_object", "points", "points_on_object", "error")
        return dict.fromkeys(names, 0.0)
    hits: dict[int, list[bool]] = {}
    for image in model.images.values():
        if not image.has_pose:
            continue
        truth = read_image(annotations / f"{Path(image.name).stem}.png").max(axis=-1) > 0
        last = np.array(truth.shape[::-1]) - 1
        for point in image.get_observation_points2D():
            # The center of COLMAP's first pixel is at 0.5.
            column, row = np.clip(np.floor(point.xy).astype(int), 0, last)
            hits.setdefault(point.point3D_id, []).append(bool(truth[row, column]))
    observations = [hit for seen in hits.values() for hit in seen]
    return {
        "frames": model.num_reg_images(),
        "observations": len(observations),
        "on_object": float(np.mean(observations)),
        "points": len(hits),
        "points_on_object": float(np.mean([np.mean(seen) > 0.5 for seen in hits.values()])),
        "error": model.compute_mean_reprojection_error(),
    }


def main(config: BenchmarkConfig) -> None:
    """Measures what is not kept yet, then prints the table."""
    if pycolmap is None:
        raise InputError('pycolmap is not installed: pip install "jaxmotion[sfm]"')
    enable_compilation_cache()
    for name in config.sequences:
        kept = config.out / f"{name}.json"
        if kept.exists():
            continue
        frames = config.data / "JPEGImages" / "480p" / name
        masks = masks_of(config, frames)
        rows = {}
        for title, folder in (("without", None), ("with", masks)):
            start = time.process_time()
            model = reconstruct(config, frames, folder, config.out / "models" / name / title)
            rows[title] = measure(model, config.data / "Annotations" / "480p" / name)
            rows[title]["cpu_seconds"] = time.process_time() - start
        rows["of"] = {"frames": len(list(frames.glob("*.jpg"))[:: config.every])}
        with atomic_path(kept) as path:
            path.write_text(json.dumps(rows, indent=1))
    print(
        f"COLMAP {pycolmap.__version__}, {config.features} features in every "
        f"{config.every}. frame, masks wider by "
        f"{config.dilate} pixels\n"
    )
    print(
        "| sequence | masks | frames | observations | on the object | points | on the object | "
        "error, px | CPU s |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for name in config.sequences:
        rows = json.loads((config.out / f"{name}.json").read_text())
        for title in ("without", "with"):
            r = rows[title]
            print(
                f"| {name} | {title} | {r['frames']:.0f} of {rows['of']['frames']} "
                f"| {r['observations']:,.0f} | {100 * r['on_object']:.1f} % "
                f"| {r['points']:,.0f} | {100 * r['points_on_object']:.1f} % "
                f"| {r['error']:.3f} | {r['cpu_seconds']:.0f} |"
            )


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
