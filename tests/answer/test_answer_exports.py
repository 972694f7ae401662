"""What moves in the files of other programs, each read by its own program or as that reads it."""

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt

import jaxmotion as jm
from jaxmotion.answer import Answer, segment_video
from jaxmotion.data import VideoWriter, open_video, write_image
from jaxmotion.data.windows import InferenceConfig
from jaxmotion.optical_flow import DIS

FRAMES, SIZE = 7, (45, 63)
NAMES = [f"shot_{t:04d}" for t in range(FRAMES)]


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def moving(answered):
    """bool [T, H, W], what the pictures say."""
    pictures = np.stack([read(answered.out / "moving" / f"{name}.png") for name in NAMES])
    assert set(np.unique(pictures)) == {0, 255}
    return pictures == 255


@pytest.fixture(scope="module")
def labels(answered):
    return np.stack([read(answered.out / "masks" / f"{name}.png") for name in NAMES])


def test_moving_is_the_union_of_the_moving_segments(answered, moving, labels):
    np.testing.assert_array_equal(moving, answered.report.moving[labels])


def test_colmap_masks_are_named_after_the_pictures_and_black_where_it_moves(answered, moving):
    folder = answered.out / "colmap" / "masks"
    assert names_in(folder) == [f"{name}.jpg.png" for name in NAMES]
    assert names_in(folder.parent) == ["masks"]  # the user's pictures are there already
    for name, there in zip(NAMES, moving, strict=True):
        mask = read(folder / f"{name}.jpg.png")
        assert mask.dtype == np.uint8
        near = distance_transform_edt(~there) <= 3 if there.any() else there
        np.testing.assert_array_equal(mask, np.where(near, 0, 255))


def test_colmap_finds_nothing_where_it_moves(answered, moving, tmp_path):
    pycolmap = pytest.importorskip("pycolmap")

    def keypoints(reader):
        database = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        pycolmap.extract_features(
            database, answered.frames, reader_options=reader, device=pycolmap.Device.cpu
        )
        with pycolmap.Database.open(database) as opened:
            images = {image.name: image.image_id for image in opened.read_all_images()}
            return [opened.read_keypoints(images[f"{name}.jpg"]) for name in NAMES]

    def inside(points):
        hits = 0
        for found, there in zip(points, moving, strict=True):
            x, y = np.floor(np.asarray(found)[:, :2]).astype(int).T
            hits += int(there[np.clip(y, 0, 44), np.clip(x, 0, 62)].sum())
        return hits

    masked = pycolmap.ImageReaderOptions()
    masked.mask_path = str(answered.out / "colmap" / "masks")
    assert inside(keypoints(pycolmap.ImageReaderOptions())) > 0
    assert inside(keypoints(masked)) == 0


def test_nerfstudio_masks_are_named_without_the_suffix_of_the_picture(answered):
    folder = answered.out / "nerfstudio" / "masks"
    assert names_in(folder) == [f"{name}.png" for name in NAMES]
    for name in NAMES:
        same = answered.out / "colmap" / "masks" / f"{name}.jpg.png"
        np.testing.assert_array_equal(read(folder / f"{name}.png"), read(same))


def test_pycocotools_reads_the_tracks(answered, labels):
    from pycocotools.coco import COCO

    coco = COCO(answered.out / "coco.json")
    segments = np.flatnonzero(answered.report.moving)
    images = coco.loadImgs(coco.getImgIds())
    assert [image["file_name"] for image in images] == [f"{name}.jpg" for name in NAMES]
    assert [image["frame_index"] for image in images] == list(range(FRAMES))
    seen = np.zeros((FRAMES, len(segments)), bool)
    for annotation in coco.loadAnns(coco.getAnnIds()):
        frame, track = annotation["image_id"] - 1, annotation["track_id"] - 1
        mask = labels[frame] == segments[track]
        np.testing.assert_array_equal(coco.annToMask(annotation), mask)
        rows, columns = np.nonzero(mask)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert annotation["bbox"] == box
        assert annotation["area"] == mask.sum()
        seen[frame, track] = True
    for k, segment in enumerate(segments):
        np.testing.assert_array_equal(seen[:, k], (labels == segment).any(axis=(1, 2)))


def test_cutouts_are_the_pictures_where_it_moves(answered, moving):
    frames = list(open_video(answered.frames))
    for name, frame, there in zip(NAMES, frames, moving, strict=True):
        cutout = read(answered.out / "cutout" / f"{name}.png")
        np.testing.assert_array_equal(cutout[..., 3], np.where(there, 255, 0))
        np.testing.assert_array_equal(cutout[there, :3], frame[there])
        assert not cutout[~there].any()


