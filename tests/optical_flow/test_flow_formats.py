import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxmotion.errors import InputError
from jaxmotion.optical_flow import fields, formats, known_vectors, read_kitti_png, write_kitti_png


def flo_bytes(width, height, values=None, magic=202021.25):
    """A .flo file put together from the format's description."""
    values = np.zeros(2 * width * height) if values is None else values
    return (
        struct.pack("<f", magic)
        + struct.pack("<ii", width, height)
        + values.astype("<f4").tobytes()
    )


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_flo_layout_is_interleaved_rows(tmp_path):
    (tmp_path / "a.flo").write_bytes(flo_bytes(3, 2, np.arange(12)))
    flow = formats.read_flo(tmp_path / "a.flo")
    assert flow.dtype == np.float32
    np.testing.assert_array_equal(flow[1, 2], [10, 11])
    np.testing.assert_array_equal(flow[0, 1], [2, 3])


@settings(max_examples=20, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 7), st.just(2)),
        elements=st.floats(-1e5, 1e5, width=32),
    )
)
def test_flo_round_trip_is_exact(tmp_path_factory, flow):
    path = tmp_path_factory.mktemp("flo") / "a.flo"
    formats.write_flo(path, flow)
    assert path.read_bytes() == flo_bytes(flow.shape[1], flow.shape[0], flow.ravel())
    np.testing.assert_array_equal(formats.read_flo(path), flow)
    assert formats.flo_size(path) == flow.shape[:2]
    assert os.listdir(path.parent) == ["a.flo"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "truncated"),
        (b"PIEH", "truncated"),
        (flo_bytes(3, 2)[:-1], "truncated"),
        (flo_bytes(3, 2)[:12], "truncated"),
        (flo_bytes(3, 2) + b"\0", "too long"),
        (flo_bytes(3, 2, magic=1.0), "magic number"),
        (flo_bytes(3, 2, magic=float("nan")), "magic number"),
        (flo_bytes(3, 2)[:4][::-1] + flo_bytes(3, 2)[4:], "magic number"),
        (struct.pack("<fii", 202021.25, 0, 2), "absurd size"),
        (struct.pack("<fii", 202021.25, -3, -2) + bytes(48), "absurd size"),
        (struct.pack("<fii", 202021.25, 2**31 - 1, 2**31 - 1), "absurd size"),
        (struct.pack("<fii", 202021.25, 99999, 99999), "truncated"),
        (flo_bytes(3, 2, np.array([np.nan] + [0.0] * 11)), r"1 NaN or infinite .* at \[0, 0\]"),
        (flo_bytes(3, 2, np.array([0.0] * 11 + [-np.inf])), r"1 NaN or infinite .* at \[1, 2\]"),
    ],
)
def test_bad_flo_is_named(tmp_path, content, words):
    path = tmp_path / "bad.flo"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        formats.read_flo(path)
    assert one_line(error).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "read",
    [
        formats.read_flo,
        formats.flo_size,
        read_kitti_png,
        formats.read_flow_npz,
        fields.read_flow_sequence,
    ],
)
def test_missing_file_and_folder_in_its_place(tmp_path, read):
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "none")
    if read is not fields.read_flow_sequence:
        with pytest.raises(InputError, match="Is a directory"):
            read(tmp_path)


