"""What masks of what moves are worth to a reconstruction: COLMAP with and without them.

    python benchmarks/sfm.py --data path/to/DAVIS --out sfm
    python benchmarks/sfm.py --data path/to/DAVIS --out sfm --sequences dog

Each sequence is segmented as `jaxmotion segment FRAMES --export colmap --dilate 10` does, without
any annotation, and reconstructed by pycolmap (the extra `sfm`) twice, on the CPU, with the same
options and seed. The annotation then tells what is on the moving object. Of the model with most
frames, there are registered frames; keypoints, and those on the object; observations, which are
keypoints that see a 3D point; points, and those with most of their observations on the object; and
the mean reprojection error in pixels. Masks and models are kept in OUT and taken from there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from jaxmotion.answer import Answer, segment_video
from jaxmotion.data.pictures import read_image
from jaxmotion.errors import InputError
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


def reconstruct(config: BenchmarkConfig, frames: Path, masks: Path | None, out: Path) -> None:
    """Leaves the models that COLMAP makes of a folder of frames in OUT/0, OUT/1, ..."""
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
    pycolmap.incremental_mapping(database, frames, out, options=mapping)


def measure(models: list[Any], annotations: Path) -> str:
    """What there is of the model with most frames, as cells of the table."""
    model = max(models, key=lambda model: model.num_reg_images())
    hits: dict[int, list[bool]] = {}
    keypoints = []
    for image in model.images.values():
        truth = read_image(annotations / f"{Path(image.name).stem}.png").max(axis=-1) > 0
        last = np.array(truth.shape[::-1]) - 1
        for point in image.points2D:
            # The center of COLMAP's first pixel is at 0.5.
            column, row = np.clip(np.floor(point.xy).astype(int), 0, last)
            keypoints.append(bool(truth[row, column]))
            if point.has_point3D():
                hits.setdefault(point.point3D_id, []).append(keypoints[-1])
    observations = [hit for seen in hits.values() for hit in seen]
    points = [np.mean(seen) > 0.5 for seen in hits.values()]
    cells = [str(model.num_reg_images())]
    for group in (keypoints, observations, points):
        cells += [f"{len(group):,}", f"{sum(group):,}"]
    return " | ".join([*cells, f"{model.compute_mean_reprojection_error():.3f}"])


def main(config: BenchmarkConfig) -> None:
    """Reconstructs what is not there yet, and prints the table line by line."""
    if pycolmap is None:
        raise InputError('pycolmap is not installed: pip install "jaxmotion[sfm]"')
    enable_compilation_cache()
    print(
        f"COLMAP {pycolmap.__version__}, {config.features} features in every "
        f"{config.every}. frame, masks wider by {config.dilate} pixels\n\n"
        "| sequence | masks | frames | keypoints | on the object | observations | on the object "
        "| points | on the object | error, px |\n|---|---|" + "---:|" * 8
    )
    for name in config.sequences:
        frames = config.data / "JPEGImages" / "480p" / name
        masks = masks_of(config, frames)
        for title, folder in (("without", None), ("with", masks)):
            out = config.out / "models" / name / title
            if not (out / "0").is_dir():
                reconstruct(config, frames, folder, out)
            models = [pycolmap.Reconstruction(str(place)) for place in out.glob("[0-9]*")]
            if not models:
                print(f"| {name} | {title} | 0 |" + " |" * 7, flush=True)
                continue
            cells = measure(models, config.data / "Annotations" / "480p" / name)
            print(f"| {name} | {title} | {cells} |", flush=True)


if __name__ == "__main__":
    main(tyro.cli(BenchmarkConfig))
