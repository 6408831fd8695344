from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.core import tilecodec
from napari_medseg.core.errors import BrokenTile, InputError, NewerTile

WRITTEN_BY_VERSION_1 = (
    "4d534c54013c7532020003002c010000000000000300000052a7c34e28b52ffd2012910000000007002c01020301000000000000000000"
)


@st.composite
def tiles(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    dtype = np.dtype(draw(st.sampled_from(tilecodec.TYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    limits = np.iinfo(dtype)
    choices = rng.integers(limits.min, limits.max, draw(st.sampled_from((1, 3, 200))), dtype, endpoint=True)
    return rng.choice(choices, shape)


@given(tiles())
def test_a_tile_comes_back_as_it_was(tile: np.ndarray) -> None:
    blob = tilecodec.encode(tile)
    found = tilecodec.decode(blob)
    np.testing.assert_array_equal(found, tile)
    assert found.dtype == tile.dtype.newbyteorder("=")
    assert tilecodec.largest_label(blob) == tile.max()
    assert tilecodec.encode(found) == blob
    found[...] = 0


@pytest.mark.parametrize("dtype", [">u2", ">i4"])
def test_byte_order_does_not_matter(dtype: str) -> None:
    tile = np.arange(600).reshape(20, 30)
    assert tilecodec.encode(tile.astype(dtype)) == tilecodec.encode(tile.astype(dtype[1:]))


def test_layout_on_disk_stays_readable() -> None:
    """These bytes were written by version 1; every later version must read them."""
    blob = bytes.fromhex(WRITTEN_BY_VERSION_1)
    np.testing.assert_array_equal(tilecodec.decode(blob), [[0, 0, 7], [7, 7, 300]])


@given(tiles(), st.data())
def test_no_changed_bit_goes_unseen(tile: np.ndarray, data: st.DataObject) -> None:
    blob = bytearray(tilecodec.encode(tile))
    position = data.draw(st.integers(0, 8 * len(blob) - 1))
    blob[position // 8] ^= 1 << position % 8
    with pytest.raises(BrokenTile):
        tilecodec.decode(bytes(blob))


@given(tiles(), st.data())
def test_a_part_of_a_tile_is_refused(tile: np.ndarray, data: st.DataObject) -> None:
    blob = tilecodec.encode(tile)
    with pytest.raises(BrokenTile):
        tilecodec.decode(blob[: data.draw(st.integers(0, len(blob) - 1))])


def test_a_newer_layout_says_so() -> None:
    blob = of_a_newer_version(tilecodec.encode(np.zeros((4, 4), np.uint8)))
    for read in (tilecodec.decode, tilecodec.largest_label):
        with pytest.raises(NewerTile, match="newer napari-medseg.*Update"):
            read(blob)


def of_a_newer_version(blob: bytes) -> bytes:
    header = blob[:4] + bytes([tilecodec.VERSION + 1]) + blob[5:24]
    return header + struct.pack("<I", zlib.crc32(header + blob[28:])) + blob[28:]


@pytest.mark.parametrize(
    "tile",
    [
        np.zeros((2, 2), bool),
        np.zeros((2, 2), np.uint64),
        np.zeros((2, 2)),
        np.zeros(4, np.uint8),
        np.zeros((0, 2), int),
    ],
    ids=["bool", "uint64", "float", "1D", "empty"],
)
def test_what_is_no_tile_of_labels_is_refused(tile: np.ndarray) -> None:
    with pytest.raises(InputError, match="shape \\(y, x\\)"):
        tilecodec.encode(tile)
