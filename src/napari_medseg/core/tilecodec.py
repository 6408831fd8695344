"""Label tiles as bytes: a short header that describes the tile, then its runs compressed with Zstandard.

=======  ========  =====================================================
bytes    type      meaning
=======  ========  =====================================================
0-3      4 chars   ``MSLT``
4        uint8     version of this layout
5-7      3 chars   numpy type code of the pixels, little-endian (``<u2``)
8-11     2 uint16  height and width
12-19    int64     largest label in the tile
20-23    uint32    number of runs, n
24-27    uint32    CRC-32 of bytes 0-23 and of the compressed bytes
28-      bytes     compressed: n labels, then n lengths
=======  ========  =====================================================

A run is a stretch of one label in the pixels row by row. Painted tiles have few, and they compress to two thirds of
what the pixels do. Magic, version and checksum keep their places in every version, so that a damaged tile is never
taken for a newer one. The lengths are uint32 in four planes, all lowest bytes first: the higher ones are mostly 0.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numcodecs.zstd import Zstd

from napari_medseg.core.errors import BrokenTile, InputError, NewerTile

MAGIC = b"MSLT"
VERSION = 1
TYPES = ("|u1", "<u2", "<u4", "|i1", "<i2", "<i4", "<i8")
"""Types that a tile may have; uint64 is missing because its largest label does not fit the header."""

_HEADER = struct.Struct("<4sB3sHHqI")
_CRC = struct.Struct("<I")
_START = _HEADER.size + _CRC.size
# Level 3 packs runs 2 % smaller and is no slower to read.
_ZSTD = Zstd(level=3)


class Header(NamedTuple):
    """What a tile says of itself."""

    magic: bytes
    version: int
    dtype: bytes
    height: int
    width: int
    largest: int
    runs: int


def encode(tile: np.ndarray) -> bytes:
    """Bytes of a tile of labels, shape (y, x), at most 65,535 pixels a side."""
    code = tile.dtype.newbyteorder("<").str
    if code not in TYPES or tile.ndim != 2 or not 0 < min(tile.shape) <= max(tile.shape) < 1 << 16:
        raise InputError(
            f"A tile of labels has shape (y, x) and one of the types {', '.join(TYPES)}; "
            f"this one has shape {tile.shape} and type {tile.dtype.str}."
        )
    labels, lengths = _runs(tile.astype(code, copy=False).ravel())
    header = _HEADER.pack(MAGIC, VERSION, code.encode(), *tile.shape, int(labels.max()), labels.size)
    planes = lengths.astype("<u4").view(np.uint8).reshape(-1, 4).T
    payload = bytes(_ZSTD.encode(labels.tobytes() + planes.tobytes()))
    return header + _CRC.pack(_checksum(header, payload)) + payload


def decode(blob: bytes) -> np.ndarray:
    """The tile that `encode` was given; `BrokenTile` where a single bit has changed."""
    header = checked_header(blob)
    dtype = np.dtype(header.dtype.decode())
    unpacked = np.empty(header.runs * (dtype.itemsize + 4), np.uint8)
    _ZSTD.decode(blob[_START:], out=unpacked)
    labels, planes = np.split(unpacked, [header.runs * dtype.itemsize])
    lengths = np.ascontiguousarray(planes.reshape(4, -1).T).view("<u4").ravel()
    pixels = np.repeat(labels.view(dtype), lengths).reshape(header.height, header.width)
    return pixels.astype(dtype.newbyteorder("="), copy=False)


def largest_label(blob: bytes) -> int:
    """Largest label in an encoded tile, which is not unpacked for it."""
    return checked_header(blob).largest


def _runs(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label and length of each run."""
    starts = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    lengths = np.diff(starts, prepend=0, append=pixels.size)
    return np.concatenate((pixels[:1], pixels[starts])), lengths


def _checksum(header: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(header))


def checked_header(blob: bytes) -> Header:
    """Header of a tile of which every bit is as it was written."""
    if len(blob) < _START or blob[: len(MAGIC)] != MAGIC:
        raise BrokenTile(f"Its {len(blob)} bytes do not begin as a label tile does.")
    (crc,) = _CRC.unpack_from(blob, _HEADER.size)
    if crc != _checksum(blob[: _HEADER.size], blob[_START:]):
        raise BrokenTile("Its checksum does not match: the bytes were damaged on disk or cut off.")
    header = Header(*_HEADER.unpack_from(blob))
    if header.version > VERSION:
        raise NewerTile(
            f"It was written in layout {header.version} by a newer napari-medseg; this one reads layouts up to "
            f"{VERSION}. Update napari-medseg."
        )
    return header
