"""DAVIS 2016: built from small archives in its layout, whole and damaged, and from the real one."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import FLOW_SIZE, SIZE, make_davis, mask, records, write, write_flow

from jaxmotion.data import open_source

SPLITS = {"train": ("bear", "bus", "car"), "val": ("dog", "goat")}


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "DAVIS"
    make_davis(root, SPLITS)
    return root


def test_a_record_per_sequence_with_flow_masks_and_what_they_are(archive, tmp_path, build):
    status, out, err = build("davis2016", archive, tmp_path / "built")
    assert status == 0, err
    assert "3 in train, 2 in validation" in out
    folder = tmp_path / "built/davis2016/files/1.0.0"
    for split, names in (("train", SPLITS["train"]), ("validation", SPLITS["val"])):
        found = records(folder, split)
        assert sorted(found) == sorted(names)
        for name, record in found.items():
            flow = np.load(archive / f"Flows/made/{name}.npz")["flow"]
            assert record["flow"].dtype == np.float16
            np.testing.assert_array_equal(record["flow"], flow)
            assert record["valid"].shape == flow.shape[:-1]
            assert record["valid"].all()
            expected = np.stack([mask(t, 1) for t in range(4)])[..., None]
            np.testing.assert_array_equal(record["masks"], expected)
            np.testing.assert_array_equal(record["mask_frames"], range(4))
            assert [n.decode() for n in record["frame_names"]] == [f"{t:05d}" for t in range(4)]
            assert (record["height"], record["width"]) == SIZE
            assert (record["frame_gap"], record["flow_sign"]) == (1, 1)
            assert record["estimator"] == b"files"
            assert record["weights_sha256"] == b""


def test_the_trainer_sees_the_same_clips_as_from_the_original_files(archive, tmp_path, build):
    sequence = archive / "Flows/made/car.npz"  # unknown pixels have to stay unknown
    known = np.random.default_rng(0).random((3, *FLOW_SIZE)) > 0.3
    np.savez(sequence, flow=np.load(sequence)["flow"], valid=known)
    status, _, err = build("davis2016", archive, tmp_path / "built")
    assert status == 0, err
    spec = f"tfds:{tmp_path}/built/davis2016/files"
    for options in (
        {"clip_length": 2},
        {"clip_length": 2, "intervals": (1, -1), "size": (4, 10)},
        {"clip_length": 3, "size": (12, 16)},
    ):
        ours = open_source(spec, **options)
        theirs = open_source(archive, **options)
        assert len(ours) == len(theirs) > 4
        for i in range(len(theirs)):
            assert ours[i]["name"] == theirs[i]["name"]
            np.testing.assert_array_equal(ours[i]["flow"], theirs[i]["flow"])
            np.testing.assert_array_equal(ours[i]["valid"], theirs[i]["valid"])
    assert {ours[i]["name"].split("/")[0] for i in range(len(ours))} == {*sum(SPLITS.values(), ())}
    validation = open_source(spec, split="validation", clip_length=3)
    assert [validation[i]["name"] for i in range(2)] == ["dog/00000", "goat/00000"]
    train, held_out = open_source(spec, clip_length=3).hold_out(0.4)
    assert len(train) == 3
    assert len(held_out) == 2


@pytest.mark.parametrize(
    ("spec", "options", "named"),
    [
        ("davis2016/dis", {}, "python -m jaxmotion_datasets build davis2016"),
        ("davis2016/files", {"split": "test"}, "train, validation"),
        ("", {}, "no data set built"),
    ],
)
def test_what_is_not_built_is_named(spec, options, named, archive, tmp_path, build, monkeypatch):
    from jaxmotion.errors import InputError

    assert build("davis2016", archive, tmp_path / "built")[0] == 0
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "built" if spec else tmp_path / "none"))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=named):
        open_source(f"tfds:{spec}", **options)


def test_dis_flow_is_estimated_while_building(tmp_path, build):
    root = tmp_path / "data"
    make_davis(root / "DAVIS", {"train": ("bear",), "val": ("dog",)}, pairs=False)
    shutil.rmtree(root / "DAVIS/Flows")
    status, _, err = build("davis2016", root, tmp_path / "built", "--flow", "dis")
    assert status == 0, err
    record = records(tmp_path / "built/davis2016/dis/1.0.0", "validation")["dog"]
    assert record["flow"].shape == (3, 128, 224, 2)
    inner = record["flow"][:, 20:-20, 40:-40].astype(np.float32)
    assert np.abs(np.median(inner, axis=(0, 1, 2)) - [2, 0]).max() < 0.2  # as the texture moves
    assert record["estimator"] == b"dis"
    assert json.loads(record["estimator_settings"]) == {"preset": "medium"}
    assert not list((tmp_path / "built/.unfinished").iterdir())


def test_an_interrupted_build_leaves_nothing_and_goes_on(tmp_path, build, monkeypatch):
    root = tmp_path / "DAVIS"
    make_davis(root, {"train": ("bear",), "val": ("dog",)}, num_frames=3)
    broken = root / "Annotations/480p/dog/00001.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:60])
    status, _, err = build("davis2016", root, tmp_path / "built", "--flow", "dis")
    assert status == 2
    assert str(broken) in err
    assert not (tmp_path / "built/davis2016/dis/1.0.0").exists()
    assert not list((tmp_path / "built/davis2016/dis").glob("*"))
    kept = list((tmp_path / "built/.unfinished/davis2016-dis").glob("*.npz"))
    assert len(kept) == 2

    broken.write_bytes(whole)
    from jaxmotion.optical_flow import DIS

    def must_not_run(*_):
        raise AssertionError("estimated again")

    monkeypatch.setattr(DIS, "__call__", must_not_run)
    status, _, err = build("davis2016", root, tmp_path / "built", "--flow", "dis")
    assert status == 0, err
    assert len(records(tmp_path / "built/davis2016/dis/1.0.0", "train")) == 1


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _no_list(root):
    shutil.rmtree(root / "ImageSets")
    return root / "ImageSets/480p/train.txt"


def _empty_list(root):
    path = root / "ImageSets/480p/val.txt"
    path.write_text("\n")
    return path


def _listed_mask_missing(root):
    path = root / "Annotations/480p/dog/00003.png"
    path.unlink()
    return path


def _frame_missing(root):
    path = root / "JPEGImages/480p/dog/00002.jpg"
    path.unlink()
    return path


def _last_frame_missing(root):
    path = root / "JPEGImages/480p/dog/00003.jpg"
    path.unlink()
    return path


def _mask_truncated(root):
    path = root / "Annotations/480p/goat/00002.png"
    _truncate(path)
    return path


def _mask_of_another_size(root):
    path = root / "Annotations/480p/goat/00001.png"
    write(path, mask(1, size=(40, 64)))
    return path


def _mask_in_colours(root):
    path = root / "Annotations/480p/bus/00001.png"
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[3:9, 3:9] = (0, 0, 200)
    write(path, picture)
    return path


def _frame_no_picture(root):
    path = root / "JPEGImages/480p/bus/00001.jpg"
    path.write_bytes(b"<html>not found</html>")
    return path


def _frame_of_another_size(root):
    path = root / "JPEGImages/480p/bus/00001.jpg"
    write(path, cv2.resize(cv2.imread(str(path)), (30, 20)))
    return path


def _no_flow(root):
    path = root / "Flows/made/bear.npz"
    path.unlink()
    return path


def _no_flow_at_all(root):
    shutil.rmtree(root / "Flows")
    return root / "Flows"


def _flow_truncated(root):
    path = root / "Flows/made/bear.npz"
    _truncate(path)
    return path


def _flow_too_short(root):
    path = root / "Flows/made/bear.npz"
    write_flow(path, 2, 0)
    return path


def _flow_not_finite(root):
    path = root / "Flows/made/bear.npz"
    flow = write_flow(path, 3, 0)
    flow[1, 2, 3, 0] = np.nan
    np.savez(path, flow=flow)
    return path


def _flow_beyond_half_precision(root):
    path = root / "Flows/made/bear.npz"
    flow = write_flow(path, 3, 0, np.float32)
    flow[1, 2, 3, 0] = 1e6
    np.savez(path, flow=flow)
    return path


DAMAGES = [
    (_no_list, "No such file"),
    (_empty_list, "empty"),
    (_listed_mask_missing, "no such file"),
    (_frame_missing, "missing frame"),
    (_last_frame_missing, "no such file"),
    (_mask_truncated, "damaged picture"),
    (_mask_of_another_size, "64 x 40, expected 64 x 48"),
    (_mask_in_colours, "in colours"),
    (_frame_no_picture, "not a picture"),
    (_frame_of_another_size, "30 x 20, expected 64 x 48"),
    (_no_flow, "no flow of this sequence"),
    (_no_flow_at_all, "no such folder"),
    (_flow_truncated, "damaged"),
    (_flow_too_short, "2 flow fields, expected 3"),
    (_flow_not_finite, "NaN or infinite"),
    (_flow_beyond_half_precision, "1e+06 pixels"),
]


@pytest.mark.parametrize(
    ("damage", "words"), DAMAGES, ids=lambda value: getattr(value, "__name__", "")
)
def test_damage_is_named_with_its_path_and_nothing_is_left(damage, words, archive, tmp_path, build):
    path = damage(archive)
    status, _, err = build("davis2016", archive, tmp_path / "built")
    assert status == 2
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"error: {path}")
    assert words in last
    assert not list(tmp_path.glob("built/davis2016/files/*"))


def test_a_folder_that_is_not_there_ends_in_one_line(tmp_path, build):
    status, out, err = build("davis2016", tmp_path / "nowhere", tmp_path / "built")
    assert (status, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert str(tmp_path / "nowhere") in err


def test_tensorflow_is_not_imported(archive, tmp_path):
    code = (
        "import sys\n"
        "from jaxmotion_datasets.__main__ import build_datasets\n"
        "from jaxmotion.data import open_source\n"
        "build_datasets(['build', 'davis2016', '--manual-dir', sys.argv[1], '--data-dir',"
        " sys.argv[2]])\n"
        "assert len(open_source(f'tfds:{sys.argv[2]}/davis2016/files')) == 15\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(archive), str(tmp_path / "built")]
    subprocess.run(command, check=True, timeout=500)


@pytest.mark.real
def test_real_sequences(shared, tmp_path, build):
    real, root = shared / "data/davis", tmp_path / "DAVIS"
    for split, name in (("train", "bear"), ("val", "libby")):
        for folder in ("Annotations/480p", "JPEGImages/480p"):
            if (real / folder / name).is_dir():
                (root / folder).mkdir(parents=True, exist_ok=True)
                (root / folder / name).symlink_to(real / folder / name)
        (root / "ImageSets").mkdir(exist_ok=True)
        (root / f"ImageSets/{split}.txt").write_text(f"{name}\n")
    (root / "Flows").mkdir()
    (root / "Flows/raft").symlink_to(real / "Flows/raft")
    status, _, err = build("davis2016", root, tmp_path / "built")
    assert status == 0, err
    record = records(tmp_path / "built/davis2016/files/1.0.0", "validation")["libby"]
    flow = np.load(real / "Flows/raft/libby.npz")["flow"]
    np.testing.assert_array_equal(record["flow"], flow)
    assert record["masks"].shape == (len(flow) + 1, 480, 854, 1)
    path = real / "Annotations/480p/libby/00007.png"
    expected = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0  # pyright: ignore
    np.testing.assert_array_equal(record["masks"][7, ..., 0], expected)