def test_ffmpeg_reads_the_alpha_of_the_video(answered, moving):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", answered.out / "alpha.mov"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    alpha = np.frombuffer(data, np.uint8).reshape(FRAMES, 46, 64, 4)[:, :45, :63, 3]
    np.testing.assert_array_equal(alpha > 127, moving)


def test_davis_annotations_are_indexed_by_what_moves(answered, labels):
    folder = answered.out / "davis" / "Annotations" / "480p" / "clip"
    assert names_in(folder) == [f"{name}.png" for name in NAMES]
    segments = np.flatnonzero(answered.report.moving)
    for name, frame in zip(NAMES, labels, strict=True):
        with Image.open(folder / f"{name}.png") as image:
            assert image.mode == "P"
            colors = np.reshape(image.getpalette(), (-1, 3))
            numbers = np.asarray(image)
        # The first colors of DAVIS: black, dark red, dark green, dark yellow.
        assert colors[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
        expected = sum((i + 1) * (frame == segment) for i, segment in enumerate(segments))
        np.testing.assert_array_equal(numbers, expected)


def test_probabilities_and_saliency_go_with_what_moves(answered, moving):
    for kind in ("probabilities", "saliency"):
        assert names_in(answered.out / kind) == [f"{name}.png" for name in NAMES]
    shown = np.stack([read(answered.out / "probabilities" / f"{name}.png") for name in NAMES])
    # The likeliest segment moves, and so does more than half of what there may be, but where more
    # than two segments compete.
    assert ((shown > 127) == moving).mean() > 0.9
    saliency = np.stack([read(answered.out / "saliency" / f"{name}.png") for name in NAMES])
    assert not saliency[~moving].any()
    assert saliency.max() > 100  # 6 of 0.15 per pixel: 1 - exp(-0.9) is 0.59


@pytest.fixture(scope="module")
def segmenter(untrained_run):
    return jm.Segmenter.load(untrained_run, InferenceConfig(1, 0))


def test_of_a_video_file_the_pictures_are_written_too(segmenter, tmp_path):
    """COLMAP reads pictures only."""
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for _ in range(3):
            writer.write(rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8))
    answer = Answer(exports=("colmap", "nerfstudio"))
    segment_video(tmp_path / "a.mp4", segmenter, tmp_path / "out", DIS("ultrafast"), answer)
    for place, mask in (("colmap", "{}.jpg.png"), ("nerfstudio", "{}.png")):
        folder = tmp_path / "out" / place
        assert names_in(folder / "images") == [f"{t:05d}.jpg" for t in range(3)]
        assert names_in(folder / "masks") == [mask.format(f"{t:05d}") for t in range(3)]
        assert read(folder / "images" / "00000.jpg").shape[:2] == (46, 64)  # H.264 made it even


def test_pictures_that_their_camera_turned_are_written_upright(segmenter, tmp_path):
    for t in range(3):
        image = Image.fromarray(np.full((*SIZE, 3), 40 * t, np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6
        (tmp_path / "clip").mkdir(exist_ok=True)
        image.save(tmp_path / "clip" / f"{t}.jpg", exif=exif)
    answer = Answer(exports=("colmap",))
    segment_video(tmp_path / "clip", segmenter, tmp_path / "out", DIS("ultrafast"), answer)
    for kind, name in (("images", "1.jpg"), ("masks", "1.jpg.png")):
        assert read(tmp_path / "out" / "colmap" / kind / name).shape[:2] == SIZE[::-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"exports": ("colmapp",)}, "export 'colmapp': unknown, expected one of colmap, nerfst"),
        ({"exports": ("colmap",), "dilate": -1}, "dilate -1: expected 0 or more pixels"),
        ({"exports": ("coco",), "dilate": 2}, "dilate 2: widens the masks of the exports colmap"),
    ],
)
def test_what_cannot_be_asked(options, words):
    with pytest.raises(jm.InputError, match=words):
        Answer(**options)


def test_exports_of_an_earlier_run_go_and_what_is_of_the_user_stays(answered, segmenter, tmp_path):
    out = tmp_path / "out"
    answer = Answer(exports=("davis", "coco"))
    segment_video(answered.frames, segmenter, out, DIS("ultrafast"), answer)
    assert (out / "coco.json").exists()
    segment_video(answered.frames, segmenter, out, DIS("ultrafast"))
    assert not (out / "coco.json").exists()
    assert not (out / "davis").exists()
    write_image(out / "cutout" / "mine.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(jm.InputError, match=r"cutout/mine\.png: is there and was not written by"):
        segment_video(
            answered.frames, segmenter, out, DIS("ultrafast"), Answer(exports=("cutout",))
        )
    assert names_in(out / "cutout") == ["mine.png"]
