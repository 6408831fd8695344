"""The levels of a label pyramid as arrays that are read when they are indexed."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_medseg.core.brush import by_tile, plane_of
from napari_medseg.core.errors import InputError
from napari_medseg.core.labelpyramid.pyramid import LabelPyramid

MOST_PIXELS = 2**28
"""What is made into one array at most."""

Index = tuple[slice | int, ...]


class LevelView:
    """One level of a label pyramid, or a part of it, read when it is indexed; not to be written to.

    One plane becomes an array at once. A part with several planes stays lazy, because napari cuts y and x before it
    chooses the plane; ``np.asarray`` reads it.
    """

    def __init__(self, pyramid: LabelPyramid, level: int, index: Index | None = None) -> None:
        self.pyramid, self.level = pyramid, level
        self.dtype = pyramid.dtype
        self._full = pyramid.level_shapes[level]
        self._index = index or tuple(slice(0, size) for size in self._full)
        self.shape = tuple(span.stop - span.start for span in self._index if isinstance(span, slice))
        self.ndim = len(self.shape)
        self.size = math.prod(self.shape)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Parts that are read in one go: napari loads whole ones, so that a short pan finds its pixels there."""
        side = self.pyramid.grid.tile_px
        spans = enumerate(self._index, 2 - len(self._index))
        return tuple(side if place >= 0 else 1 for place, span in spans if isinstance(span, slice))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        keys = self._keys(key)
        if keys is not None:
            index = self._within(keys)
            view = LevelView(self.pyramid, self.level, index)
            return view if view._planes() > 1 else view._array()[()]
        if isinstance(key, tuple) and len(key) == self.ndim and all(_is_list_of_places(one) for one in key):
            return self._at(np.broadcast_arrays(*key))
        return np.asarray(self)[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self._array()
        return array.astype(dtype, copy=False) if dtype is not None and dtype != array.dtype else array

    def __deepcopy__(self, memo: dict[int, Any]) -> LevelView:
        """A view of a copy: levels that are copied together belong to the same copy."""
        if id(self.pyramid) not in memo:
            memo[id(self.pyramid)] = self.pyramid.copy()
        return LevelView(memo[id(self.pyramid)], self.level, self._index)

    def __repr__(self) -> str:
        return f"<Level {self.level} of labels: {self.shape} {self.dtype}>"

    def _keys(self, key: Any) -> list[slice | int] | None:
        """One whole number or slice without a step for each axis; ``None`` for anything else."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(one is Ellipsis for one in keys):
            at = next(place for place, one in enumerate(keys) if one is Ellipsis)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        if len(keys) > self.ndim or not all(_is_plain(one) for one in keys):
            return None
        return keys + [slice(None)] * (self.ndim - len(keys))

    def _within(self, keys: list[slice | int]) -> Index:
        """The index of a part of this part."""
        given = iter(keys)
        return tuple(_inside(span, next(given)) if isinstance(span, slice) else span for span in self._index)

    def _planes(self) -> int:
        return math.prod(span.stop - span.start for span in self._index[:-2] if isinstance(span, slice))

    def _array(self) -> np.ndarray:
        if self.level == self.pyramid.grid.top and threading.current_thread() is threading.main_thread():
            # The live array: what napari keeps of it, such as the thumbnail's source, follows every stroke.
            return self.pyramid.top[self._index]
        if self.size > MOST_PIXELS:
            raise InputError(
                f"These labels have {self.size:,} pixels at level {self.level}, more than fit in one array "
                f"({MOST_PIXELS:,}). Index a part of layer.data[{self.level}], or take a coarser level."
            )
        leading = [range(span.start, span.stop) if isinstance(span, slice) else (span,) for span in self._index[:-2]]
        y, x = (span if isinstance(span, slice) else slice(span, span + 1) for span in self._index[-2:])
        box = ((y.start, y.stop), (x.start, x.stop))
        planes = [plane_of(index, self._full) for index in itertools.product(*leading)]
        if len(planes) == 1:
            return self.pyramid.read(self.level, box, planes[0]).reshape(self.shape)
        out = np.empty((len(planes), y.stop - y.start, x.stop - x.start), self.dtype)
        for place, plane in enumerate(planes):
            out[place] = self.pyramid.read(self.level, box, plane)
        return out.reshape(self.shape)

    def _at(self, places: Sequence[np.ndarray]) -> np.ndarray:
        """Labels at single pixels."""
        given = iter(places)
        indices = [
            _counted(np.asarray(next(given)), span) if isinstance(span, slice) else np.full(places[0].shape, span)
            for span in self._index
        ]
        out = np.empty(places[0].size, self.dtype)
        for plane, chosen, rows, columns in by_tile(indices, self._full, self.pyramid.grid.tile_px):
            top, left = int(rows.min()), int(columns.min())
            box = ((top, int(rows.max()) + 1), (left, int(columns.max()) + 1))
            out[chosen] = self.pyramid.read(self.level, box, plane)[rows - top, columns - left]
        return out.reshape(places[0].shape)


def _is_plain(key: Any) -> bool:
    if isinstance(key, slice):
        return key.step in (None, 1)
    return isinstance(key, int | np.integer) and not isinstance(key, bool)


def _is_list_of_places(key: Any) -> bool:
    return not isinstance(key, slice) and key is not None and np.asarray(key).dtype.kind in "iu"


def _inside(span: slice, key: slice | int) -> slice | int:
    """A key within a span, counted from where the span counts from."""
    size = span.stop - span.start
    if isinstance(key, slice):
        start, stop, _ = key.indices(size)
        return slice(span.start + start, span.start + max(start, stop))
    if not -size <= key < size:
        raise IndexError(f"index {key} is out of bounds for an axis of {size} pixels")
    return span.start + int(key) % size


def _counted(places: np.ndarray, span: slice) -> np.ndarray:
    size = span.stop - span.start
    if places.size and not (-size <= places.min() and places.max() < size):
        raise IndexError(f"an index is out of bounds for an axis of {size} pixels")
    return span.start + places % size
