"""What the builders make of small archives in the layouts of the originals."""

import numpy as np
import pytest
from original_layouts import (
    FLOW_SIZE,
    LAYOUTS,
    MOCA_BOXES,
    SIZE,
    mask,
    true_flow,
    two_objects,
    write,
    write_pfm,
)

from jaxmotion.data.transforms import resize_flow

SPLITS = {
    "davis2016": {"train": ["bear", "bus", "car"], "validation": ["dog", "goat"]},
    "davis2017_motion": {"train": ["cat-girl", "koala"], "validation": ["pigs", "soapbox"]},
    "fbms59": {"train": ["bear01"], "validation": ["cars1", "lion01"]},
    "flying_things3d": {"train": ["A-0000", "B-0000", "C-0001"], "test": ["A-0000"]},
    "moca": {"test": ["crab", "seal_1"]},
    "segtrack_v2": {"test": ["bmx", "girl"]},
    "video_flow": {"train": ["run", "walk"]},
}
FRAMES = {"davis2016": 4, "davis2017_motion": 4, "fbms59": 5, "moca": 7, "segtrack_v2": 3}


@pytest.mark.parametrize("name", LAYOUTS)
def test_splits_and_what_every_record_says(name, original, build, records):
    status, out, err = build(name, original(name))
    assert status == 0, err
    counts = ", ".join(f"{len(names)} in {split}" for split, names in SPLITS[name].items())
    assert f": {counts} (" in out
    for split, names in SPLITS[name].items():
        found = records(f"{name}/files", split)
        assert sorted(found) == names
        for record in found.values():
            assert record["flow"].dtype == np.float16
            assert record["valid"].shape == record["flow"].shape[:-1]
            assert record["valid"].all()
            assert (record["height"], record["width"]) == SIZE
            assert (record["frame_gap"], record["flow_sign"]) == (1, 1)
            assert record["weights_sha256"] == b""
            assert record["masks"].shape[1:3] in (SIZE, ())
            assert len(record["masks"]) == len(record["mask_frames"])
            if name in FRAMES:
                assert record["flow"].shape == (FRAMES[name] - 1, *FLOW_SIZE, 2)
                assert len(record["frame_names"]) == FRAMES[name]


@pytest.mark.parametrize("name", ["davis2016", "fbms59", "segtrack_v2", "moca"])
def test_an_archive_that_is_not_whole_is_warned_of(name, original, build, caplog):
    assert build(name, original(name))[0] == 0
    for split, names in SPLITS[name].items():
        words = f"{len(names)} sequences of the split {split}, the whole archive has "
        assert words in caplog.text


@pytest.mark.parametrize(("name", "inner"), [("davis2016", "DAVIS"), ("moca", "MoCA_filtered")])
def test_the_folder_that_unpacking_makes_is_found(name, inner, tmp_path, build):
    LAYOUTS[name](tmp_path / inner)
    assert build(name, tmp_path)[0] == 0


def test_davis2016_has_one_object(original, build, records):
    root = original("davis2016")
    assert build("davis2016", root)[0] == 0
    record = records("davis2016/files", "train")["car"]
    np.testing.assert_array_equal(record["flow"], np.load(root / "Flows/made/car.npz")["flow"])
    expected = np.stack([mask(t, 1) for t in range(4)])[..., None]
    np.testing.assert_array_equal(record["masks"], expected)
    np.testing.assert_array_equal(record["mask_frames"], range(4))
    assert [n.decode() for n in record["frame_names"]] == [f"{t:05d}" for t in range(4)]
    assert record["estimator"] == b"files"


def test_davis2017_motion_keeps_labels_and_may_lack_masks_in_training(
    original, build, records, caplog
):
    status, _, err = build("davis2017_motion", original("davis2017_motion"))
    assert status == 0, err
    assert "move as one" not in caplog.text
    train, validation = (records("davis2017_motion/files", s) for s in ("train", "validation"))
    np.testing.assert_array_equal(train["cat-girl"]["masks"][2, ..., 0], two_objects(2))
    np.testing.assert_array_equal(validation["soapbox"]["masks"][3, ..., 0], mask(3, 1))
    assert len(train["koala"]["masks"]) == 0
    assert len(train["koala"]["frame_names"]) == 4


def test_davis2017_motion_warns_of_annotations_that_are_not_grouped(tmp_path, build, caplog):
    LAYOUTS["davis2017_motion"](tmp_path / "d", "Annotations_unsupervised")
    for t in range(4):
        path = tmp_path / f"d/Annotations_unsupervised/480p/soapbox/{t:05d}.png"
        write(path, two_objects(t))
    status, _, err = build("davis2017_motion", tmp_path / "d")
    assert status == 0, err
    assert f"{path.parent}: 2 objects, though they move as one" in caplog.text


