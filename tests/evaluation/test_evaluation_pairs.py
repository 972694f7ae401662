"""What belongs together is scored together, whatever the files are called; what lacks is named."""

import json
import re
import shutil

import numpy as np
import pytest
from made_up_davis import FLOW_SIZE, FRAMES, ground_truth, run_eval, write_davis, write_indexed
from PIL import Image

from jaxmotion.errors import InputError
from jaxmotion.evaluation import find_sequences, preset
from jaxmotion.evaluation.protocol import PRESETS, Protocol
from jaxmotion.optical_flow import read_flo, write_flo, write_kitti_png

MANY = 12  # frames: lexical order is another one only from eleven on


@pytest.fixture
def root(tmp_path):
    return write_davis(tmp_path / "davis")


@pytest.fixture
def long(tmp_path):
    """Twelve frames of an object that jumps, so that a wrong pair scores worse, flow as .flo."""
    root = tmp_path / "long"
    masks, flows, frames = (
        root / folder / "jump" for folder in ("Annotations/480p", "Flows/made", "JPEGImages/480p")
    )
    for folder in (masks, flows, frames):
        folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for t in range(MANY):
        mask = np.zeros((24, 40), np.uint8)
        top, left = 2 * rng.integers(0, 6), 2 * rng.integers(0, 14)
        mask[top : top + 12, left : left + 12] = 255
        Image.fromarray(mask).save(masks / f"{t:05d}.png")
        Image.fromarray(np.stack([mask] * 3, -1)).save(frames / f"{t:05d}.jpg")
        flow = np.where(mask[::2, ::2, None] > 0, np.float32([3, 0]), np.float32([0, 0]))
        if t < MANY - 1:
            write_flo(flows / f"{t:05d}.flo", flow)
    return root


def rename(folder, name):
    """Gives every file the name of its number; by way of others, so that none is overwritten."""
    moved = [(path.rename(path.with_name(f"was_{path.name}")), int(path.stem))
             for path in sorted(folder.iterdir())]  # fmt: skip
    for path, number in moved:
        path.rename(path.with_name(name(number)))


def scores_of(root, out, *options):
    status = run_eval("--data", root, "--flow", "made", "--baselines", "none", "--out", out,
                      *options)  # fmt: skip
    return json.loads((out / "scores.json").read_text())["sequences"] if status == 0 else None


NAMES = {
    "as they are": (),
    "masks not padded": [("Annotations/480p", lambda t: f"{t}.png")],
    "flow not padded": [("Flows/made", lambda t: f"{t}.flo")],
    "both not padded": [
        ("Annotations/480p", lambda t: f"{t}.png"),
        ("Flows/made", lambda t: f"{t}.flo"),
        ("JPEGImages/480p", lambda t: f"{t}.jpg"),
    ],
    "capitals": [
        ("Annotations/480p", lambda t: f"{t:05d}.PNG"),
        ("Flows/made", lambda t: f"{t:05d}.FLO"),
        ("JPEGImages/480p", lambda t: f"{t:05d}.JPG"),
    ],
    "other words": [
        ("Annotations/480p", lambda t: f"jump_{t}.bmp"),
        ("Flows/made", lambda t: f"flow{t:03d}.flo"),
        ("JPEGImages/480p", lambda t: f"frame-{t:04d}.jpeg"),
    ],
}


def reformat(root):
    """Makes of every picture that has got another suffix a picture of that kind."""
    for path in (root / "Annotations").rglob("*.bmp"):
        with Image.open(path) as picture:
            values = np.asarray(picture)
        Image.fromarray(values).save(path)


@pytest.mark.parametrize("protocol", ["davis2016", "fbms59"])
@pytest.mark.parametrize("names", NAMES)
def test_names_do_not_change_the_scores(long, tmp_path, names, protocol):
    expected = scores_of(long, tmp_path / "expected", "--protocol", protocol)
    assert expected["jump"]["J_mean"] > 0.95
    for folder, name in NAMES[names]:
        rename(long / folder / "jump", name)
    reformat(long)
    assert scores_of(long, tmp_path / "out", "--protocol", protocol) == expected
    (sequence,) = find_sequences(long, "made")
    for t in (2, 10):  # and the pictures of the report are of the frames that they stand beside
        mask = np.asarray(Image.open(sequence.record.paths[t])) > 0
        np.testing.assert_array_equal(sequence.read_frame(t)[..., 0] > 127, mask)


