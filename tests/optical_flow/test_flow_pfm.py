"""Portable float maps, written here by hand."""

import cv2
import numpy as np
import pytest

from jaxmotion.errors import InputError
from jaxmotion.optical_flow import read_pfm, read_pfm_flow


def pfm_bytes(values, scale="-1.0", kind=None):
    """The bottom row first; a negative scale stands for little endian."""
    kind = kind or ("PF" if values.ndim == 3 else "Pf")
    order = "<f4" if scale.startswith("-") else ">f4"
    header = f"{kind}\n{values.shape[1]} {values.shape[0]}\n{scale}\n".encode()
    return header + values[::-1].astype(order).tobytes()


def random_values(*shape):
    return np.random.default_rng(0).normal(0, 9, shape).astype(np.float32)


@pytest.mark.parametrize("scale", ["-1.0", "1.0", "-1", "1.000000", "-1e0"])
@pytest.mark.parametrize("shape", [(3, 5, 3), (4, 2), (1, 1)])
def test_rows_go_from_the_bottom_up_in_either_byte_order(shape, scale, tmp_path):
    values = random_values(*shape)
    (tmp_path / "x.pfm").write_bytes(pfm_bytes(values, scale))
    found = read_pfm(tmp_path / "x.pfm")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.reshape(*shape[:2], -1))


def test_opencv_writes_the_same(tmp_path):
    values = random_values(6, 7, 3)
    assert cv2.imwrite(str(tmp_path / "x.pfm"), values[..., ::-1])  # its order is blue, green, red
    np.testing.assert_array_equal(read_pfm(tmp_path / "x.pfm"), values)


def test_flow_is_the_first_two_channels(tmp_path):
    values = random_values(6, 7, 3)
    values[..., 2] = np.nan  # means nothing
    (tmp_path / "x.pfm").write_bytes(pfm_bytes(values))
    np.testing.assert_array_equal(read_pfm_flow(tmp_path / "x.pfm"), values[..., :2])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a .pfm file"),
        (b"P6\n2 2\n255\n" + bytes(12), "not a .pfm file"),
        (b"PF\n2 -2\n-1.0\n" + bytes(48), "not a .pfm file"),
        (b"PF\n2 2\nnone\n" + bytes(48), "not a .pfm file"),
        (b"PF\n0 2\n-1.0\n", "0 x 2"),
        (b"PF\n2 2\n0\n" + bytes(48), "a scale of 0"),
        (b"PF\n2 2\n-1.0\n" + bytes(47), "truncated, 59 bytes where 2 x 2 x 3 take 60"),
        (b"PF\n2 2\n-1.0\n" + bytes(49), "too long"),
        (b"Pf\n2 2\n-1.0\n" + bytes(16), "one channel, expected flow in three"),
        (pfm_bytes(np.full((2, 2, 3), np.inf)), "4 NaN or infinite vectors, the first at [0, 0]"),
    ],
)
def test_what_is_no_flow_is_named(data, words, tmp_path):
    path = tmp_path / "x.pfm"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_pfm_flow(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_a_missing_file(tmp_path):
    for path in (tmp_path / "none.pfm", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_pfm(path)