def test_fbms59_is_annotated_in_some_frames_in_colors_or_grays(original, build, records):
    assert build("fbms59", original("fbms59"))[0] == 0
    for record in records("fbms59/files", "validation").values():
        np.testing.assert_array_equal(record["mask_frames"], [0, 3])
        expected = [two_objects(0), two_objects(3)]
        np.testing.assert_array_equal(record["masks"][..., 0], expected)


def test_segtrack_v2_has_a_label_for_each_object(original, build, records):
    assert build("segtrack_v2", original("segtrack_v2"))[0] == 0
    found = records("segtrack_v2/files", "test")
    expected = np.stack([two_objects(t) for t in range(3)])
    np.testing.assert_array_equal(found["bmx"]["masks"][..., 0], expected)
    np.testing.assert_array_equal(found["girl"]["masks"][1, ..., 0], mask(1, 1))
    names = [name.decode() for name in found["bmx"]["frame_names"]]
    assert names == ["bmx_00007", "bmx_00008", "bmx_00009"]


def test_moca_has_boxes(original, build, records):
    assert build("moca", original("moca"))[0] == 0
    for record in records("moca/files", "test").values():
        np.testing.assert_array_equal(record["boxes"], list(MOCA_BOXES.values()))
        np.testing.assert_array_equal(record["box_frames"], list(MOCA_BOXES))
        assert list(record["box_motions"]) == [b"", b"locomotion"]
        assert len(record["masks"]) == 0


def test_the_table_of_the_filtered_moca_is_read_too(original, build, records):
    root = original("moca")
    (root / "Annotations/annotations.csv").unlink()
    lines = [",file_list,spatial_coordinates,metadata"]
    for name in ("crab", "seal_1"):
        lines.append(f"{len(lines)},/{name}/00003.jpg,\"[2,-2,225,507,191]\",{{'1': '2'}}")
    (root / "annotations.csv").write_text("\n".join(lines).replace("225", "25"))
    status, _, err = build("moca", root)
    assert status == 0, err
    record = records("moca/files", "test")["crab"]
    np.testing.assert_array_equal(record["boxes"], [(-2, 25, 507, 191)])
    assert list(record["box_motions"]) == [b"static"]


def test_the_88_videos_of_moca_are_those_that_the_thesis_lists():
    from jaxmotion_datasets.moca.moca_dataset_builder import SUBSET

    names = SUBSET.read_text().split()
    assert len(names) == len(set(names)) == 88
    assert names == sorted(names)


def test_video_flow_takes_files_and_folders_and_masks_of_some_frames(original, build, records):
    assert build("video_flow", original("video_flow"))[0] == 0
    found = records("video_flow/files", "train")
    assert found["run"]["flow"].shape == (4, *FLOW_SIZE, 2)
    assert len(found["run"]["masks"]) == 0
    np.testing.assert_array_equal(found["walk"]["mask_frames"], [1])
    np.testing.assert_array_equal(found["walk"]["masks"][0, ..., 0], mask(1, 2))


def test_flying_things3d_has_its_true_flow_at_the_size_of_the_thesis(original, build, records):
    root = original("flying_things3d")
    assert build("flying_things3d", root)[0] == 0
    record = records("flying_things3d/files", "train")["B-0000"]  # seed 1
    expected = resize_flow(np.stack([true_flow(t, 1) for t in range(3)]), (128, 224))
    assert record["flow"].shape == (3, 128, 224, 2)  # that of the last frame goes nowhere
    np.testing.assert_allclose(record["flow"], expected, rtol=1e-3, atol=1e-3)
    assert record["estimator"] == b"ground_truth"
    assert [name.decode() for name in record["frame_names"]] == ["0006", "0007", "0008", "0009"]
    order = np.array([1, 0, 2])  # indices 17, 3 and 240 of the archive
    np.testing.assert_array_equal(record["masks"][1, ..., 0], order[two_objects(1)])


def test_flying_things3d_does_with_the_flow_alone(original, build, records):
    root = original("flying_things3d")
    for folder in ("frames_cleanpass", "object_index", "optical_flow/TEST"):
        (root / folder).rename(root.parent / folder.replace("/", "-"))
    fast = true_flow(0, 0)
    fast[10:20, :, 0] = 5e6  # at the camera
    file = "optical_flow/TRAIN/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm"
    write_pfm(root / file, np.concatenate([fast, fast[..., :1]], -1), little=False)
    status, out, err = build("flying_things3d", root)
    assert status == 0, err
    assert ": 3 in train (" in out
    record = records("flying_things3d/files", "train")["A-0000"]
    assert record["flow"].shape == (4, 128, 224, 2)
    assert (record["height"], record["width"]) == SIZE
    assert len(record["frame_names"]) == len(record["masks"]) == 0
    rows = np.linspace(0, 48, 128)
    assert not record["valid"][0, (rows > 11) & (rows < 19)].any()
    assert record["valid"][0, (rows < 9) | (rows > 21)].all()
    assert np.isfinite(record["flow"]).all()
    assert np.abs(record["flow"]).max() < 30
