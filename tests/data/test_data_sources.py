import dataclasses
import json
import logging
import os
import shutil

import numpy as np
import pytest

from jaxmotion import scenes
from jaxmotion.data import (
    SceneSource,
    TrainLoader,
    find_flow,
    fingerprints,
    open_source,
    split_names,
    write_image,
)
from jaxmotion.data.clips import fingerprint, has_content, old_fingerprint
from jaxmotion.data.davis import SequenceFiles
from jaxmotion.data.file_sequences import open_files
from jaxmotion.data.fingerprints import file_fingerprint
from jaxmotion.data.flow_cache import FlowCache
from jaxmotion.errors import InputError
from jaxmotion.optical_flow import write_flo, write_flow_npz, write_kitti_png


def field(value, size=(6, 8)):
    return np.full((*size, 2), value, np.float32)


def flo_sequence(folder, values, size=(6, 8)):
    for number, value in enumerate(values):
        write_flo(folder / f"{number:05d}.flo", field(value, size))


def npz_sequence(path, values, size=(6, 8), dtype=np.float16):
    write_flow_npz(path, np.stack([field(value, size) for value in values]).astype(dtype))


def values_of(source):
    """First component of every frame of every clip."""
    return [clip["flow"][:, 0, 0, 0].tolist() for clip in source]


def as_list(source):
    return [source[i] for i in range(len(source))]


def test_clips_of_a_folder_of_flo(tmp_path):
    flo_sequence(tmp_path / "walk", range(5))
    source = open_source(tmp_path / "walk", clip_length=2)
    assert values_of(as_list(source)) == [[0, 1], [1, 2], [2, 3], [3, 4]]
    clip = source[1]
    assert clip["name"] == "walk/00001"
    assert clip["flow"].dtype == clip["valid"].dtype == np.float32
    assert clip["flow"].shape == (2, 6, 8, 2)
    assert clip["valid"].shape == (2, 6, 8)
    assert clip["valid"].all()
    with pytest.raises(IndexError):
        source[4]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[0], [1], [2], [3], [4], [5], [6]]),
        ({"stride": 3}, [[0], [3], [6]]),
        ({"clip_length": 3, "intervals": (2,)}, [[0, 2, 4], [1, 3, 5], [2, 4, 6]]),
        ({"clip_length": 3, "intervals": (-3,)}, [[6, 3, 0]]),
        ({"clip_length": 3, "intervals": (-3, 3)}, [[6, 3, 0], [0, 3, 6]]),
        ({"clip_length": 7}, [[0, 1, 2, 3, 4, 5, 6]]),
        ({"clip_length": 3, "stride": 3}, [[0, 1, 2], [3, 4, 5]]),
    ],
)
def test_clip_length_interval_and_stride(tmp_path, options, expected):
    npz_sequence(tmp_path / "a.npz", range(7))
    assert values_of(as_list(open_source(tmp_path / "a.npz", **options))) == expected


def test_the_layouts(tmp_path):
    flo_sequence(tmp_path / "mixed" / "b", [1, 2])
    npz_sequence(tmp_path / "mixed" / "a.npz", [3])
    (tmp_path / "mixed" / "README.txt").write_text("hello")
    (tmp_path / "mixed" / "empty").mkdir()
    assert [name for name, _ in find_flow(tmp_path / "mixed")] == ["a", "b"]
    assert values_of(as_list(open_source(tmp_path / "mixed"))) == [[3], [1], [2]]
    assert values_of(as_list(open_source(tmp_path / "mixed" / "b" / "00001.flo"))) == [[2]]
    assert values_of(as_list(open_source(str(tmp_path / "mixed" / "a.npz")))) == [[3]]


def test_what_is_left_out_is_named(tmp_path, caplog):
    npz_sequence(tmp_path / "mixed" / "a.npz", [3])
    (tmp_path / "mixed" / "empty").mkdir()
    assert len(open_source(tmp_path / "mixed")) == 1
    assert f"{tmp_path / 'mixed'}: left out, no .flo file in: empty" in caplog.text
    flo_sequence(tmp_path / "mixed", [1, 2])
    assert len(open_source(tmp_path / "mixed")) == 2
    assert "read as one sequence; left out: a" in caplog.text


def test_two_places_of_one_sequence_matter_where_it_is_wanted(davis):
    flo_sequence(davis / "Flows" / "raft" / "bear", [1])
    with pytest.raises(InputError, match=r"bear: flow of the same sequence as bear\.npz"):
        open_source(davis, flow="raft")
    assert len(open_source(davis, flow="raft", split="val")) == 1


