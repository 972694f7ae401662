"""Binary masks as bits, 64 pixels a word: counting, outlines and disks then cost next to nothing.

A mask `[..., H, W]` is packed row by row into words `[..., H, ceil(W / 64)]`; pixel x is bit
``x % 64`` of word ``x // 64``, and the bits past the last column are zero. Union, intersection and
difference are then numpy's ``|``, ``&`` and ``^`` on the words.
"""

import math

import numpy as np

WORD = 64
_ONE = np.uint64(1)
_LAST = np.uint64(WORD - 1)


def pack(mask: np.ndarray) -> np.ndarray:
    """Packs a mask.

    Args:
        mask: mask to pack, bool `[..., H, W]`.

    Returns:
        The words, uint64 `[..., H, ceil(W / 64)]`.
    """
    packed = np.packbits(mask, axis=-1, bitorder="little")
    missing = -packed.shape[-1] % (WORD // 8)
    if missing:
        wide = np.zeros((*packed.shape[:-1], packed.shape[-1] + missing), np.uint8)
        wide[..., : packed.shape[-1]] = packed
        packed = wide
    return packed.view("<u8")


def unpack(words: np.ndarray, width: int) -> np.ndarray:
    """The mask of packed words.

    Args:
        words: packed mask, uint64 `[..., H, n]`.
        width: number of columns W.

    Returns:
        The mask, bool `[..., H, W]`.
    """
    octets = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(octets, axis=-1, count=width, bitorder="little").view(bool)


def pack_labels(labels: np.ndarray, values) -> np.ndarray:
    """The pixels of each of several labels, packed.

    Args:
        labels: label of each pixel, integers `[H, W]`.
        values: labels wanted.

    Returns:
        The words of each label, uint64 `[len(values), H, n]`.
    """
    return np.stack([pack(labels == value) for value in values])


def count(words: np.ndarray) -> np.ndarray:
    """Number of pixels of a mask: words `[..., H, n]` -> int64 `[...]`."""
    return np.bitwise_count(words).sum(axis=(-2, -1), dtype=np.int64)


def outline(words: np.ndarray, width: int) -> np.ndarray:
    """The boundary pixels of one mask, as the DAVIS benchmark has them.

    A pixel is on the boundary when it differs from its right, lower or lower right neighbor; on
    the last row and column only the neighbor inside the image counts.

    Args:
        words: packed mask, `[H, n]`.
        width: number of columns W.

    Returns:
        Words `[H, n]`.
    """
    edge = np.empty_like(words)
    right = _from_right(words)
    # The last column has no right neighbor: let it be its own.
    end = np.uint64((width - 1) % WORD)
    right[:, -1] |= words[:, -1] & (_ONE << end)
    np.bitwise_xor(words, right, out=edge)
    edge[:-1] |= words[:-1] ^ words[1:]
    edge[:-1] |= words[:-1] ^ right[1:]
    return edge


def dilate(words: np.ndarray, width: int, radius: int) -> np.ndarray:
    """Every pixel within a disk around a pixel of one mask.

    The disk is the union of rows: the mask is spread along x, a little further each time, and each
    spread is laid over the rows at which the disk is that wide.

    Args:
        words: packed mask, `[H, n]`.
        width: number of columns W.
        radius: radius of the disk, which holds the pixels at a Euclidean distance of at most this.

    Returns:
        Words `[H, n]`.
    """
    height, num_words = words.shape
    result = np.zeros_like(words)
    rows, columns = np.flatnonzero(words.any(axis=1)), np.flatnonzero(words.any(axis=0))
    if not len(rows):
        return result
    # Only the box that the disks can reach is worked on.
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    margin = -(-radius // WORD)
    left, right = max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, num_words)
    # Its rows are one long string of bits: what spreads past the end of a row, or before its start,
    # falls into unused bits, of which there must be enough.
    unused = num_words * WORD - width if right == num_words else 0
    box = np.zeros((bottom - top, right - left + (0 if unused >= radius else margin)), np.uint64)
    box[:, : right - left] = words[top:bottom, left:right]
    reach = [math.isqrt(radius**2 - dy**2) for dy in range(radius + 1)]
    grown = 0
    for dy in range(radius, -1, -1):  # the narrowest rows of the disk first
        while grown < reach[dy]:
            step = min(reach[dy] - grown, 2 * grown + 1)  # leaves no gap
            _spread(box.reshape(-1), step)
            grown += step
        for shift in {dy, -dy}:
            start, stop = max(top + shift, 0), min(bottom + shift, height)
            if start < stop:
                part = box[start - shift - top : stop - shift - top, : right - left]
                result[start:stop, left:right] |= part
    if width % WORD:
        result[:, -1] &= (_ONE << np.uint64(width % WORD)) - _ONE
    return result


def _spread(bits: np.ndarray, step: int) -> None:
    """Lays a string of bits over itself, moved by `step` both ways, in place."""
    whole, part = divmod(step, WORD)
    moved = np.zeros((2, len(bits)), np.uint64)
    later, earlier = moved
    count = len(bits) - whole
    if count > 0:
        np.left_shift(bits[:count], np.uint64(part), out=later[whole:])
        np.right_shift(bits[whole:], np.uint64(part), out=earlier[:count])
    if part and count > 1:
        carry = np.uint64(WORD - part)
        later[whole + 1 :] |= bits[: count - 1] >> carry
        earlier[: count - 1] |= bits[whole + 1 :] << carry
    bits |= later
    bits |= earlier


def _from_right(words: np.ndarray) -> np.ndarray:
    """Each pixel's right neighbor; nothing beyond the last word."""
    moved = words >> _ONE
    moved[:, :-1] |= words[:, 1:] << _LAST
    return moved