@pytest.mark.parametrize(
    "flow", [np.zeros((2, 3)), np.zeros((2, 3, 3)), np.zeros((0, 3, 2)), np.full((2, 3, 2), np.nan)]
)
def test_only_flow_is_written(tmp_path, flow):
    path = tmp_path / "a.flo"
    path.write_bytes(b"before")
    with pytest.raises(InputError, match=r"a\.flo"):
        formats.write_flo(path, flow)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.flo"]


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"file/a\.flo: cannot be written \(.+\)"):
        formats.write_flo(tmp_path / "file" / "a.flo", np.zeros((2, 3, 2)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_npz_round_trip_keeps_precision(tmp_path, dtype):
    flow = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(dtype)
    valid = np.arange(60).reshape(3, 4, 5) % 7 > 0
    formats.write_flow_npz(tmp_path / "a.npz", flow, valid)
    read, known = formats.read_flow_npz(tmp_path / "a.npz")
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, flow)
    np.testing.assert_array_equal(known, valid)
    sequence, known = fields.read_flow_sequence(tmp_path / "a.npz")
    np.testing.assert_array_equal(known, valid)
    assert sequence.dtype == np.float32
    np.testing.assert_array_equal(sequence, np.where(valid[..., None], flow, 0))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros(3)}, r"holds the keys \['x'\], expected 'flow'"),
        ({"flow": np.zeros((4, 5, 2), np.float32)}, r"expected \[T, H, W, 2\]"),
        ({"flow": np.zeros((0, 4, 5, 2), np.float32)}, r"expected \[T, H, W, 2\]"),
        ({"flow": np.zeros((1, 4, 5, 2), np.int32)}, "int32, expected float16 or float32"),
        ({"flow": np.full((1, 4, 5, 2), np.inf, np.float16)}, "NaN or infinite"),
        ({"flow": np.array([{}], object)}, "damaged or not an .npz"),
        (
            {"flow": np.zeros((1, 4, 5, 2), np.float32), "valid": np.ones((4, 5))},
            "'valid' has the shape",
        ),
    ],
)
def test_bad_npz_is_named(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=words) as error:
        formats.read_flow_npz(tmp_path / "a.npz")
    assert one_line(error).startswith(f"{tmp_path / 'a.npz'}: ")


def test_damaged_npz(tmp_path):
    path = tmp_path / "a.npz"
    formats.write_flow_npz(path, np.random.default_rng(0).normal(size=(3, 20, 30, 2)))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (whole[: len(whole) // 2], bytes(flipped), b"not a zip", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged or not an"):
            formats.read_flow_npz(path)
    np.save(tmp_path / "b.npy", np.zeros(3))
    (tmp_path / "b.npy").rename(path)
    with pytest.raises(InputError, match="damaged or not an"):
        formats.read_flow_npz(path)


def write_folder(folder, names, shape=(4, 6, 2)):
    for number, name in enumerate(names):
        formats.write_flo(folder / name, np.full(shape, number, np.float32))


def test_sequence_is_in_order_of_numbers(tmp_path):
    names = [f"frame_{i}.flo" for i in range(12)]  # not in alphabetical order
    write_folder(tmp_path, names)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden.flo").write_text("hello")
    assert [path.name for path in fields.flow_files(tmp_path)] == names
    np.testing.assert_array_equal(fields.read_flow_sequence(tmp_path)[0][:, 0, 0, 0], range(12))


def test_sequence_may_have_a_step(tmp_path):
    write_folder(tmp_path, ["s2_03.flo", "s2_06.flo", "s2_09.flo"])
    assert len(fields.flow_files(tmp_path)) == 3


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["0001.flo", "0002.flo", "0004.flo", "0009.flo"], "0003.flo"),
        (["a8b.flo", "a9b.flo", "a12b.flo"], "a10b.flo"),
        (["9.flo", "10.flo", "13.flo"], "11.flo"),
    ],
)
def test_missing_frame_is_named(tmp_path, names, missing):
    write_folder(tmp_path, names)
    with pytest.raises(InputError, match="missing frame") as error:
        fields.read_flow_sequence(tmp_path)
    assert one_line(error).startswith(f"{tmp_path / missing}: ")


def test_folders_that_are_no_sequence(tmp_path):
    with pytest.raises(InputError, match=r"no \.flo file"):
        fields.read_flow_sequence(tmp_path)
    write_folder(tmp_path, ["cat_1.flo", "dog_1.flo"])
    with pytest.raises(InputError, match="not of one numbered series"):
        fields.read_flow_sequence(tmp_path)


def test_one_file_twice(tmp_path):
    write_folder(tmp_path, ["1.flo", "01.flo", "2.flo"])
    with pytest.raises(InputError, match="has the same number as"):
        fields.read_flow_sequence(tmp_path)


def test_sizes_must_agree(tmp_path):
    write_folder(tmp_path, ["0.flo", "1.flo"])
    formats.write_flo(tmp_path / "2.flo", np.zeros((6, 4, 2)))
    with pytest.raises(InputError, match=r"2\.flo: 4 x 6, expected 6 x 4 as 0\.flo"):
        fields.read_flow_sequence(tmp_path)