def test_lists_may_have_comments_and_the_mark_of_an_editor(davis):
    for text in ("\ufeffcar\r\nbear\r\n", "# mine\ncar # a comment\n\nbear\n"):
        (davis / "ImageSets" / "train.txt").write_bytes(text.encode())
        assert split_names(davis, "train") == ["bear", "car"]
    (davis / "ImageSets" / "train.txt").write_bytes("car".encode("utf-16"))
    with pytest.raises(InputError, match=r"train\.txt: not a text file in UTF-8"):
        split_names(davis, "train")


@pytest.fixture
def davis(tmp_path):
    root = tmp_path / "DAVIS"
    npz_sequence(root / "Flows" / "raft" / "bear.npz", [1])
    npz_sequence(root / "Flows" / "raft" / "bus.npz", [2])
    flo_sequence(root / "Flows" / "raft" / "car", [3])
    flo_sequence(root / "Flows" / "dis" / "car", [4])
    (root / "ImageSets" / "480p").mkdir(parents=True)
    (root / "ImageSets" / "train.txt").write_text("car\nbear\n\n")
    (root / "ImageSets" / "480p" / "val.txt").write_text(
        "/JPEGImages/480p/bus/00000.jpg /Annotations/480p/bus/00000.png\n"
        "/JPEGImages/480p/bus/00001.jpg /Annotations/480p/bus/00001.png\n"
    )
    (root / "ImageSets" / "more.txt").write_text("bus\nzebra\n")
    (root / "ImageSets" / "none.txt").write_text("\n")
    return root


def test_davis_root(davis):
    def values(**options):
        return [v[0] for v in values_of(as_list(open_source(davis, **options)))]

    assert values(flow="raft") == [1, 2, 3]
    assert values(flow="dis") == [4]
    assert values(flow="raft", split="train") == [1, 3]
    assert values(flow="raft", split="val") == [2]
    assert values(flow="raft", split="") == [1, 2, 3]
    assert split_names(davis, "train") == ["bear", "car"]


def test_lists_of_two_resolutions_are_one_where_they_name_the_same(davis):
    (davis / "ImageSets" / "1080p").mkdir()
    other = davis / "ImageSets" / "1080p" / "val.txt"
    other.write_text("/JPEGImages/1080p/bus/00000.jpg /Annotations/1080p/bus/00000.png\n")
    assert split_names(davis, "val") == ["bus"]
    other.write_text("/JPEGImages/1080p/car/00000.jpg /Annotations/1080p/car/00000.png\n")
    with pytest.raises(InputError, match="2 lists of the split 'val'"):
        split_names(davis, "val")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, r"Flows: holds \['dis', 'raft'\]"),
        ({"flow": "pwc"}, r"Flows/pwc: no such folder, there are \['dis', 'raft'\]"),
        ({"flow": "raft", "split": "test"}, r"0 lists of the split 'test', there are .*'train'"),
        ({"flow": "raft", "split": "more"}, "zebra: no flow of this sequence of the split 'more'"),
        ({"flow": "raft", "split": "none"}, r"none\.txt: empty"),
    ],
)
def test_davis_root_misused(davis, options, words):
    with pytest.raises(InputError, match=words):
        open_source(davis, **options)


def test_no_layout_at_all(tmp_path):
    cases = {
        "no such file or folder": tmp_path / "none",
        "an empty folder, expected an .npz file": tmp_path / "empty",
        r"holds 2 .jpg files, 1 folder, expected an .npz": tmp_path / "pictures",
        r"a .txt file, expected an .npz": tmp_path / "pictures" / "deep" / "a.txt",
    }
    (tmp_path / "empty").mkdir()
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    for name in ("0.jpg", "1.jpg", "deep/a.txt"):
        (tmp_path / "pictures" / name).write_text("")
    for words, path in cases.items():
        with pytest.raises(InputError, match=words) as error:
            open_source(path)
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)
    flo_sequence(tmp_path / "flow", [1])
    with pytest.raises(InputError, match=r"split 'train': .* is no DAVIS-like root"):
        open_source(tmp_path / "flow", split="train")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clip_length": 0}, "clip_length 0: expected 1 or more"),
        ({"stride": 0}, "stride 0"),
        ({"intervals": (1, 0)}, r"intervals \(1, 0\)"),
        ({"on_bad_clip": "ignore"}, "on_bad_clip 'ignore': expected 'error' or 'skip'"),
        ({"clip_length": 4}, "no sound clip of 4 frames at intervals .* in 1 sequence.* at most 3"),
    ],
)
def test_options_that_give_nothing(tmp_path, options, words):
    flo_sequence(tmp_path, range(3))
    with pytest.raises(InputError, match=words):
        open_source(tmp_path, **options)


