"""The viewer's side of how images cross to a child process.

Strategy
--------
Arrays in memory are copied into shared memory: an image once for as long as its array lives, labels anew for
each run, since they are painted on. Arrays on disk or computed on demand (dask, zarr, memmap, ...) stay where
they are; the child asks for the regions that it needs. So do arrays for which there is no shared memory left.
"""

from __future__ import annotations

import itertools
import math
import mmap
import os
import secrets
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job

NAME_PREFIX = "medseg-"
"""Segments are called medseg-PID-TOKEN: at most 30 characters, which is what macOS allows."""


class Segment:
    """A piece of shared memory that this process owns."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        # When the viewer closes, the memory goes; a copy on another thread must not write where it was.
        self._lock = threading.RLock()
        self._freed = False
        name = f"{NAME_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        self._memory = SharedMemory(name, create=True, size=max(1, nbytes))
        try:
            _reserve(self._memory.name, nbytes)
        except OSError:
            self.free()
            raise

    @property
    def name(self) -> str:
        """Name by which another process finds it."""
        return self._memory.name

    def fill(self, array: np.ndarray) -> None:
        """Copy the array into it, in C order; nothing happens where the memory was given back."""
        with self._lock:
            if not self._freed:
                np.copyto(np.ndarray(array.shape, array.dtype, buffer=self._memory.buf), array)

    def free(self) -> None:
        """Give the memory back; a process that maps it keeps it until it lets go."""
        with self._lock:
            self._memory.close()
            self._memory.unlink()
            self._freed = True


@dataclass
class _Entry:
    """An array that the child has heard of."""

    key: int
    array: Callable[[], Any]
    segment: Segment | None


class Shelf:
    """Arrays that a child may read. Not safe between threads, but for ``find``.

    Parameters
    ----------
    on_dead
        Called with a key, on any thread, when its array is gone; answer with ``drop(key)``.
    """

    def __init__(self, on_dead: Callable[[int], None]) -> None:
        self._on_dead = on_dead
        self._keys = itertools.count(1)
        self._entries: dict[int, _Entry] = {}
        self._key_of: dict[int, int] = {}
        self._slots: dict[tuple[str, int], _Entry] = {}
        self._brief: list[int] = []
        self._at_exit = weakref.finalize(self, _free_all, self._entries)

    def describe_job(self, job: Job) -> dict[str, Any]:
        """Describe the job for the wire and put its arrays where the child can read them."""
        while self._brief:
            self._on_dead(self._brief.pop())
        return {
            "params": job.params.model_dump(),
            "images": {role: self.describe(role, image) for role, image in job.images.items()},
            "view": job.view,
        }

    def describe(self, role: str, image: Image) -> dict[str, Any]:
        """Describe one image; ``role`` names the segment that labels are copied into again and again."""
        volatile = image.kind == "labels"
        return {
            "levels": [self._level((role, i), array, volatile, image.name) for i, array in enumerate(image.levels)],
            "axes": image.axes,
            "geometry": image.geometry,
            "kind": image.kind,
            "name": image.name,
        }

    def find(self, key: int) -> Any:
        """The array behind ``key``; None where it is gone."""
        entry = self._entries.get(key)
        return entry and entry.array()

    def drop(self, key: int) -> None:
        """Forget an array and free its segment."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.segment is not None:
            entry.segment.free()

    def close(self) -> None:
        """Free everything."""
        self._at_exit()
        self._key_of.clear()
        self._slots.clear()

    def _level(self, slot: tuple[str, int], array: Any, volatile: bool, name: str) -> dict[str, Any]:
        dtype = np.dtype(array.dtype)
        if dtype.kind not in "biufc":
            raise InputError(f"The image {name!r} has values of type {dtype}; convert it to numbers first.")
        entry = self._slot(slot, array) if volatile and in_memory(array) else self._entry(array)
        return {
            "key": entry.key,
            "segment": entry.segment and entry.segment.name,
            "shape": tuple(int(size) for size in array.shape),
            "dtype": dtype.str,
            "chunks": chunk_shape(array),
            "volatile": volatile,
        }

    def _slot(self, slot: tuple[str, int], array: np.ndarray) -> _Entry:
        """The entry of labels: its segment is kept while the size stays, its content is copied anew."""
        entry = self._slots.get(slot)
        if entry is None or entry.segment is None or entry.segment.nbytes != array.nbytes:
            if entry is not None:
                self._on_dead(entry.key)
            entry = _Entry(next(self._keys), lambda: None, new_segment(array.nbytes))
            self._entries[entry.key] = self._slots[slot] = entry
        entry.array = _reference(array)
        if entry.segment is not None:
            entry.segment.fill(array)
        return entry

    def _entry(self, array: Any) -> _Entry:
        """The entry of an array that does not change; made once while the array lives."""
        key = self._key_of.get(id(array), 0)
        if key in self._entries:
            return self._entries[key]
        entry = _Entry(next(self._keys), _reference(array), None)
        if in_memory(array):
            entry.segment = new_segment(array.nbytes)
            if entry.segment is not None:
                entry.segment.fill(array)
        self._entries[entry.key] = entry
        self._watch(array, entry.key)
        return entry

    def _watch(self, array: Any, key: int) -> None:
        """Drop the entry when the array dies, or before the next run where its type cannot tell."""
        try:
            finalizer = weakref.finalize(array, _gone, self._key_of, id(array), key, self._on_dead)
        except TypeError:
            self._brief.append(key)
            return
        finalizer.atexit = False
        self._key_of[id(array)] = key


def in_memory(array: Any) -> bool:
    """Whether this is a numpy array that does not lie in a mapped file."""
    owner = array
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap) and owner.base is not None:
        owner = owner.base
    return isinstance(array, np.ndarray) and not isinstance(owner, np.memmap | mmap.mmap)


def new_segment(nbytes: int) -> Segment | None:
    """A segment; None where the system has no shared memory left (containers often have 64 MB)."""
    try:
        return Segment(nbytes)
    except OSError:
        return None


def chunk_shape(array: Any) -> tuple[int, ...] | None:
    """Shape of the first chunk of a chunked array; None for others."""
    chunks = getattr(array, "chunks", None)
    if not isinstance(chunks, tuple):
        return None
    firsts = [size[0] if isinstance(size, tuple) else size for size in chunks]
    known = all(isinstance(size, int) for size in firsts) and math.prod(firsts) > 0
    return tuple(firsts) if known else None


def _reserve(name: str, nbytes: int) -> None:
    """Claim the pages now: where they are missing later, the system kills the process that writes."""
    if sys.platform != "linux":
        return
    descriptor = os.open(f"/dev/shm/{name}", os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, max(1, nbytes))
    finally:
        os.close(descriptor)


def _reference(array: Any) -> Callable[[], Any]:
    """A weak reference where the type has one, so that the shelf keeps no image alive."""
    try:
        return weakref.ref(array)
    except TypeError:
        return lambda: array


def _gone(key_of: dict[int, int], identity: int, key: int, on_dead: Callable[[int], None]) -> None:
    key_of.pop(identity, None)
    on_dead(key)


def _free_all(entries: dict[int, _Entry]) -> None:
    while entries:
        _, entry = entries.popitem()
        if entry.segment is not None:
            entry.segment.free()
