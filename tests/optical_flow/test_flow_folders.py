"""Flow of a video into a folder: direction, gap, formats, pictures, quality; and resumed."""

import json

import cv2
import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.locks import locked
from jaxmotion.optical_flow import (
    FlowOrigin,
    quality_file,
    read_flo,
    read_flow_npz,
    read_flow_origin,
    read_kitti_png,
    write_flo,
    write_flow_folder,
)

VALUES = [0, 1, 3, 7, 15]


class Stream:
    """Frames of one gray level each, of 12 x 16 pixels."""

    def __init__(self, path, values=VALUES):
        self.path, self.height, self.width, self.num_frames = path, 12, 16, len(values)
        self.values = values

    def __iter__(self):
        return (np.full((self.height, self.width, 3), value, np.uint8) for value in self.values)

    def frame_names(self):
        return [f"f{i:02d}" for i in range(len(self.values))]


class Difference:
    """An estimator that gives the difference of the gray levels as u; may be interrupted."""

    name = "difference"

    def __init__(self, stop_after=None):
        self.settings, self.calls, self.stop_after = {}, 0, stop_after

    def __call__(self, image0, image1):
        if self.calls == self.stop_after:
            raise KeyboardInterrupt
        self.calls += 1
        flow = np.zeros((*image0.shape[:2], 2), np.float32)
        flow[..., 0] = float(image1[0, 0, 0]) - float(image0[0, 0, 0])
        return flow


def write(tmp_path, estimator=None, values=VALUES, source="v", **options):
    estimator = estimator or Difference()
    video = Stream(tmp_path / source, values)
    return write_flow_folder(video, tmp_path / "out", estimator, progress=False, **options)


def names(folder, pattern="*"):
    return sorted(path.name for path in folder.glob(pattern))


@pytest.mark.parametrize(
    ("gap", "backward", "expected"),
    [
        (1, False, {"f00": 1, "f01": 2, "f02": 4, "f03": 8}),
        (2, False, {"f00": 3, "f01": 6, "f02": 12}),
        (1, True, {"f01": -1, "f02": -2, "f03": -4, "f04": -8}),
        (3, True, {"f03": -7, "f04": -14}),
    ],
)
def test_direction_and_gap(tmp_path, gap, backward, expected):
    report = write(tmp_path, gap=gap, backward=backward)
    found = {p.stem: read_flo(p)[0, 0, 0] for p in (tmp_path / "out").glob("*.flo")}
    assert found == expected
    assert report.num_flows == len(expected)
    assert read_flow_origin(tmp_path / "out") == FlowOrigin("difference", {}, gap, backward)
    described = json.loads((tmp_path / "out" / "flow.json").read_text())
    assert described["gap"] == gap
    assert described["direction"] == ("backward" if backward else "forward")


def test_kitti_pictures(tmp_path):
    write(tmp_path, format="png")
    flow, valid = read_kitti_png(tmp_path / "out" / "f03.png")
    assert valid.all()
    assert (flow == [8, 0]).all()
    again = Difference()
    assert write(tmp_path, again, format="png").num_reused == 4
    assert again.calls == 0


def test_archive_of_all_fields(tmp_path):
    write(tmp_path, format="npz")
    assert names(tmp_path / "out") == ["fields.jsonl", "flow.json", "flow.npz"]
    flow, valid = read_flow_npz(tmp_path / "out" / "flow.npz")
    assert flow.dtype == np.float32
    assert flow.shape == (4, 12, 16, 2)
    assert valid is None
    assert flow[:, 3, 5, 0].tolist() == [1, 2, 4, 8]
    assert flow[..., 1].max() == 0
    with np.load(tmp_path / "out" / "flow.npz") as archive:
        assert archive["names"].tolist() == ["f00", "f01", "f02", "f03"]
    again = Difference()
    assert write(tmp_path, again, format="npz").num_reused == 4
    assert again.calls == 0


@pytest.mark.parametrize("format", ["flo", "png", "npz"])
def test_an_interrupted_run_goes_on(tmp_path, format):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Difference(stop_after=2), format=format)
    assert not (tmp_path / "out" / "flow.npz").exists()
    again = Difference()
    report = write(tmp_path, again, format=format)
    assert (report.num_flows, report.num_reused, again.calls) == (4, 2, 2)
    whole = write_flow_folder(
        Stream(tmp_path / "v"), tmp_path / "whole", Difference(), format=format, progress=False
    )
    assert whole.num_reused == 0
    assert names(tmp_path / "out") == names(tmp_path / "whole")
    for name in names(tmp_path / "whole"):
        if name.endswith(".npz"):  # which carry the time of writing
            one, other = (read_flow_npz(tmp_path / f / name)[0] for f in ("out", "whole"))
            np.testing.assert_array_equal(one, other)
        else:
            assert (tmp_path / "out" / name).read_bytes() == (
                tmp_path / "whole" / name
            ).read_bytes()


