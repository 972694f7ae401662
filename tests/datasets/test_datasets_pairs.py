"""Builders: what belongs together by its name, what masks mean, what is left out, what trains."""

import json
import shutil

import numpy as np
import pytest
from original_layouts import FLOW_SIZE, LAYOUTS, SIZE, mask, two_objects, write
from PIL import Image

from jaxmotion.cli import run_command
from jaxmotion.commands import train
from jaxmotion.data import open_source
from jaxmotion.errors import InputError
from jaxmotion.optical_flow import write_flo


def rename(folder, name):
    """Gives every file the name of its place in the order."""
    for t, path in enumerate(sorted(folder.iterdir())):
        path.rename(path.with_name(name(t) + path.suffix))


def test_masks_are_of_the_frames_of_their_numbers(original, build, records):
    root = original("davis2016")
    rename(root / "Annotations/480p/car", lambda t: f"car-{t}")
    (root / "ImageSets/480p/train.txt").write_text("\ufeffcar\n# the only one\n")
    (root / "ImageSets/480p/val.txt").write_text("dog  # and goat\ngoat\n")
    status, _, err = build("davis2016", root)
    assert status == 0, err
    record = records("davis2016/files", "train")["car"]
    expected = np.stack([mask(t, 1) for t in range(4)])[..., None]
    np.testing.assert_array_equal(record["masks"], expected)


@pytest.mark.parametrize("name", ["davis2016", "segtrack_v2", "video_flow"])
def test_masks_that_count_from_another_number_are_refused(name, original, build):
    root = original(name)
    folder = {
        "davis2016": "Annotations/480p/car",
        "segtrack_v2": "GroundTruth/girl",
        "video_flow": "masks/walk",
    }[name]
    if name == "davis2016":
        (root / "ImageSets/480p/train.txt").write_text("car\n")
    rename(root / folder, lambda t: f"girl_{t + 4:04d}")
    status, _, err = build(name, root)
    assert status == 2
    assert "no such file, though its mask is there" in err or "a mask of no frame" in err


def test_fields_are_of_the_frames_of_their_numbers(original, build, records):
    root = original("davis2016")
    folder = root / "Flows/made/car"
    folder.with_suffix(".npz").unlink()
    for t in range(3):
        write_flo(folder / f"{t}.FLO", np.full((*FLOW_SIZE, 2), t, np.float32))
    assert build("davis2016", root)[0] == 0
    flow = records("davis2016/files", "train")["car"]["flow"]
    np.testing.assert_array_equal(flow[:, 0, 0, 0], [0, 1, 2])


def test_a_missing_first_field_is_named(original, build):
    root = original("davis2016")
    folder = root / "Flows/made/car"
    folder.with_suffix(".npz").unlink()
    for t in range(1, 4):
        write_flo(folder / f"{t:05d}.flo", np.zeros((*FLOW_SIZE, 2), np.float32))
    status, _, err = build("davis2016", root)
    assert status == 2
    assert f"error: {folder / '00000.flo'}: no such flow" in err


def test_flow_of_another_shape_is_refused(original, build):
    root = original("davis2016")
    path = root / "Flows/made/car.npz"
    np.savez(path, flow=np.load(path)["flow"].transpose(0, 2, 1, 3))
    status, _, err = build("davis2016", root)
    assert status == 2
    assert f"error: {path}: flow of 6 x 8, expected the aspect ratio of" in err


def test_flow_has_to_be_of_all_frames_of_a_video_file(original, build):
    root = original("video_flow")
    path = root / "Flows/made/run.npz"
    np.savez(path, flow=np.load(path)["flow"][:2])
    status, _, err = build("video_flow", root)
    assert status == 2
    assert f"error: {path}: 2 flow fields, expected 4 for the 5 frames of run" in err


@pytest.mark.parametrize("colors", [None, [0, 0, 0, 255, 255, 255], [255, 255, 255, 0, 0, 0]])
def test_two_values_of_a_mask_are_two_whatever_they_are(colors, original, build, records):
    root = original("segtrack_v2")
    for place in ("girl", "bmx/1", "bmx/2"):
        for path in (root / "GroundTruth" / place).iterdir():
            with Image.open(path) as picture:
                values = (np.asarray(picture.convert("L")) > 0).astype(np.uint8)
            if colors is None:
                image = Image.fromarray(values)
            else:
                image = Image.fromarray(values if colors[0] == 0 else 1 - values, mode="P")
                image.putpalette(colors)
            image.save(path)
    assert build("segtrack_v2", root)[0] == 0
    found = records("segtrack_v2/files", "test")
    np.testing.assert_array_equal(found["girl"]["masks"][2, ..., 0], mask(2, 1))
    expected = np.stack([two_objects(t) for t in range(3)])
    np.testing.assert_array_equal(found["bmx"]["masks"][..., 0], expected)