def test_unknown_vectors_are_zero_in_use_and_raw_in_the_file(tmp_path):
    flow = np.ones((2, 3, 2), np.float32)
    flow[0, 1] = 1.666e9
    formats.write_flo(tmp_path / "a.flo", flow)
    np.testing.assert_array_equal(formats.read_flo(tmp_path / "a.flo"), flow)
    used, valid = formats.read_flow_and_valid(tmp_path / "a.flo")
    assert not valid[0, 1]
    assert valid.sum() == 5
    np.testing.assert_array_equal(used[0, 1], 0)


def test_unknown_suffix(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match=r"expected \.flo, \.png"):
        fields.read_flow_sequence(tmp_path / "a.txt")


@pytest.mark.real
def test_real_samples(shared):
    samples = shared / "data" / "flow_samples"
    whale = formats.read_flo(samples / "Middlebury" / "RubberWhale" / "flow10.flo")
    assert whale.shape == (388, 584, 2)
    known = known_vectors(whale)
    assert 0.95 < known.mean() < 1
    assert np.abs(whale[known]).max() < 5
    kitti, valid = read_kitti_png(samples / "KITTI2012or2015_sample" / "flow_gt.png")
    assert kitti.shape == (375, 1242, 2)
    assert 0.1 < valid.mean() < 0.3
    flow, known = fields.read_flow_sequence(
        shared / "data" / "davis" / "Flows" / "raft" / "bear.npz"
    )
    assert flow.shape == (81, 128, 224, 2)
    assert known.all()


# --------------------------------------------------------------------------- what is unknown


def test_what_is_held_where_npz_is_not_valid_does_not_matter(tmp_path):
    flow = np.random.default_rng(0).normal(size=(2, 4, 5, 2)).astype(np.float32)
    valid = np.arange(40).reshape(2, 4, 5) % 3 > 0
    for number, held in enumerate([np.nan, np.inf, 1e30, 1000.0]):
        path = tmp_path / f"{number}.npz"
        formats.write_flow_npz(path, np.where(valid[..., None], flow, np.float32(held)), valid)
        found, known = fields.read_flow_sequence(path)
        np.testing.assert_array_equal(known, valid)
        np.testing.assert_array_equal(found, np.where(valid[..., None], flow, 0))


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_valid_of_every_kind_of_two_values(tmp_path, kind):
    flow = np.ones((1, 2, 3, 2), np.float32)
    valid = np.arange(6).reshape(1, 2, 3) % 2
    np.savez(tmp_path / "a.npz", flow=flow, valid=valid.astype(kind))
    np.testing.assert_array_equal(fields.read_flow_sequence(tmp_path / "a.npz")[1], valid > 0)


@pytest.mark.parametrize(
    ("value", "words"), [(0.3, r"holds 0\.3"), (np.nan, "holds nan"), (-1.0, "holds -1")]
)
def test_other_values_of_valid_are_named(tmp_path, value, words):
    valid = np.ones((1, 2, 3))
    valid[0, 1, 1] = value
    np.savez(tmp_path / "a.npz", flow=np.ones((1, 2, 3, 2), np.float32), valid=valid)
    with pytest.raises(InputError, match=f"'valid' {words}: expected 0") as error:
        fields.read_flow_sequence(tmp_path / "a.npz")
    assert one_line(error).startswith(f"{tmp_path / 'a.npz'}: ")


@pytest.mark.parametrize("suffix", [".flo", ".png", ".npz"])
def test_every_format_says_what_it_knows(tmp_path, suffix):
    flow = np.random.default_rng(0).integers(-9, 9, (3, 6, 8, 2)).astype(np.float32)
    valid = np.random.default_rng(1).uniform(size=(3, 6, 8)) < 0.7
    path = tmp_path
    if suffix == ".npz":
        path = tmp_path / "flow.npz"
        formats.write_flow_npz(path, flow, valid)
    for number, (field, known) in enumerate(zip(flow, valid, strict=True)):
        if suffix == ".flo":
            held = np.where(known[..., None], field, np.float32(1.666e9))
            formats.write_flo(tmp_path / f"{number}.flo", held)
        elif suffix == ".png":
            write_kitti_png(tmp_path / f"{number}.png", field, known)
    found, known = fields.read_flow_sequence(path)
    np.testing.assert_array_equal(known, valid)
    np.testing.assert_array_equal(found, np.where(valid[..., None], flow, 0))