def test_pictures_are_to_one_scale(tmp_path):
    write(tmp_path, color=True)
    assert names(tmp_path / "out" / "color") == [f"f{i:02d}.png" for i in range(4)]
    slow, fast = (
        cv2.imread(str(tmp_path / "out" / "color" / f"f0{i}.png"))[0, 0].astype(int) for i in (0, 3)
    )
    assert fast.tolist() == [0, 0, 255]  # blue, green, red: full red, to the right
    np.testing.assert_allclose(slow, 255 - (255 - fast) / 8, atol=1)
    before = (tmp_path / "out" / "color" / "f00.png").stat().st_mtime_ns
    write(tmp_path, color=True)
    assert (tmp_path / "out" / "color" / "f00.png").stat().st_mtime_ns == before


def test_quality_is_written_and_kept(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Difference(stop_after=3), quality=True)  # forth, back, forth
    assert list(json.loads((tmp_path / "out" / "quality.json").read_text())["frames"]) == ["f00"]
    again = Difference()
    report = write(tmp_path, again, quality=True)
    assert again.calls == 1 + 2 * 2  # back for the second field, forth and back for two more
    written = json.loads((tmp_path / "out" / "quality.json").read_text())
    assert list(written["frames"]) == ["f00", "f01", "f02", "f03"]
    # Gray levels of one frame are all the same: no flow makes up for their change.
    assert [frame["warp_error"] for frame in written["frames"].values()] == [1, 2, 4, 8]
    assert [frame["inside"] for frame in written["frames"].values()] == [
        pytest.approx((16 - u) / 16) for u in (1, 2, 4, 8)
    ]
    assert written["mean"]["warp_error"] == report.quality.warp_error == 15 / 4
    assert report.quality.consistency_error == 0
    assert "warp error 3.75" in str(report)
    last = Difference()
    assert write(tmp_path, last, quality=True).quality == report.quality
    assert last.calls == 0