def test_which_value_of_a_mask_is_the_background_has_to_be_known(original, build):
    root = original("segtrack_v2")
    path = root / "GroundTruth/girl/girl_0001.bmp"
    write(path, mask(1, 1) + np.uint8(1))
    status, _, err = build("segtrack_v2", root)
    assert status == 2
    assert f"error: {path}: masks of the values 1, 2, expected 0 for the background" in err


def test_masks_of_no_video_are_warned_of(original, build, caplog):
    root = original("segtrack_v2")
    shutil.copytree(root / "GroundTruth/girl", root / "GroundTruth/worm")
    assert build("segtrack_v2", root)[0] == 0
    assert f"{root / 'GroundTruth/worm'}: left out, its frames are not there" in caplog.text


def test_masks_without_an_object_are_warned_of(original, build, caplog):
    root = original("segtrack_v2")
    for path in (root / "GroundTruth/girl").iterdir():
        write(path, np.zeros(SIZE, np.uint8))
    assert build("segtrack_v2", root)[0] == 0
    assert f"{root / 'GroundTruth/girl'}: no object in any mask of girl" in caplog.text


def test_all_videos_of_a_folder_are_built_and_what_is_none_is_named(
    original, build, records, caplog
):
    root = original("video_flow")
    shutil.copy(root / "run.mp4", root / "fly.MTS")  # the content tells the decoder what it is
    shutil.copy(root / "Flows/made/run.npz", root / "Flows/made/fly.npz")
    (root / "notes.txt").write_text("mine")
    (root / "swim.rm").write_text("a video of an old kind")
    (root / "empty").mkdir()
    status, out, err = build("video_flow", root)
    assert status == 0, err
    assert ": 3 in train (" in out
    assert sorted(records("video_flow/files", "train")) == ["fly", "run", "walk"]
    assert "left out" in caplog.text
    assert "pictures: empty/, notes.txt, swim.rm" in caplog.text


def test_masks_of_a_kind_that_loses_values_are_refused(original, build):
    root = original("video_flow")
    write(root / "masks/walk/frame_002.jpg", mask(2, 255))
    status, _, err = build("video_flow", root)
    assert status == 2
    assert f"error: {root / 'masks/walk/frame_002.jpg'}: expected masks of the kinds .png" in err


# Training ----------------------------------------------------------------------------------------

TINY = (
    *("--steps", "1", "--batch-size", "2", "--data.height", "16", "--data.width", "24"),
    *("--data.validation-clips", "2", "--network.widths", "4", "8", "--network.stem", "1"),
)


def trained(source, workdir, *options):
    argv = ["--data.source", source, "--workdir", str(workdir), *TINY, *options]
    return run_command(train.main, argv)


def test_frozen_scenes_train(build, tmp_path, monkeypatch):
    from jaxmotion_datasets.flow_scenes import Builder

    config = Builder.builder_configs["easy"]
    for field, value in (("num_clips", (8, 4, 4)), ("num_frames", 3)):
        monkeypatch.setattr(config, field, value)
    assert build("flow_scenes", None, "--level", "easy")[0] == 0
    source = f"tfds:{tmp_path}/built/flow_scenes/easy"
    assert trained(source, tmp_path / "run", "--data.split", "train") == 0
    assert (tmp_path / "run/summary.json").exists()
    clips = open_source(source, split="validation", clip_length=3)
    assert [clips[i]["name"] for i in range(2)] == [
        "validation/00000/00000",
        "validation/00001/00000",
    ]
    assert clips[0]["valid"].all()


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_built_can_be_trained_on(name, original, build, tmp_path):
    assert build(name, original(name))[0] == 0
    source = open_source(f"tfds:{tmp_path}/built/{name}/files", clip_length=2, size=(16, 24))
    clip = source[0]
    assert clip["flow"].shape == (2, 16, 24, 2)
    assert np.isfinite(clip["flow"]).all()
    train_on, held_out = source.hold_out(0.3)
    assert len(train_on)
    assert len(held_out)


def test_records_that_lack_something_are_refused_by_what_they_lack(original, build, tmp_path):
    assert build("davis2016", original("davis2016"))[0] == 0
    path = tmp_path / "built/davis2016/files/1.0.0/features.json"
    features = json.loads(path.read_text())
    for name in ("valid", "name"):
        del features["featuresDict"]["features"][name]
    path.write_text(json.dumps(features))
    with pytest.raises(InputError, match=r"1\.0\.0: records without name, valid, which training"):
        open_source(f"tfds:{tmp_path}/built/davis2016/files")


def test_records_of_which_a_part_is_missing_are_refused(original, build, tmp_path):
    assert build("davis2016", original("davis2016"))[0] == 0
    folder = tmp_path / "built/davis2016/files/1.0.0"
    (part,) = folder.glob("*train.array_record*")
    whole = part.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-70_000], b"", None):
        part.unlink() if damaged is None else part.write_bytes(damaged)
        with pytest.raises(InputError, match=r"not a readable data set|damaged record"):
            open_source(f"tfds:{folder}", split="train")
