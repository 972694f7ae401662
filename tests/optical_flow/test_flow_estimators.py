import json

import numpy as np
import pytest
from scipy import ndimage

from jaxmotion.errors import InputError
from jaxmotion.optical_flow import (
    ESTIMATORS,
    estimate_sequence,
    make_estimator,
    read_flo,
    write_flo,
    write_flow_folder,
)


def textured(height=96, width=128, seed=0):
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.normal(size=(height, width)), 2)
    image = 255 * (image - image.min()) / np.ptp(image)
    return np.repeat(image[..., None], 3, -1).astype(np.uint8)


class Stream:
    """A video of given frames, counting how often one is read."""

    def __init__(self, path, frames, names=None):
        self.path, self.frames, self.names = path, frames, names
        self.height, self.width = frames[0].shape[:2]
        self.num_frames = len(frames)

    def __iter__(self):
        return iter(self.frames)

    def frame_names(self):
        return self.names or [f"{i:05d}" for i in range(len(self.frames))]


class Counting:
    """An estimator that gives the difference of the first pixels."""

    name = "counting"

    def __init__(self, **settings):
        self.settings, self.calls = settings, 0

    def __call__(self, image0, image1):
        self.calls += 1
        change = float(image1[0, 0, 0]) - float(image0[0, 0, 0])
        return np.full((*image0.shape[:2], 2), change, np.float32)


def frames_of(values, shape=(4, 6, 3)):
    return [np.full(shape, value, np.uint8) for value in values]


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium", "fine"])
def test_dis_finds_a_shift(preset):
    image = textured()
    shifted = np.roll(image, (2, 3), axis=(0, 1))  # down 2, right 3
    flow = make_estimator("dis", preset=preset)(image, shifted)
    assert flow.shape == (96, 128, 2)
    assert flow.dtype == np.float32
    inner = flow[16:-16, 16:-16].reshape(-1, 2)
    np.testing.assert_allclose(np.median(inner, axis=0), [3, 2], atol=0.2)


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium", "fine"])
@pytest.mark.parametrize(
    ("height", "width"), [(8, 12), (12, 8), (8, 48), (15, 400), (16, 64), (400, 9), (30, 31)]
)
def test_dis_takes_low_and_narrow_frames(preset, height, width):
    image = textured(height, width)
    flow = make_estimator("dis", preset=preset)(image, np.roll(image, 1, axis=1))
    assert flow.shape == (height, width, 2)
    assert np.isfinite(flow).all()


def test_dis_depends_on_the_pair_alone():
    a, b = textured(seed=1), textured(seed=2)
    estimator = make_estimator("dis")
    first = estimator(a, b)
    estimator(b, a)
    np.testing.assert_array_equal(estimator(a, b), first)


def test_unknown_names_and_settings():
    with pytest.raises(InputError, match="expected one of dis"):
        make_estimator("nonsense")
    with pytest.raises(InputError, match="preset 'slow': expected one of ultrafast"):
        make_estimator("dis", preset="slow")
    with pytest.raises(InputError, match=r"estimator dis: .*iterations"):
        make_estimator("dis", iterations=3)
    assert ESTIMATORS["dis"]().name == "dis"


def test_frames_too_small_for_dis():
    with pytest.raises(InputError, match="4 x 3 are too small for DIS flow, expected 12 x 8"):
        make_estimator("dis")(np.zeros((3, 4, 3), np.uint8), np.zeros((3, 4, 3), np.uint8))


def test_sequence_is_a_stream_of_neighboring_pairs():
    read = []

    def frames():
        for frame in frames_of([0, 1, 3, 7]):
            read.append(len(read))
            yield frame

    flows = estimate_sequence(frames(), Counting())
    assert next(flows)[0, 0, 0] == 1
    assert len(read) == 2  # no further frame was asked for
    assert [flow[0, 0, 0] for flow in flows] == [2, 4]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_frames_give_no_flow(count):
    assert list(estimate_sequence(frames_of([0] * count), Counting())) == []