def test_quality_can_be_asked_for_later(tmp_path):
    write(tmp_path, format="npz")
    later = Difference()
    report = write(tmp_path, later, format="npz", quality=True, color=True)
    assert later.calls == 4
    assert report.quality.consistent == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gap": 2}, "gap 1, not 2"),
        ({"backward": True}, "direction 'forward', not 'backward'"),
        ({"format": "png"}, "format 'flo', not 'png'"),
    ],
)
def test_flow_of_another_kind_is_refused(tmp_path, options, words):
    write(tmp_path)
    with pytest.raises(InputError, match=words):
        write(tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gap": 0}, "gap 0: expected at least 1"),
        ({"gap": 5}, "too few frames for a gap of 5"),
        ({"format": "jpg"}, "format 'jpg': expected one of flo, png, npz"),
    ],
)
def test_wrong_options(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        write(tmp_path, **options)


def test_archive_of_another_video_or_damaged(tmp_path):
    write(tmp_path, format="npz")
    with pytest.raises(InputError, match="has no flow of frame f04"):
        write(tmp_path, values=[*VALUES, 31], format="npz")
    with pytest.raises(InputError, match="of other frames"):
        write(tmp_path, values=VALUES[:-1], format="npz")
    path = tmp_path / "out" / "flow.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"flow\.npz: damaged"):
        write(tmp_path, format="npz")


def test_damaged_quality_is_named(tmp_path):
    write(tmp_path)
    for text in ("{", "[]", '{"frames": {"f00": {"warp_error": 1}}}', '{"frames": 3}'):
        (tmp_path / "out" / "quality.json").write_text(text)
        with pytest.raises(InputError, match=r"quality\.json: damaged"):
            write(tmp_path, quality=True)


def test_flow_too_long_for_kitti_leaves_nothing_behind(tmp_path):
    class Far(Difference):
        def __call__(self, image0, image1):
            return np.full((*image0.shape[:2], 2), 600, np.float32)

    with pytest.raises(InputError, match=r"f00\.png: .*512"):
        write(tmp_path, Far(), format="png")
    assert names(tmp_path / "out") == []
    write(tmp_path, format="png")  # what came to nothing refuses no other flow


def test_strangers_in_an_unfinished_archive(tmp_path):
    write_flo(tmp_path / "out" / "unfinished" / "other.flo", np.zeros((12, 16, 2)))
    with pytest.raises(InputError, match=r"other\.flo: of no frame"):
        write(tmp_path, format="npz")


def test_origin_of_an_archive_of_nothing_and_of_a_damaged_file(tmp_path):
    write(tmp_path, format="npz", backward=True)
    origin = read_flow_origin(tmp_path / "out" / "flow.npz")
    assert str(origin) == "backward flow with a gap of 1"
    assert read_flow_origin(tmp_path) is None
    assert read_flow_origin(tmp_path / "nowhere") is None
    for text in ("", "{}", "[1]", '{"estimator": "dis", "settings": {}, "gap": 1}'):
        (tmp_path / "out" / "flow.json").write_text(text)
        with pytest.raises(InputError, match=r"flow\.json: damaged"):
            read_flow_origin(tmp_path / "out")


def test_another_video_of_the_same_name_is_refused(tmp_path):
    """So is one whose frames have changed since; one that was moved, or has grown, is the same."""
    write(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for values in ([1, 2, 4, 8, 16], [0, 1, 3, 7, 14], [0, 1, 3, 8, 15], VALUES[::-1]):
        with pytest.raises(InputError, match=r"is not of that frame of .*/v, but of another"):
            write(tmp_path, values=values)
        assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    moved = Difference()
    assert write(tmp_path, moved, source="elsewhere/renamed").num_reused == 4
    assert moved.calls == 0
    report = write(tmp_path, moved, values=[*VALUES, 31])
    assert (report.num_flows, report.num_reused, moved.calls) == (5, 4, 1)


@pytest.mark.parametrize("format", ["flo", "png", "npz"])
@pytest.mark.parametrize("finished", [True, False])
def test_flow_without_notes_is_checked_by_estimating_it_again(tmp_path, format, finished):
    """That of an earlier version, or of a run that was killed before it could note the frames."""
    if finished:
        write(tmp_path, format=format)
    else:
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path, Difference(stop_after=2), format=format)
    (tmp_path / "out" / "fields.jsonl").unlink()
    with pytest.raises(InputError, match="its flow of f00 is not of that frame"):
        write(tmp_path, values=[0, 2, 3, 7, 15], format=format)
    again = Difference()
    assert write(tmp_path, again, format=format).num_reused == (4 if finished else 2)
    assert again.calls == 4
    last = Difference()
    assert write(tmp_path, last, format=format).num_reused == 4
    assert last.calls == 0


def test_a_line_of_notes_cut_short_is_one_note_less(tmp_path):
    write(tmp_path)
    notes = tmp_path / "out" / "fields.jsonl"
    whole = notes.read_text()
    for text in (whole[:-30], whole[:-30] + "\n", "[]\n3\n" + whole[:-1]):
        notes.write_text(text)
        write(tmp_path)
        again = Difference()
        assert write(tmp_path, again).num_reused == 4
        assert again.calls == 0


@pytest.mark.parametrize("name", ["color", "quality.json", "fields.jsonl", "f00.flo", "flow.npz"])
def test_a_folder_of_somebody_elses_is_refused(tmp_path, name):
    path = tmp_path / "out" / name
    path.parent.mkdir()
    path.mkdir() if name == "color" else path.write_text("mine")
    with pytest.raises(InputError, match=f"{name}: flow of another origin"):
        write(tmp_path)
    assert names(tmp_path / "out") == [name]


def test_what_lies_among_unfinished_fields_is_kept(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, Difference(stop_after=2), format="npz")
    (tmp_path / "out" / "unfinished" / "notes.txt").write_text("mine")
    write(tmp_path, format="npz")
    assert names(tmp_path / "out" / "unfinished") == ["notes.txt"]


def test_flow_does_not_go_among_its_frames_nor_two_runs_into_a_folder(tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "v")
    for folder in ("v", "link"):
        with pytest.raises(InputError, match="is what is read"):
            write_flow_folder(Stream(tmp_path / "v"), tmp_path / folder, Difference())
    with locked(tmp_path / "out"), pytest.raises(InputError, match="another run is writing"):
        write(tmp_path)
    assert list((tmp_path / "v").iterdir()) == []


def test_a_renamed_file_of_weights_is_the_same_estimator(tmp_path):
    def with_weights(name, content):
        estimator = Difference()
        estimator.settings = {"weights": name, "weights_sha256": content, "iterations": 20}
        return estimator

    write(tmp_path, with_weights("a.pth", "1"))
    assert write(tmp_path, with_weights("b.pth", "1")).num_reused == 4
    with pytest.raises(InputError, match="holds flow with settings"):
        write(tmp_path, with_weights("a.pth", "2"))


def test_quality_is_not_written_whole_for_each_frame(tmp_path, monkeypatch):
    writes = []
    atomic = quality_file.atomic_path

    def counted(path):
        writes.append(path.name)
        return atomic(path)

    monkeypatch.setattr(quality_file, "atomic_path", counted)
    write(tmp_path, values=list(range(200)), quality=True)
    assert writes.count("quality.json") < 20
    assert len(json.loads((tmp_path / "out" / "quality.json").read_text())["frames"]) == 199
