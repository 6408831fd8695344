"""Arrays that are read when they are indexed."""

from __future__ import annotations

import lzma
import struct
import zlib
from typing import Any

import numpy as np

from napari_medseg.core.errors import InputError

READ_ERRORS = (OSError, EOFError, ValueError, RuntimeError, KeyError, struct.error, zlib.error, lzma.LZMAError)
"""What the decoders raise on a damaged file."""


class View:
    """A stored array with some axes left out and the others in another order; nothing is read ahead.

    Parameters
    ----------
    array
        Anything with ``shape``, ``dtype`` and basic indexing.
    order
        The axes of ``array`` to show, in the order to show them; the first index is taken of all others.
    source
        Name of the file, for the message when a part of it turns out to be damaged.
    keep
        Kept alive as long as the view, e.g. an open file.
    """

    def __init__(self, array: Any, order: tuple[int, ...], source: str, keep: Any = None) -> None:
        self._array = array
        self._order = order
        self._source = source
        self._keep = keep
        self.shape: tuple[int, ...] = tuple(array.shape[axis] for axis in order)
        self.dtype = np.dtype(array.dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        keys = _expanded(key, self.ndim)
        index: list[Any] = [0] * len(self._array.shape)
        for axis, item in zip(self._order, keys, strict=True):
            index[axis] = item
        kept = [axis for axis, item in enumerate(index) if isinstance(item, slice)]
        shown = [axis for axis, item in zip(self._order, keys, strict=True) if isinstance(item, slice)]
        return self._read(tuple(index)).transpose([kept.index(axis) for axis in shown])

    def _read(self, index: tuple[Any, ...]) -> np.ndarray:
        try:
            return np.asarray(self._array[index])
        except READ_ERRORS as error:
            raise InputError(
                f"{self._source} is damaged or incomplete: a part of it cannot be read ({error}). "
                "Copy the file again from where it came."
            ) from error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype=dtype)

    def __repr__(self) -> str:
        return f"<View of {self._source}: {self.shape} {self.dtype}>"


def _expanded(key: Any, ndim: int) -> tuple[Any, ...]:
    """One slice or integer per axis, from any basic index."""
    keys = key if isinstance(key, tuple) else (key,)
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys = keys[:at] + (slice(None),) * (ndim - len(keys) + 1) + keys[at + 1 :]
    if len(keys) > ndim:
        raise IndexError(f"{len(keys)} indices were given for {ndim} axes")
    return tuple(keys) + (slice(None),) * (ndim - len(keys))