def truncate(folder):
    (folder / "00003.flo").write_bytes((folder / "00003.flo").read_bytes()[:-3])


def wrong_magic(folder):
    (folder / "00003.flo").write_bytes(b"JUNK" + (folder / "00003.flo").read_bytes()[4:])


def not_a_number(folder):
    data = bytearray((folder / "00003.flo").read_bytes())
    data[-4:] = np.float32(np.nan).tobytes()
    (folder / "00003.flo").write_bytes(data)


def infinite(folder):
    data = bytearray((folder / "00003.flo").read_bytes())
    data[12:16] = np.float32(np.inf).tobytes()
    (folder / "00003.flo").write_bytes(data)


def other_size(folder):
    write_flo(folder / "00003.flo", field(3, (8, 6)))


def empty_file(folder):
    (folder / "00003.flo").write_bytes(b"")


def missing(folder):
    (folder / "00003.flo").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "truncated"),
        (wrong_magic, "magic number"),
        (not_a_number, "NaN or infinite"),
        (infinite, "NaN or infinite"),
        (other_size, "expected 8 x 6"),
        (empty_file, "truncated"),
        (missing, "missing frame"),
    ],
)
@pytest.mark.parametrize("size", [None, (4, 5)])
def test_a_bad_frame_is_an_error_or_its_clips_are_left_out(tmp_path, caplog, damage, words, size):
    flo_sequence(tmp_path / "a", range(8))
    damage(tmp_path / "a")
    with pytest.raises(InputError, match=words) as error:
        as_list(open_source(tmp_path / "a", clip_length=2, size=size))
    assert str(error.value).startswith(f"{tmp_path / 'a' / '00003.flo'}: ")
    with caplog.at_level(logging.WARNING):
        source = open_source(tmp_path / "a", clip_length=2, size=size, on_bad_clip="skip")
    sound = [[0, 1], [1, 2], [4, 5], [5, 6], [6, 7]]
    assert values_of(as_list(source)) == sound
    assert [
        r.getMessage().count("00003.flo") for r in caplog.records if words in r.getMessage()
    ] == [1]


def test_interval_steps_over_a_bad_frame_but_not_over_a_missing_one(tmp_path):
    flo_sequence(tmp_path / "a", range(6))
    truncate(tmp_path / "a")
    options = {"clip_length": 2, "intervals": (2,), "on_bad_clip": "skip"}
    assert values_of(as_list(open_source(tmp_path / "a", **options))) == [[0, 2], [2, 4]]
    missing(tmp_path / "a")
    assert values_of(as_list(open_source(tmp_path / "a", **options))) == [[0, 2]]