@pytest.mark.parametrize("length", [5e3, 1e6, 9e8, 1e30])
def test_what_no_motion_can_be_is_unknown(tmp_path, length):
    flow = np.ones((6, 8, 2), np.float32)
    flow[2, 3, 0] = -length
    formats.write_flo(tmp_path / "0.flo", flow)
    formats.write_flow_npz(tmp_path / "a.npz", flow[None])
    for path in (tmp_path / "0.flo", tmp_path / "a.npz"):
        found, known = fields.read_flow_sequence(path)
        assert not known[0, 2, 3]
        assert known.sum() == 47
        assert found.max() == 1


def test_what_a_motion_can_be_depends_on_the_size():
    assert known_vectors(np.full((480, 854, 2), 1.9e4, np.float32)).all()  # 20 times 980
    assert not known_vectors(np.full((480, 854, 2), 2e4, np.float32)).any()
    assert known_vectors(np.full((2, 2, 2), 4096, np.float16)).all()


# ------------------------------------------------------------------------------ absurd headers


def absurd_npz(path, name="flow", shape=(10**6, 10**6, 10**6, 2), version=1, size=None):
    """An archive whose header promises more than the file has."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    buffer = io.BytesIO()
    write = (
        np.lib.format.write_array_header_1_0
        if version == 1
        else np.lib.format.write_array_header_2_0
    )
    write(buffer, header)
    with zipfile.ZipFile(path, "w") as archive:
        if name != "flow":
            with archive.open("flow.npy", "w") as file:
                np.lib.format.write_array(file, np.zeros((1, 2, 3, 2), np.float32))
        archive.writestr(f"{name}.npy", buffer.getvalue())
    if size is not None:  # the table of contents promises as much as the header
        data = path.read_bytes()
        at = data.rindex(b"PK\x01\x02") + 24
        path.write_bytes(data[:at] + struct.pack("<I", size) + data[at + 4 :])


@pytest.mark.parametrize("name", ["flow", "valid"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    "shape", [(10**6, 10**6, 10**6, 2), (10**30, 1, 1, 2), (1, 200, 50_000, 2), (-1, 2, 3, 2)]
)
def test_an_archive_that_promises_too_much(tmp_path, name, shape, version):
    absurd_npz(tmp_path / "a.npz", name, shape, version)
    with pytest.raises(InputError, match="damaged") as error:
        fields.read_flow_sequence(tmp_path / "a.npz")
    assert one_line(error).startswith(f"{tmp_path / 'a.npz'}: ")


def test_a_table_of_contents_that_promises_too_much(tmp_path):
    shape = (5, 2000, 40_000, 2)  # 3.2 GB
    absurd_npz(tmp_path / "a.npz", shape=shape, size=128 + 4 * 5 * 2000 * 40_000 * 2)
    tracemalloc.start()
    with pytest.raises(InputError, match="damaged"):
        formats.read_flow_npz(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_a_still_video_compresses_well_and_is_read(tmp_path):
    formats.write_flow_npz(tmp_path / "a.npz", np.zeros((20, 100, 200, 2)))
    assert (tmp_path / "a.npz").stat().st_size < 4 * 20 * 100 * 200 * 2 / 500
    assert fields.read_flow_sequence(tmp_path / "a.npz")[0].shape == (20, 100, 200, 2)


def test_a_file_larger_than_memory_is_one_line(tmp_path, monkeypatch):
    formats.write_flo(tmp_path / "a.flo", np.zeros((2, 3, 2)))

    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(np, "frombuffer", no_memory)
    with pytest.raises(InputError, match=r"a\.flo: cannot be read \(larger than the free memory\)"):
        formats.read_flo(tmp_path / "a.flo")
