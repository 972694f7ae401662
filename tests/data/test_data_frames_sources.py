"""Sources of frames without flow: aerial pairs, and parts of videos."""

import numpy as np
import pytest

from jaxmotion.data import VideoWriter, open_source, open_sources, write_image
from jaxmotion.data.clips import fingerprint
from jaxmotion.errors import InputError


def frame(number, height=20, width=30):
    """Tells its own number and places: red is the number, green the row, blue the column."""
    y, x = np.indices((height, width))
    return np.stack([np.full_like(y, number), y, x], axis=-1).astype(np.uint8)


@pytest.fixture
def videos(tmp_path):
    for name, count in (("one", 5), ("two", 3)):
        (tmp_path / "videos" / name).mkdir(parents=True)
        for number in range(count):
            write_image(tmp_path / "videos" / name / f"{number:03d}.png", frame(number))
    return tmp_path / "videos"


def test_aerial_pairs_follow_from_seed_and_number():
    options = {"clip_length": 2, "size": (32, 48)}
    source, same = (open_source("aerial:busy", seed=3, **options) for _ in range(2))
    clip = source[7]
    assert clip["frames"].shape == (2, 32, 48, 3)
    np.testing.assert_array_equal(clip["frames"], same[7]["frames"])
    train, held = source.hold_out(0.1)
    assert len(train) + len(held) == len(source)
    other = open_source("aerial:busy", seed=4, **options).hold_out(0.1)[1]
    np.testing.assert_array_equal(held[0]["frames"], other[0]["frames"])
    assert (held[0]["frames"] != train[0]["frames"]).any()


@pytest.mark.parametrize("interval", [1, 2, -1])
def test_clips_are_parts_of_frames_that_follow_one_another(videos, interval):
    source = open_source(f"videos:{videos}", clip_length=2, size=(8, 10), intervals=(interval,))
    assert len(source) == (5 - abs(interval)) + (3 - abs(interval))
    places = set()
    for index in range(len(source)):
        first, second = source[index]["frames"].astype(int)
        assert first.shape == (8, 10, 3)
        assert (second[..., 0] - first[..., 0] == interval).all()
        np.testing.assert_array_equal(first[..., 1:], second[..., 1:])
        places.add(tuple(first[0, 0, 1:]))
        np.testing.assert_array_equal(source[index]["frames"], source[index]["frames"])
    assert len(places) > 1


def test_videos_are_held_out_whole_and_known_by_their_content(videos):
    source = open_sources(f"videos:{videos}", clip_length=2, size=(8, 8))
    train, held = source.hold_out(0.5)
    names = [{part[i]["name"].split("/")[0] for i in range(len(part))} for part in (train, held)]
    assert names[0].isdisjoint(names[1])
    assert all(names)
    single = open_source(f"videos:{videos / 'one'}", clip_length=2, size=(8, 8))
    numbers = [
        {int(n) for index in range(len(part)) for n in part[index]["frames"][:, 0, 0, 0]}
        for part in single.hold_out(0.4)
    ]
    assert numbers == [{0, 1, 2}, {3, 4}]
    known = fingerprint(source)
    write_image(videos / "one" / "000.png", frame(9))
    assert fingerprint(source) != known


def test_a_video_file_is_decoded_once_and_must_fit(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path) as writer:
        for number in range(4):
            writer.write(np.full((32, 48, 3), 60 * number, np.uint8))
    options = {"clip_length": 2, "size": (16, 16)}
    source = open_source(f"videos:{path}", **options)
    assert len(source) == 3
    first, second = source[2]["frames"].astype(float).mean(axis=(1, 2, 3))
    assert first == pytest.approx(120, abs=4)
    assert second == pytest.approx(180, abs=4)
    with pytest.raises(InputError, match=r"GB of decoded frames, .* data\.cache_bytes"):
        open_source(f"videos:{path}", cache_bytes=1000, **options)


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        ("aerial:none", {"clip_length": 2}, "aerial:none: unknown level, expected one of default"),
        ("aerial:busy", {"clip_length": 1}, "clip_length 1: expected 2"),
        ("aerial:busy", {"clip_length": 2, "size": (8, 8)}, "sides of at least 16"),
        ("videos:{}", {"clip_length": 2, "size": (64, 64)}, "30 x 20, expected at least"),
        ("videos:{}", {"clip_length": 9, "size": (8, 8)}, "no clip of 9 frames"),
        ("videos:{}/none", {"clip_length": 2}, "none"),
    ],
)
def test_what_is_wrong_is_one_line(videos, spec, options, words):
    with pytest.raises(InputError, match=words):
        open_source(spec.format(videos), **options)