def test_folder_gets_a_file_a_pair_named_after_the_first_frame(tmp_path):
    video = Stream(tmp_path / "v", frames_of([0, 1, 3]), ["f07", "f08", "f09"])
    report = write_flow_folder(video, tmp_path / "out", Counting(a=1), progress=False)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "f07.flo",
        "f08.flo",
        "fields.jsonl",
        "flow.json",
    ]
    assert read_flo(tmp_path / "out" / "f08.flo")[0, 0, 0] == 2
    assert (report.num_flows, report.num_reused) == (2, 0)
    described = json.loads((tmp_path / "out" / "flow.json").read_text())
    assert described["estimator"] == "counting"
    assert described["settings"] == {"a": 1}
    assert (described["height"], described["width"]) == (4, 6)


def test_folder_is_resumed_after_an_interruption(tmp_path):
    frames = frames_of([0, 1, 3, 7, 15])

    class Interrupted(Counting):
        def __call__(self, image0, image1):
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().__call__(image0, image1)

    with pytest.raises(KeyboardInterrupt):
        write_flow_folder(Stream(tmp_path, frames), tmp_path / "out", Interrupted(), progress=False)
    assert len(list((tmp_path / "out").glob("*.flo"))) == 2
    estimator = Counting()
    report = write_flow_folder(
        Stream(tmp_path, frames), tmp_path / "out", estimator, progress=False
    )
    assert (report.num_flows, report.num_reused, estimator.calls) == (4, 2, 2)
    values = [read_flo(p)[0, 0, 0] for p in sorted((tmp_path / "out").glob("*.flo"))]
    assert values == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda p: (Stream(p / "v", frames_of([0, 1])), Counting(a=2)), "holds flow with settings"),
        (lambda p: (Stream(p / "v", frames_of([9, 3])), Counting(a=1)), "another video"),
        (
            lambda p: (Stream(p / "v", frames_of([0, 1], (5, 6, 3))), Counting(a=1)),
            "holds flow with height 4, not 5",
        ),
    ],
)
def test_folder_of_other_flow_is_refused(tmp_path, other, words):
    video = Stream(tmp_path / "v", frames_of([0, 1]))
    write_flow_folder(video, tmp_path / "out", Counting(a=1), progress=False)
    before = (tmp_path / "out" / "00000.flo").read_bytes()
    video, estimator = other(tmp_path)
    with pytest.raises(InputError, match=words):
        write_flow_folder(video, tmp_path / "out", estimator, progress=False)
    assert (tmp_path / "out" / "00000.flo").read_bytes() == before


def test_folder_of_strange_files_is_refused(tmp_path):
    video = Stream(tmp_path / "v", frames_of([0, 1]))
    write_flo(tmp_path / "out" / "00000.flo", np.zeros((4, 6, 2)))
    with pytest.raises(InputError, match="another origin"):
        write_flow_folder(video, tmp_path / "out", Counting(), progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be"):
        write_flow_folder(video, tmp_path / "file", Counting(), progress=False)


def test_left_over_frames_are_named(tmp_path):
    long = Stream(tmp_path / "v", frames_of([0, 1, 2]))
    write_flow_folder(long, tmp_path / "out", Counting(), progress=False)
    with pytest.raises(InputError, match=r"00001\.flo: of no frame"):
        write_flow_folder(
            Stream(tmp_path / "v", frames_of([0, 1])), tmp_path / "out", Counting(), progress=False
        )


def test_damaged_file_is_estimated_again(tmp_path):
    video = Stream(tmp_path / "v", frames_of([0, 1, 3]))
    write_flow_folder(video, tmp_path / "out", Counting(), progress=False)
    (tmp_path / "out" / "00001.flo").write_bytes(b"PIEH")
    report = write_flow_folder(video, tmp_path / "out", Counting(), progress=False)
    assert report.num_reused == 1
    assert read_flo(tmp_path / "out" / "00001.flo")[0, 0, 0] == 2