def test_bad_npz_frames_and_files(tmp_path, caplog):
    flow = np.stack([field(value) for value in range(5)])
    flow[2, 1, 1, 1] = np.nan
    np.savez(tmp_path / "a.npz", flow=flow)
    npz_sequence(tmp_path / "b.npz", [7, 8])
    (tmp_path / "c.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:-40])
    with pytest.raises(InputError, match=r"c\.npz: damaged"):
        open_source(tmp_path)  # by its header
    with pytest.raises(InputError, match=r"a\.npz, frame 2: NaN or infinite"):
        as_list(open_source(tmp_path / "a.npz"))
    with caplog.at_level(logging.WARNING):
        source = open_source(tmp_path, on_bad_clip="skip")
    assert [v[0] for v in values_of(as_list(source))] == [0, 1, 3, 4, 7, 8]
    assert len([r for r in caplog.records if "left out:" in r.getMessage()]) == 2
    assert "2 faults" in caplog.records[-1].getMessage()


def test_nothing_sound_is_left(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.flo").write_bytes(b"junk")
    with pytest.raises(InputError, match="no sound clip"):
        open_source(tmp_path, on_bad_clip="skip")


def test_flow_of_several_sizes_needs_a_size(tmp_path):
    npz_sequence(tmp_path / "a.npz", [1], (6, 8))
    npz_sequence(tmp_path / "b.npz", [2], (8, 6))
    with pytest.raises(InputError, match=r"flow of several sizes .* expected the option size"):
        open_source(tmp_path)
    source = open_source(tmp_path, size=(4, 4))
    assert {clip["flow"].shape for clip in as_list(source)} == {(1, 4, 4, 2)}
    assert values_of(as_list(source)) == [[1], [2]]  # vectors keep their length


def test_unknown_vectors_are_invalid_and_zero(tmp_path):
    flow = field(3)
    flow[:, :4] = 1.67e9
    write_flo(tmp_path / "a" / "0.flo", flow)
    clip = open_source(tmp_path / "a")[0]
    np.testing.assert_array_equal(clip["valid"][0], np.repeat([[0, 1]], 4, 1).repeat(6, 0))
    np.testing.assert_array_equal(clip["flow"][0, :, :4], 0)
    clip = open_source(tmp_path / "a", size=(3, 4))[0]
    np.testing.assert_array_equal(clip["valid"][0], [[0, 0, 1, 1]] * 3)
    np.testing.assert_allclose(clip["flow"][0, :, 2:], 3)
    valid = np.zeros((1, 6, 8))
    valid[:, :3] = 1
    write_flow_npz(tmp_path / "b.npz", flow[None] * 0 + 2, valid)
    clip = open_source(tmp_path / "b.npz")[0]
    np.testing.assert_array_equal(clip["valid"], valid)


def test_caching_changes_no_value_and_keeps_to_its_limit(tmp_path):
    rng = np.random.default_rng(0)
    flow = rng.normal(size=(4, 6, 8, 2)).astype(np.float32)
    for number in range(4):
        write_flo(tmp_path / f"{number}.flo", flow[number])
    cache = FlowCache(max_bytes=2 * (flow[0].nbytes + 48))
    sequence = open_files(SequenceFiles("a", tmp_path), cache)
    source = dataclasses.replace(open_source(tmp_path), sequences=(sequence,))
    for _ in range(3):
        for number in (0, 3, 1, 2, 2, 0):
            np.testing.assert_array_equal(source[number]["flow"][0], flow[number])
            source[number]["flow"][:] = -1  # what a caller does to a clip is the caller's affair
            assert 0 < cache.nbytes <= cache.max_bytes


def test_hold_out_splits_by_sequence(tmp_path):
    for number in range(10):
        npz_sequence(tmp_path / f"s{number}.npz", [number] * 3)
    source = open_source(tmp_path)
    train, validation = source.hold_out(0.2)
    parts = [{v[0] for v in values_of(as_list(part))} for part in (train, validation)]
    assert len(parts[1]) == 2
    assert parts[0] | parts[1] == set(range(10))
    assert not parts[0] & parts[1]
    assert len(train) + len(validation) == len(source) == 30
    again = [{v[0] for v in values_of(as_list(part))} for part in source.hold_out(0.2)]
    assert again == parts
    others = {
        tuple(sorted({v[0] for v in values_of(as_list(source.hold_out(0.2, seed)[1]))}))
        for seed in range(8)
    }
    assert len(others) > 3
    # a sequence stays on its side when another is added
    npz_sequence(tmp_path / "s10.npz", [10] * 3)
    more = {v[0] for v in values_of(as_list(open_source(tmp_path).hold_out(0.2)[1]))}
    assert more - {10} <= parts[1]


def test_hold_out_of_one_sequence_is_its_end(tmp_path):
    npz_sequence(tmp_path / "a.npz", range(10))
    train, validation = open_source(tmp_path / "a.npz", clip_length=2).hold_out(0.3)
    assert values_of(as_list(train)) == [[i, i + 1] for i in range(6)]
    assert values_of(as_list(validation)) == [[7, 8], [8, 9]]
    with pytest.raises(InputError, match="too short to hold out"):
        open_source(tmp_path / "a.npz", clip_length=9).hold_out(0.3)
    with pytest.raises(InputError, match="between 0 and 1"):
        open_source(tmp_path / "a.npz").hold_out(1.0)


def test_scenes_are_random_access_and_have_labels():
    source = SceneSource("default", num_frames=2, size=(16, 24), seed=3, length=5)
    clips = as_list(source)
    assert len(clips) == 5
    expected = scenes.generate(scenes.LEVELS["default"], 2, 16, 24, seed=3 * 2**32 + 4)
    np.testing.assert_array_equal(clips[4]["flow"], expected.flow)
    np.testing.assert_array_equal(clips[4]["labels"], expected.labels)
    assert clips[4]["labels"].shape == (2, 16, 24)
    assert clips[4]["valid"].all()
    np.testing.assert_array_equal(source[2]["flow"], clips[2]["flow"])
    with pytest.raises(IndexError):
        source[5]


def test_neighboring_seeds_share_no_scene_but_those_to_validate_on():
    (first, held), (second, same) = (
        SceneSource("easy", 1, (8, 10), seed, 10).hold_out(0.3) for seed in (0, 1)
    )
    assert held == same
    assert [len(part) for part in (first, second, held)] == [7, 7, 3]
    flows = {c["flow"].tobytes() for part in (first, second, held) for c in as_list(part)}
    assert len(flows) == 17


def test_levels_and_intervals_take_turns():
    source = SceneSource("easy+hard", 3, (8, 10), 0, 8, intervals=(1, -2))
    assert [clip["name"].split("/")[0] for clip in as_list(source)[:3]] == ["easy", "hard", "easy"]
    whole = SceneSource("easy+hard", 5, (8, 10), 0, 8)
    plain = SceneSource("easy+hard", 3, (8, 10), 0, 8)
    np.testing.assert_array_equal(source[0]["flow"], plain[0]["flow"])
    np.testing.assert_array_equal(source[3]["flow"], whole[3]["flow"][[4, 2, 0]])
    np.testing.assert_array_equal(source[3]["labels"], whole[3]["labels"][[4, 2, 0]])


def test_scene_specs():
    source = open_source("scenes:easy", clip_length=3, size=(8, 10), seed=5, num_scenes=7)
    assert source == SceneSource("easy", 3, (8, 10), 5, 7)
    with pytest.raises(InputError, match=r"scenes:nonsense: unknown level, expected one of .*easy"):
        open_source("scenes:nonsense")
    with pytest.raises(InputError, match="expected positive sizes"):
        open_source("scenes:easy", num_scenes=0)


def flow_in(folder, kind, values, name="{:05d}"):
    """The same fields in one of the formats of `jaxmotion flow`."""
    folder.mkdir(parents=True)
    flow = np.stack([field(value) for value in values])
    valid = np.ones(flow.shape[:-1], bool)
    valid[:, 0, :3] = False
    if kind == "npz":
        names = np.array([name.format(t) for t in range(len(flow))])
        np.savez(folder / "flow.npz", flow=flow, valid=valid, names=names)
        origin = {"estimator": "dis", "settings": {}, "gap": 1, "direction": "forward"}
        (folder / "flow.json").write_text(json.dumps(origin | {"height": 60, "width": 80}))
    for t in range(len(flow) if kind != "npz" else 0):
        path = folder / f"{name.format(t)}.{kind}"
        if kind == "png":
            write_kitti_png(path, flow[t], valid[t])
        else:
            write_flo(path, np.where(valid[t, ..., None], flow[t], np.float32(2e9)))


@pytest.mark.parametrize("kind", ["flo", "png", "npz"])
@pytest.mark.parametrize("layout", ["alone", "folder", "davis"])
def test_what_jaxmotion_flow_writes_is_read_wherever_flow_is(tmp_path, kind, layout):
    place = {"alone": "walk", "folder": "all/walk", "davis": "all/Flows/made/walk"}[layout]
    flow_in(tmp_path / place, kind, range(3))
    if layout != "alone":
        flow_in((tmp_path / place).with_name("run"), kind, range(3, 5))
    write_image(tmp_path / place / "color" / "00000.png", np.zeros((6, 8, 3), np.uint8))
    root = tmp_path / place.split("/")[0]
    expected = [[0, 1], [1, 2]] if layout == "alone" else [[3, 4], [0, 1], [1, 2]]
    source = open_source(root, clip_length=2)
    clips = as_list(source)
    assert [clip["flow"][:, 5, 5, 0].tolist() for clip in clips] == expected
    assert clips[-1]["name"] == "walk/00001"
    for clip in clips:
        assert not clip["valid"][:, 0, :3].any()
        assert clip["valid"].sum() == 2 * (6 * 8 - 3)
    assert source.sequences[-1].units == ((60, 80) if kind == "npz" else None)


def test_pictures_are_no_flow(tmp_path):
    for name in ("walk", "run"):
        write_image(tmp_path / name / "00000.png", np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(InputError, match=r"holds 2 folders, expected an .npz file"):
        open_source(tmp_path)
    with pytest.raises(InputError, match=r"holds 1 \.png file, expected an \.npz file"):
        open_source(tmp_path / "walk")


@pytest.mark.parametrize("kind", ["flo", "png", "npz"])
def test_the_fingerprint_is_of_the_flow_alone(tmp_path, kind):
    """Not of names, places and dates; and one number that changes is other flow."""
    flow_in(tmp_path / "here/walk", kind, range(3))
    source = open_source(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    other = open_source(tmp_path / "there")
    assert fingerprint(source) == fingerprint(other)
    assert has_content(other, fingerprint(source))
    assert has_content(other, old_fingerprint(source))  # as a run of an earlier version has it
    shutil.rmtree(tmp_path / "there")
    flow_in(tmp_path / "there/walk", kind, [0, 1, 2.25])
    changed = open_source(tmp_path / "there")
    assert not has_content(changed, fingerprint(source))
    assert not has_content(changed, old_fingerprint(source))
    assert not has_content(changed, "")


def test_checkpoints_of_earlier_versions_know_their_data(tmp_path):
    flow = (np.arange(96).reshape(2, 4, 6, 2) / 8).astype(np.float32)
    valid = np.ones(flow.shape[:3], bool)
    valid[0, 0] = False
    np.savez(tmp_path / "a.npz", flow=flow.astype(np.float16), valid=valid)
    for t in range(2):
        write_flo(tmp_path / "b" / f"{t}.flo", flow[t])
    source = open_source(tmp_path)
    noted = "568e923b3164929f222adc49830fc2f3"  # by the first version that noted it
    assert old_fingerprint(source) == noted
    loader = TrainLoader(source, 2)
    state = loader.get_state()
    loader.check_state(state)
    loader.check_state(state | {"content": noted})
    with pytest.raises(InputError, match="other flow under the same names"):
        loader.check_state(state | {"content": noted[::-1]})
    loader.close()


def test_the_fingerprint_of_a_large_file_reads_parts_of_it(tmp_path):
    rng = np.random.default_rng(0)
    flow = rng.normal(size=(200, 300, 2)).astype(np.float32)
    write_flo(tmp_path / "a.flo", flow)
    write_flo(tmp_path / "b.flo", flow)
    write_flo(tmp_path / "c.flo", flow + np.float32(0.01) * rng.normal(size=flow.shape))
    a, b, c = (file_fingerprint(tmp_path / f"{name}.flo") for name in "abc")
    assert a == b != c


def test_one_changed_vector_of_a_large_file_is_other_flow(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    flow = np.random.default_rng(0).normal(size=(200, 300, 2)).astype(np.float32)
    for t in range(2):
        write_flo(tmp_path / "walk" / f"{t}.flo", flow)
        os.utime(tmp_path / "walk" / f"{t}.flo", (1e9, 1e9))
    source = open_source(tmp_path / "walk")
    few, whole = fingerprint(source).split(".")
    assert has_content(source, few)  # as a version noted it
    reads = []
    monkeypatch.setattr(fingerprints, "_checksum", lambda path: reads.append(path) or 1)
    assert fingerprint(source) == f"{few}.{whole}"
    assert reads == []
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    flow[100, 7, 1] += 0.25  # in none of the blocks
    write_flo(tmp_path / "walk" / "1.flo", flow)
    changed = open_source(tmp_path / "walk")
    assert fingerprint(changed).startswith(f"{few}.")
    assert not has_content(changed, f"{few}.{whole}")
    flow[100, 7, 1] -= 0.25
    write_flo(tmp_path / "walk" / "1.flo", flow)
    assert has_content(open_source(tmp_path / "walk"), f"{few}.{whole}")
    (tmp_path / "cache" / "jaxmotion").rename(tmp_path / "elsewhere")
    (tmp_path / "cache" / "jaxmotion").touch()  # a cache that cannot be
    assert has_content(open_source(tmp_path / "walk"), f"{few}.{whole}")


@pytest.mark.real
def test_real_davis_training_split(shared):
    source = open_source(
        shared / "data" / "davis", flow="raft", split="train", clip_length=9, stride=9
    )
    assert len(source.sequences) == 30
    clip = source[0]
    assert clip["flow"].shape == (9, 128, 224, 2)
    assert clip["name"] == "bear/00000"
    train, validation = source.hold_out(0.2)
    assert len({clip[0] for clip in validation.clips.tolist()}) == 6
    assert len(train) + len(validation) == len(source)