@pytest.mark.parametrize("protocol", ["davis2016", "fbms59"])
@pytest.mark.parametrize("missing", [0, 4, MANY - 2])
def test_a_missing_field_is_named_and_nothing_is_shifted(long, tmp_path, capsys, missing, protocol):
    (long / f"Flows/made/jump/{missing:05d}.flo").unlink()
    assert scores_of(long, tmp_path / "out", "--protocol", protocol) is None
    assert f"{missing:05d}.flo: " in capsys.readouterr().err


def test_flow_that_counts_from_another_number_is_refused(long, tmp_path, capsys):
    rename(long / "Flows/made/jump", lambda t: f"{t + 1:05d}.flo")
    assert scores_of(long, tmp_path / "out") is None
    assert "00000.flo: no such flow" in capsys.readouterr().err


@pytest.mark.parametrize("protocol", ["davis2016", "fbms59"])
@pytest.mark.parametrize("count", [3, FRAMES + 1])
def test_flow_without_names_has_to_be_of_all_frames(root, tmp_path, capsys, count, protocol):
    path = root / "Flows/made/dog.npz"
    flow = np.load(path)["flow"]
    np.savez(path, flow=np.concatenate([flow, flow])[:count])
    options = ["--sequences", "dog", "--protocol", protocol]
    assert scores_of(root, tmp_path / "out", *options) is None
    assert f"dog.npz: {count} flow fields, expected 4 for the 5" in capsys.readouterr().err


def test_a_frame_of_another_shape_is_not_shown(long, tmp_path, capsys):
    path = long / "JPEGImages/480p/jump/00003.jpg"
    Image.new("RGB", (24, 40)).save(path)
    assert scores_of(long, tmp_path / "scored")["jump"]["J_mean"] > 0.95
    assert scores_of(long, tmp_path / "shown", "--include-frames") is None
    assert f"{path}: a frame of 24 x 40, expected the aspect ratio" in capsys.readouterr().err


def test_backward_flow_is_refused(long, tmp_path, capsys):
    rename(long / "Flows/made/jump", lambda t: f"{t + 1:05d}.flo")
    origin = {"estimator": "dis", "settings": {}, "gap": 1, "direction": "backward"}
    (long / "Flows/made/jump/flow.json").write_text(json.dumps(origin))
    assert scores_of(long, tmp_path / "out") is None
    assert "jump: backward flow with a gap of 1, expected forward" in capsys.readouterr().err


def test_flow_over_a_gap_is_of_the_frame_that_it_starts_from(long, tmp_path):
    folder = long / "Flows/made/jump"
    (folder / "00010.flo").unlink()
    origin = {"estimator": "dis", "settings": {}, "gap": 2, "direction": "forward"}
    (folder / "flow.json").write_text(json.dumps(origin))
    assert scores_of(long, tmp_path / "out")["jump"]["J_mean"] > 0.94


@pytest.mark.parametrize("name", ["{}.png", "{:05d}.PNG", "dog-{:03d}.png"])
def test_results_are_of_the_frames_of_their_numbers(root, tmp_path, name):
    shutil.rmtree(root / "Annotations/480p/dog")
    shutil.rmtree(root / "JPEGImages")
    masks = np.concatenate([ground_truth(4)] * 3)[:MANY].astype(np.uint8)
    masks[:, 10:] *= (np.arange(MANY) % 2)[:, None, None].astype(np.uint8)  # to tell them apart
    write_indexed(root / "Annotations/480p/dog", masks)
    write_indexed(tmp_path / "theirs/dog", masks)
    rename(tmp_path / "theirs/dog", lambda t: name.format(t))
    shutil.rmtree(root / "Flows")
    named = ["--results", tmp_path / "theirs", "--sequences", "dog"]
    assert run_eval("--data", root, "--out", tmp_path / "out", *named) == 0
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert scores["sequences"]["dog"]["J_mean"] == 1


