"""The child's side of how images cross: arrays in shared memory, and arrays that are read on request."""

from __future__ import annotations

import math
import mmap
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

from napari_medseg.core.image import Image

Span = tuple[int, int, int]
"""Start, stop and step along one axis; the step is positive."""

Fetch = Callable[[int, tuple[Span, ...]], np.ndarray]
"""Asks the viewer for a region of the array with this key."""

CACHE_BYTES = 64 * 2**20


class RemoteArray:
    """An array in the viewer's process that is read region by region (basic indexing only).

    The last regions are kept, at most ``cache_bytes`` of them.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype,
        chunks: tuple[int, ...] | None,
        fetch: Callable[[tuple[Span, ...]], np.ndarray],
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.chunks = chunks
        self._fetch = fetch
        self._cache = _Cache(cache_bytes)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        spans, after = plan(index, self.shape)
        region = self._cache.get(spans)
        if region is None and any(start == stop for start, stop, _ in spans):
            region = np.empty([len(range(*span)) for span in spans], self.dtype)
        if region is None:
            region = self._fetch(spans).astype(self.dtype, copy=False)
            self._cache.put(spans, region)
        return region[after].copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[...].astype(dtype or self.dtype, copy=False)


class Mirror:
    """The arrays and images that the viewer has described.

    An array that does not change keeps its identity from run to run, so a tool may remember what it
    computed from it; labels are a new object in each run, over memory that the next run overwrites.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._arrays: dict[int, Any] = {}

    def image(self, described: dict[str, Any]) -> Image:
        """Build the image that ``images.Shelf.describe`` has described."""
        return Image(
            tuple(self._array(level) for level in described["levels"]),
            described["axes"],
            described["geometry"],
            described["kind"],
            described["name"],
        )

    def forget(self, key: int) -> None:
        """Let go of an array that is gone in the viewer."""
        self._arrays.pop(key, None)

    def _array(self, level: dict[str, Any]) -> Any:
        key = level["key"]
        if level["volatile"] or key not in self._arrays:
            self._arrays[key] = self._open(level)
        return self._arrays[key]

    def _open(self, level: dict[str, Any]) -> Any:
        shape, dtype = level["shape"], np.dtype(level["dtype"])
        if level["segment"] is not None:
            return attach(level["segment"], shape, dtype)
        key = level["key"]
        return RemoteArray(shape, dtype, level["chunks"], lambda spans: self._fetch(key, spans))


def attach(segment: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Map the viewer's shared memory, copy on write; it is unmapped when the array is gone.

    SharedMemory is not used here: until Python 3.13 it hands the segment to this process's resource
    tracker, which would remove the viewer's segment when this process ends.
    """
    nbytes = max(1, math.prod(shape) * dtype.itemsize)
    return np.ndarray(shape, dtype, buffer=_mapped(segment, nbytes))


def plan(index: Any, shape: tuple[int, ...]) -> tuple[tuple[Span, ...], tuple[Any, ...]]:
    """Split a basic index into the region to fetch and the index to apply to it.

    The second part drops axes that were indexed with an integer and turns axes round whose step is negative.
    """
    full = _expand(index if isinstance(index, tuple) else (index,), len(shape))
    parts = [_axis(item, size) for item, size in zip(full, shape, strict=True)]
    return tuple(span for span, _ in parts), tuple(after for _, after in parts)


def _expand(index: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    given = len(index) - sum(item is Ellipsis for item in index)
    if given > ndim or len(index) - given > 1:
        raise IndexError(f"The index {index!r} does not fit an array with {ndim} axes.")
    at = next((i for i, item in enumerate(index) if item is Ellipsis), len(index))
    return index[:at] + (slice(None),) * (ndim - given) + index[at + 1 :]


def _axis(item: Any, size: int) -> tuple[Span, Any]:
    if isinstance(item, slice):
        taken = range(size)[item]
        if not taken:
            return (0, 0, 1), slice(None)
        if taken.step > 0:
            return (taken.start, taken.stop, taken.step), slice(None)
        return (taken[-1], taken[0] + 1, -taken.step), slice(None, None, -1)
    if not isinstance(item, int | np.integer):
        raise IndexError(f"The index {item!r} is not an integer or a slice; read a box and index that.")
    if not -size <= item < size:
        raise IndexError(f"The index {item} is outside an axis of {size}.")
    start = int(item) % size
    return (start, start + 1, 1), 0


class _Cache:
    """Regions that were read last, up to a number of bytes; one region takes at most a quarter of it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._regions: OrderedDict[tuple[Span, ...], np.ndarray] = OrderedDict()
        self._lock = Lock()

    def get(self, spans: tuple[Span, ...]) -> np.ndarray | None:
        with self._lock:
            if spans in self._regions:
                self._regions.move_to_end(spans)
            return self._regions.get(spans)

    def put(self, spans: tuple[Span, ...], region: np.ndarray) -> None:
        with self._lock:
            if spans in self._regions or region.nbytes > self._limit // 4:
                return
            self._regions[spans] = region
            self._used += region.nbytes
            while self._used > self._limit:
                _, old = self._regions.popitem(last=False)
                self._used -= old.nbytes


if sys.platform == "win32":

    def _mapped(segment: str, nbytes: int) -> mmap.mmap:
        return mmap.mmap(-1, nbytes, tagname=segment, access=mmap.ACCESS_COPY)

else:
    import _posixshmem  # pyright: ignore[reportMissingImports]

    def _mapped(segment: str, nbytes: int) -> mmap.mmap:
        descriptor = _posixshmem.shm_open("/" + segment, os.O_RDONLY, mode=0o600)
        try:
            return mmap.mmap(descriptor, nbytes, access=mmap.ACCESS_COPY)
        finally:
            os.close(descriptor)
