"""Messages over a byte stream: a JSON header, then the raw bytes of the arrays that it names.

Strategy
--------
A message is a dict of plain values, tuples, numpy arrays and the few dataclasses of ``_CLASSES``. What JSON
does not know becomes an object with the key "$": {"$": "tuple", ...}. Decoding builds only these types,
so a message can never run code. Layout: magic, header length (4 bytes), header, array bytes in order.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from pathlib import PurePath
from typing import Any, BinaryIO

import numpy as np

from napari_medseg.core.errors import BY_NAME, InputError, MedsegError
from napari_medseg.core.events import Draft, Note, Progress, Result, Scalar, Tile
from napari_medseg.core.image import Geometry

MARKER = b"\n<<napari-medseg stream starts here>>\n"
"""Sent once before the first message, so that what others printed before it can be skipped."""

_MAGIC = b"MSEG"
_HEAD = struct.Struct("<4sI")
_ARRAY_KINDS = "biufcSUmM"
_CLASSES: dict[str, type] = {kind.__name__: kind for kind in (Draft, Progress, Tile, Scalar, Note, Result, Geometry)}


def write(stream: BinaryIO, frames: list[Any]) -> None:
    """Write a packed message and flush it."""
    for frame in frames:
        stream.write(frame)
    stream.flush()


def pack(message: dict[str, Any]) -> list[Any]:
    """Turn a message into byte buffers; arrays are not copied unless they are strided."""
    arrays: list[np.ndarray] = []
    body = encode(message, arrays)
    header = json.dumps({"body": body, "arrays": [[a.dtype.str, a.shape] for a in arrays]}).encode()
    return [_HEAD.pack(_MAGIC, len(header)) + header, *(_flat(a).data for a in arrays if a.size)]


def read(stream: BinaryIO) -> dict[str, Any]:
    """Read one message; EOFError at the end of the stream, ConnectionError where it is garbled."""
    magic, length = _HEAD.unpack(_exactly(stream, _HEAD.size))
    if magic != _MAGIC:
        raise ConnectionError(f"A message starts with {magic!r}, not with {_MAGIC!r}.")
    header = json.loads(_exactly(stream, length))
    arrays = [_read_array(stream, dtype, shape) for dtype, shape in header["arrays"]]
    return decode(header["body"], arrays)


def skip_to_start(stream: BinaryIO) -> None:
    """Skip everything up to and with ``MARKER``; EOFError where it never comes."""
    seen = b""
    while not seen.endswith(MARKER):
        seen = seen[-len(MARKER) :] + _exactly(stream, 1)


def encode(value: Any, arrays: list[np.ndarray]) -> Any:
    """Turn a value into what JSON knows; arrays are appended to ``arrays``."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return encode(value.item(), arrays)
    if isinstance(value, np.ndarray):
        return _encode_array(value, arrays)
    if isinstance(value, dict):
        return _encode_dict(value, arrays)
    if isinstance(value, list):
        return [encode(item, arrays) for item in value]
    if isinstance(value, tuple):
        return {"$": "tuple", "items": [encode(item, arrays) for item in value]}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, MedsegError):
        return {"$": "error", "name": error_name(value), "message": str(value)}
    if type(value).__name__ in _CLASSES and dataclasses.is_dataclass(value):
        fields = [getattr(value, field.name) for field in dataclasses.fields(value)]
        return {"$": type(value).__name__, "items": [encode(item, arrays) for item in fields]}
    raise TypeError(f"A {type(value).__name__} cannot cross to another process; send numbers, text or arrays.")


def decode(value: Any, arrays: list[np.ndarray]) -> Any:
    """Undo ``encode``."""
    if isinstance(value, list):
        return [decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    tag = value.get("$")
    if tag is None:
        return {key: decode(item, arrays) for key, item in value.items()}
    if tag == "array":
        return arrays[value["index"]]
    if tag == "error":
        return BY_NAME[value["name"]](value["message"])
    items = [decode(item, arrays) for item in value["items"]]
    if tag == "tuple":
        return tuple(items)
    if tag == "dict":
        return dict(items)
    return _CLASSES[tag](*items)


def error_name(error: MedsegError) -> str:
    """Name of the nearest class that the other side knows."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in BY_NAME)


def _encode_dict(value: dict[Any, Any], arrays: list[np.ndarray]) -> Any:
    if all(isinstance(key, str) for key in value) and "$" not in value:
        return {key: encode(item, arrays) for key, item in value.items()}
    pairs = [encode((key, item), arrays) for key, item in value.items()]
    return {"$": "dict", "items": pairs}


def _encode_array(value: np.ndarray, arrays: list[np.ndarray]) -> dict[str, Any]:
    if value.dtype.kind not in _ARRAY_KINDS:
        raise InputError(f"An array of type {value.dtype} cannot cross to another process; use numbers.")
    arrays.append(np.asarray(value))
    return {"$": "array", "index": len(arrays) - 1}


def _flat(array: np.ndarray) -> np.ndarray:
    """The array's bytes in C order, as an array of uint8."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _read_array(stream: BinaryIO, dtype: str, shape: list[int]) -> np.ndarray:
    array = np.empty(math.prod(shape) * np.dtype(dtype).itemsize, np.uint8)
    _fill(stream, array.data)
    return array.view(dtype).reshape(shape)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = bytearray(size)
    _fill(stream, memoryview(data))
    return bytes(data)


def _fill(stream: BinaryIO, view: memoryview) -> None:
    done = 0
    while done < len(view):
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError("The stream has ended.")
        done += count