@pytest.mark.parametrize("results", [True, False])
def test_masks_without_a_background_are_refused(root, tmp_path, capsys, results):
    ones_and_twos = ground_truth(4).astype(np.uint8) + 1
    folder = tmp_path / "theirs/dog" if results else root / "Annotations/480p/dog"
    write_indexed(folder, ones_and_twos)
    options = ["--results", tmp_path / "theirs"] if results else []
    assert scores_of(root, tmp_path / "out", "--sequences", "dog", *options) is None
    assert "dog/00000.png: masks of the values 1, 2, expected 0" in capsys.readouterr().err


def test_objects_that_are_all_void_are_refused(root):
    write_indexed(root / "Annotations/480p/dog", ground_truth(4) * np.uint8(255))
    (dog,) = find_sequences(root, "made", ["dog"])
    with pytest.raises(InputError, match="dog: no label but 255, which does not count"):
        dog.read_annotation(preset("davis2017_motion"), FRAMES - 1)


def test_sequences_that_lack_a_part_are_named(root, tmp_path, caplog):
    shutil.rmtree(root / "Annotations/480p/car")
    assert list(scores_of(root, tmp_path / "all")) == ["dog"]
    assert f"left out, annotated, but without flow in {root}/Flows/made: unused" in caplog.text
    assert f"left out, without masks in {root}/Annotations/480p: car" in caplog.text
    caplog.clear()
    assert list(scores_of(root, tmp_path / "named", "--sequences", "dog")) == ["dog"]
    assert "left out" not in caplog.text


@pytest.mark.parametrize(
    "text", ["\ufeffdog\n", "# mine\ndog  # the one\n\n", "\ufeff# a\r\ndog\r\n"]
)
def test_lists_may_have_comments_and_the_mark_of_an_editor(root, tmp_path, text):
    (root / "ImageSets/one.txt").write_bytes(text.encode())
    assert list(scores_of(root, tmp_path / "out", "--split", "one")) == ["dog"]


@pytest.mark.parametrize("name", PRESETS)
def test_official_frames_are_refused_where_there_are_none(name):
    if PRESETS[name].official is None:
        with pytest.raises(InputError, match=f"--frames official: {name} has no frames of its own"):
            preset(name, frames="official")
    else:
        assert preset(name, frames="official").frames == "official"
    with pytest.raises(InputError, match="--frames offical: unknown, expected flow or official"):
        preset(name, frames="offical")


def test_official_frames_go_by_the_rule_not_by_the_name():
    protocol = Protocol(frames="official", name="mine")
    assert list(protocol.scored(range(5), 5, 4)) == [1, 2, 3]


@pytest.mark.parametrize("kind", ["png", "npz"])
@pytest.mark.parametrize("protocol", ["davis2016", "fbms59"])
def test_flow_is_scored_in_every_format(long, tmp_path, capsys, kind, protocol):
    expected = scores_of(long, tmp_path / "expected", "--protocol", protocol)
    folder = long / "Flows/made/jump"
    files = sorted(folder.iterdir())
    flow = np.stack([read_flo(file) for file in files])
    for file, one in zip(files, flow, strict=True):
        if kind == "png":
            write_kitti_png(file.with_suffix(".png"), one)
        file.unlink()
    if kind == "npz":
        np.savez(folder / "flow.npz", flow=flow, names=[file.stem for file in files])
    if protocol == "fbms59":
        shutil.rmtree(long / "JPEGImages")
    assert scores_of(long, tmp_path / "out", "--protocol", protocol) == expected
    if kind == "npz":  # of the second frame to the last: by their names
        np.savez(folder / "flow.npz", flow=flow, names=[f"{t + 1:05d}" for t in range(MANY - 1)])
    else:
        rename(folder, lambda t: f"{t + 1:05d}.png")
    capsys.readouterr()
    assert scores_of(long, tmp_path / "again") is None
    assert "00000" in capsys.readouterr().err


def test_fields_are_those_of_the_files(long):
    (sequence,) = find_sequences(long, "made")
    flow, _, masks = sequence.read()
    assert flow.shape == (MANY - 1, *FLOW_SIZE, 2)
    np.testing.assert_array_equal(flow[10], read_flo(long / "Flows/made/jump/00010.flo"))
    np.testing.assert_array_equal(masks[:, ::2, ::2], flow[..., 0] > 0)
    assert re.fullmatch(r"\d{5}", sequence.record.frame_names(MANY)[-1])
