"""Named fields of a sequence, from a folder laid out like DAVIS and from a scene."""

import itertools

import numpy as np
import pytest
from made_up_davis import FRAMES, SIZE, ground_truth, write_davis, write_indexed
from PIL import Image

from jaxmotion import scenes
from jaxmotion.data import FlowSource, open_source, resize_labels
from jaxmotion.data.davis import find_files
from jaxmotion.data.file_sequences import open_files
from jaxmotion.data.flow_cache import FlowCache
from jaxmotion.data.scene_source import draw_sequence
from jaxmotion.errors import InputError

ALL = ("flow", "valid", "frames", "labels", "void", "instances")


@pytest.fixture
def root(tmp_path):
    return write_davis(tmp_path / "davis")


def sequence_of(root, name="dog", flow="dog.npz"):
    return open_files(find_files(root, name, root / "Flows/made" / flow), FlowCache())


def test_fields_of_a_davis_sequence_are_of_the_same_frames(root):
    """Checked against the pictures, read by other means; in any order and number."""
    sequence = sequence_of(root)
    assert sequence.length == FRAMES - 1
    assert sequence.units == SIZE
    truth = ground_truth(4)
    flow = np.load(root / "Flows/made/dog.npz")["flow"]
    for frames in ([0], [3, 1], range(4)):
        found = sequence.read(ALL, frames)
        assert list(found) == list(ALL)
        np.testing.assert_array_equal(found["flow"], flow[list(frames)])
        np.testing.assert_array_equal(found["labels"] > 0, truth[list(frames)])
        np.testing.assert_array_equal(found["instances"], truth[list(frames)])
        assert not found["void"].any()
        for picture, t in zip(found["frames"], frames, strict=True):
            with Image.open(root / f"JPEGImages/480p/dog/{t:05d}.jpg") as image:
                np.testing.assert_array_equal(picture, np.asarray(image))


def test_frames_without_annotation_are_void(root):
    masks = root / "Annotations/480p/dog"
    for path in masks.iterdir():
        path.unlink()
    truth = ground_truth(4).astype(np.uint8)
    truth[:, :12] *= 9  # two objects, one on the other
    truth[:, -1] = 255
    write_indexed(masks, truth[[1, 3]], ["00001", "00003"])
    found = sequence_of(root).read(("instances", "labels", "void"), range(4))
    assert found["void"][[0, 2]].all()
    assert not found["labels"][[0, 2]].any()
    np.testing.assert_array_equal(found["void"][[1, 3]], truth[[1, 3]] == 255)
    np.testing.assert_array_equal(found["labels"][[1, 3]], np.where(truth == 255, 0, truth)[[1, 3]])
    expected = np.select([truth == 1, truth == 9], [1, 2])
    np.testing.assert_array_equal(found["instances"][[1, 3]], expected[[1, 3]])
    alone = sequence_of(root).read(("labels", "void"), [2])
    assert alone["labels"].shape == (1, *SIZE)
    assert alone["void"].all()


def test_a_clip_has_the_fields_asked_for_at_one_size(root):
    size = (6, 10)
    source = open_source(root, flow="made", clip_length=2, size=size, fields=ALL)
    assert isinstance(source, FlowSource)
    plain = open_source(root, flow="made", clip_length=2, size=size)
    assert set(plain[0]) == {"flow", "valid", "name"}
    lefts = {"car": 10, "dog": 4}
    for index in range(len(source)):
        clip = source[index]
        assert set(clip) == {*ALL, "name"}
        for field in ("flow", "valid"):
            np.testing.assert_array_equal(clip[field], plain[index][field])
        name, start = clip["name"].split("/")
        truth = ground_truth(lefts[name])[int(start) : int(start) + 2]
        np.testing.assert_array_equal(clip["labels"] > 0, resize_labels(truth, size))
        assert {clip[field].shape[:3] for field in ALL} == {(2, *size)}


def test_a_field_that_a_source_lacks_is_named(root, tmp_path):
    with pytest.raises(InputError, match=r"no field 'boxes', expected some of flow, valid, frames"):
        open_source(root, flow="made", fields=("flow", "boxes"))
    path = root / "Flows/made/dog.npz"
    with pytest.raises(InputError, match=r"dog\.npz: no field 'labels', expected some of flow, va"):
        open_source(path, fields=("flow", "labels"))
    with pytest.raises(InputError, match=r"scenes:easy: no field 'frames', expected some of flow"):
        open_source("scenes:easy", fields=("frames",))
    for picture in (root / "Annotations/480p/dog").iterdir():
        picture.unlink()
    with pytest.raises(InputError, match=r"dog\.npz: no field 'labels'"):
        open_source(root, flow="made", fields=("flow", "labels"))
    assert len(open_source(root, flow="made"))


def test_a_scene_is_a_sequence_like_others():
    sequence = draw_sequence("hard", 5, (16, 24), seed=7)
    scene = scenes.generate(scenes.LEVELS["hard"], 5, 16, 24, seed=7)
    found = sequence.read(("flow", "valid", "labels", "instances", "void"), [4, 2])
    np.testing.assert_array_equal(found["flow"], scene.flow[[4, 2]])
    np.testing.assert_array_equal(found["labels"], scene.labels[[4, 2]])
    assert found["valid"].all()
    assert not found["void"].any()
    assert (sequence.length, sequence.units) == (5, (16, 24))
    assert sequence.place(True).annotated == tuple(range(5))


def test_clips_of_scenes_have_other_fields_where_asked():
    clip = open_source("scenes:hard", clip_length=2, size=(16, 24), fields=("flow", "instances"))[3]
    assert set(clip) == {"flow", "instances", "name"}
    there = np.unique(clip["instances"])
    np.testing.assert_array_equal(there, range(len(there)))


def test_opening_reads_headers_only(root, monkeypatch):
    """Numbers that are cut off or not finite do not matter until they are asked for."""
    from jaxmotion.data import file_sequences

    flow = np.load(root / "Flows/made/dog.npz")["flow"].astype(np.float32)
    flow[2, 0, 0, 0] = np.nan
    np.savez_compressed(root / "Flows/made/dog.npz", flow=flow)
    loaded = []
    for name in ("load_flow_npz", "read_flow_and_valid"):
        load = getattr(file_sequences, name)
        monkeypatch.setattr(
            file_sequences, name, lambda path, load=load: loaded.append(path) or load(path)
        )
    source = open_source(root, flow="made")
    assert isinstance(source, FlowSource)
    assert len(source) == 2 * (FRAMES - 1)
    assert len(source.fingerprint()) == 65
    assert loaded == []
    names = {source[i]["name"] for i in itertools.chain(range(6), [7])}
    assert len(names) == 7
    assert loaded
    with pytest.raises(InputError, match=r"dog\.npz, frame 2: NaN or infinite vectors"):
        source[6]
    skipped = open_source(root, flow="made", on_bad_clip="skip")
    assert len(skipped) == 2 * (FRAMES - 1) - 1
