"""KITTI's pictures of flow."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.optical_flow import read_kitti_png, write_kitti_png


def test_round_trip_and_values(tmp_path):
    rng = np.random.default_rng(0)
    flow = rng.integers(-(2**15), 2**15, (5, 7, 2)).astype(np.float32) / 64
    valid = rng.random((5, 7)) < 0.7
    write_kitti_png(tmp_path / "a.png", flow, valid)
    read, known = read_kitti_png(tmp_path / "a.png")
    np.testing.assert_array_equal(known, valid)
    np.testing.assert_array_equal(read, np.where(valid[..., None], flow, 0))


def test_channel_order(tmp_path):
    """Written byte by byte: red u, green v, blue known."""
    rows = b"".join(
        b"\0" + b"".join(struct.pack(">HHH", 2**15 + 64 * x, 2**15 - 64 * y, 1) for x in range(3))
        for y in range(2)
    )

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0))
    png += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(png)
    flow, valid = read_kitti_png(tmp_path / "a.png")
    assert valid.all()
    np.testing.assert_array_equal(flow[..., 0], [[0, 1, 2]] * 2)
    np.testing.assert_array_equal(flow[..., 1], [[0] * 3, [-1] * 3])


def test_what_is_no_such_picture_is_named(tmp_path):
    path = tmp_path / "a.png"
    for image in (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16)):
        cv2.imwrite(str(path), image)
        with pytest.raises(InputError, match="expected a KITTI flow PNG"):
            read_kitti_png(path)
    for content in (b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a readable picture"):
            read_kitti_png(path)
    with pytest.raises(InputError, match="-512 to 512"):
        write_kitti_png(path, np.full((2, 2, 2), 600.0))


def test_a_size_that_the_file_cannot_hold_asks_for_no_memory(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint16))
    data = (tmp_path / "a.png").read_bytes()
    for width, height in ((30_000, 30_000), (2**31 - 1, 2**31 - 1)):
        start = data[12:16] + struct.pack(">II", width, height) + data[24:29]
        checked = start + struct.pack(">I", zlib.crc32(start))
        (tmp_path / "a.png").write_bytes(data[:12] + checked + data[33:])
        with pytest.raises(InputError, match=r"a\.png: absurd size"):
            read_kitti_png(tmp_path / "a.png")


def test_what_is_held_where_it_is_not_valid_is_not_written(tmp_path):
    flow = np.ones((3, 4, 2), np.float32)
    valid = np.ones((3, 4), np.uint8)
    valid[1, 2] = 0
    flow[1, 2] = np.nan
    write_kitti_png(tmp_path / "a.png", flow, valid)
    read, known = read_kitti_png(tmp_path / "a.png")
    np.testing.assert_array_equal(known, valid)
    np.testing.assert_array_equal(read, valid[..., None] * np.ones(2))
    with pytest.raises(InputError, match=r"valid holds 0\.5"):
        write_kitti_png(tmp_path / "a.png", flow, 0.5 * valid)
