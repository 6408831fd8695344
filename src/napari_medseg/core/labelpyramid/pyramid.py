"""Labels of any size, painted at any zoom: the one owner of an annotation's pixels."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from napari_medseg.core import tilecodec
from napari_medseg.core.edits import Box, Change, Edit, TileKey
from napari_medseg.core.errors import BrokenTile, BusyLabels, InputError, NewerTile
from napari_medseg.core.labelpyramid import edit, filling, painting, reading
from napari_medseg.core.labelpyramid.grid import Region, TileGrid, clip, edit_level, joined, parent, whole
from napari_medseg.core.labelpyramid.operation import Operation
from napari_medseg.core.labelpyramid.store import Before, OpenEdit, TileStore
from napari_medseg.core.labelpyramid.tiles import MemoryTiles, Tiles

SLAB_BYTES = 64 << 20

WAIT_S = 2.0
"""How long an edit waits for one that another thread has open."""


class Statistics(NamedTuple):
    """What an annotation takes."""

    tiles: int
    bytes: int


@dataclass
class Outcome:
    """What an edit came to, once it is committed; ``None`` where nothing changed."""

    edit: Edit | None = None


class LabelPyramid:
    """Labels of shape (..., y, x) with coarser levels that always agree with them.

    Level k has 1 / 2^k of the pixels along y and x. Of each 2 x 2 pixels it shows the commonest label; background
    loses a tie, of other labels the smallest wins. What is painted coarsely is stored coarsely (see `TileStore`), so
    that an edit costs what its shape has in pixels of the level where it is made, not its area.

    Every change of pixels belongs to an edit: ``begin``, any of ``paint``, ``write`` and ``fill``, then ``commit`` or
    ``abort``; or ``with pyramid.editing() as outcome``. Tiles learn of it when it is committed.

    Any thread may read and edit; edits take turns. While an edit is open, the thread that began it reads what it has
    painted, and all others read what was there before; ``live`` chooses otherwise.

    Parameters
    ----------
    shape
        (..., y, x) at level 0.
    dtype
        Whole numbers of up to 32 bits, or int64.
    tiles
        Where encoded tiles are kept, with those of an earlier session.
    tile_px
        Side of a tile, even; tiles of another size cannot be read.
    slab_bytes
        Memory for decoded tiles.

    Attributes
    ----------
    damaged
        Tiles that cannot be read, or whose coarser versions are missing; `heal` brings the levels to agree.
    newer
        Tiles that a newer version wrote and this one cannot read; they must stay as they are.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.typing.DTypeLike,
        tiles: Tiles,
        tile_px: int = 512,
        slab_bytes: int = SLAB_BYTES,
    ) -> None:
        _check(shape, np.dtype(dtype), tile_px)
        self.grid = TileGrid(tuple(int(size) for size in shape), tile_px)
        self.shape = self.grid.shape
        self.dtype = np.dtype(dtype)
        self._lock = threading.RLock()
        self._ended = threading.Condition(self._lock)
        self._store = TileStore(self.grid, self.dtype, tiles, slab_bytes)
        self.damaged, self.newer = self._open()

    def _open(self) -> tuple[tuple[TileKey, ...], tuple[TileKey, ...]]:
        """Enter what is stored; which tiles are damaged, and which were written by a newer version."""
        store = self._store
        stored = sorted(store.tiles.keys())
        for key in stored:
            self.grid.check_key(key)
        newer, damaged = [], []
        for key, blob in store.tiles.get_many(stored):
            try:
                store.enter(key, blob)
            except BrokenTile:
                damaged.append(key)
            except NewerTile:
                newer.append(key)
        alone = (key for key in stored if key.level < self.grid.top and not store.catalogue.has(parent(key)))
        return tuple(dict.fromkeys([*damaged, *alone])), tuple(newer)

    @property
    def level_shapes(self) -> list[tuple[int, ...]]:
        """Shape of each level, finest first."""
        return [(*self.grid.leading, *size) for size in self.grid.sizes]

    @property
    def level_factors(self) -> list[tuple[int, ...]]:
        """Pixels of level 0 along each axis of a pixel, at each level: exact powers of 2, also where a side is odd."""
        return [(*(1 for _ in self.grid.leading), 1 << level, 1 << level) for level in range(self.grid.top + 1)]

    @property
    def top(self) -> np.ndarray:
        """The coarsest level, shape (..., y, x): the live array, not to be written to; it shows an open edit."""
        self.settle()
        view = self._store.top.view()
        view.flags.writeable = False
        return view

    def edit_level(self, extent_px: float) -> int:
        """Level at which a shape is edited whose longer side has ``extent_px`` pixels of level 0."""
        return min(edit_level(extent_px), self.grid.top)

    def read(self, level: int, box: Box, plane: int = 0, live: bool | None = None) -> np.ndarray:
        """Labels of a part of a level, a new array of shape (y, x).

        Parameters
        ----------
        box
            ((y start, y stop), (x start, x stop)) in pixels of the level, inside it.
        live
            With what the open edit has done (True) or without (False); by default with it in the thread that
            began it.
        """
        self.grid.check_level(level)
        self.grid.check_plane(plane)
        region = self._inside(level, box)
        with self._lock:
            if (source := self._source(live)) is self._store:
                self.settle(level)
            return reading.read(source, self.dtype, level, region, plane)

    def settle(self, level: int | None = None) -> None:
        """Let the levels up to this one, or all, show what the open edit has painted; whoever reads gets that done."""
        with self._lock:
            if (opened := self._store.open) is not None:
                Operation(self._store, marked=opened.marked).settle(level)

    def begin(self, wait_s: float = WAIT_S) -> None:
        """Open an edit.

        Parameters
        ----------
        wait_s
            How long to wait where another thread has one open; then, and at once where this thread has, BusyLabels.
        """
        with self._lock:
            self._wait_for_turn(wait_s)
            self._store.open = OpenEdit(threading.get_ident())

    def commit(self) -> Edit | None:
        """Close the edit and hand it to the tiles; ``None`` where nothing has changed."""
        with self._lock:
            done = edit.commit(self._store, self._require())
            self._ended.notify_all()
            return done

    def abort(self) -> None:
        """Close the edit as if it had not been."""
        with self._lock:
            edit.abort(self._store, self._require())
            self._ended.notify_all()

    def draft(self) -> Edit | None:
        """What the open edit has done up to now, which a crash would lose; ``None`` without one."""
        with self._lock:
            return edit.draft(self._store, self._store.open) if self._store.open is not None else None

    @contextmanager
    def editing(self, wait_s: float = WAIT_S) -> Iterator[Outcome]:
        """One edit, committed at the end or, after an error, aborted; ``wait_s`` as in `begin`."""
        self.begin(wait_s)
        outcome = Outcome()
        try:
            yield outcome
            outcome.edit = self.commit()
        except BaseException:
            self.abort()
            raise

    def paint(
        self,
        mask: np.ndarray,
        offset: tuple[int, int],
        level: int,
        value: int,
        plane: int = 0,
        only: int | None = None,
    ) -> Box | None:
        """Give the pixels under a mask one label.

        Parameters
        ----------
        mask
            Boolean, shape (y, x), in pixels of ``level``; what lies outside is ignored.
        offset
            Row and column of the mask's first pixel.
        only
            Change this label alone, in each pixel of level 0.

        Returns
        -------
        box around what changed, in pixels of level 0, or ``None``
        """
        self.grid.check_level(level)
        self._check_target(plane, value)
        region, part = self._clipped(level, offset, mask.shape)
        with self._lock, self._operation(only, settles=False) as operation:
            painting.stamp(operation, mask[part].astype(bool, copy=False), level, region, value, plane)
        return operation.box

    def fill(self, point: tuple[int, int], value: int, plane: int = 0, contiguous: bool = True) -> Box | None:
        """Give the label at a pixel of level 0 another value: where it hangs together, or everywhere in the plane.

        Returns
        -------
        box around what changed, in pixels of level 0, or ``None``
        """
        self._check_target(plane, value)
        y, x = point
        with self._lock, self._operation() as operation:
            old = int(self.read(0, ((y, y + 1), (x, x + 1)), plane, live=True)[0, 0])
            if contiguous:
                filling.flood(operation, point, value, plane)
            else:
                operation.only = old
                everything = np.ones(self.grid.sizes[-1], bool)
                painting.stamp(operation, everything, self.grid.top, whole(everything.shape), value, plane)
        return operation.box

    def write(self, array: Any, offset: tuple[int, int], plane: int = 0, where: Any = None) -> Box | None:
        """Put labels of level 0 in, in blocks, so that ``array`` and ``where`` may be lazy and of any size.

        Parameters
        ----------
        array
            Labels, shape (y, x); what lies outside is ignored.
        offset
            Row and column of its first pixel.
        where
            Boolean, of the same shape: which to take; all without.

        Returns
        -------
        box around what changed, in pixels of level 0, or ``None``
        """
        self._check_target(plane, 0)
        if len(array.shape) != 2 or (where is not None and where.shape != array.shape):
            raise InputError(
                f"Labels and where have shapes {array.shape} and {None if where is None else where.shape}; "
                "both must be the same, (y, x)."
            )
        region, _ = self._clipped(0, offset, array.shape)
        box = None
        for block in painting.blocks(region, self.grid.tile_px):
            y, x = (slice(span.start - start, span.stop - start) for span, start in zip(block, offset, strict=True))
            labels = self._as_labels(np.asarray(array[y, x]))
            chosen = None if where is None else np.asarray(where[y, x], bool)
            with self._lock, self._operation() as operation:
                painting.write(operation, labels, block, plane, chosen)
            box = joined(box, operation.box)
        return box

    def apply(self, changes: Mapping[TileKey, Change], wait_s: float = WAIT_S) -> Box | None:
        """Swap tiles in (undo, redo, another viewer's edit); returns the box around them. Waits as `begin` does."""
        with self._lock:
            self._wait_for_turn(wait_s)
            edit.apply(self._store, changes)
            return edit.box_around(self.grid, changes)

    def heal(self) -> Edit | None:
        """Drop tiles that cannot be read and bring all levels to agree; ``None`` where all is well. Reads all tiles."""
        with self._lock, self.editing() as outcome:
            edit.heal(self._store)
        self.damaged = ()
        return outcome.edit

    @property
    def is_open(self) -> bool:
        """Whether an edit is open, of whichever thread."""
        return self._store.open is not None

    @property
    def max_label(self) -> int:
        """The largest label anywhere, 0 in an empty annotation."""
        with self._lock:
            self.settle()
            return self._store.largest()

    def statistics(self) -> Statistics:
        """Count the committed tiles and their bytes; reads them all."""
        with self._lock:
            sizes = [len(blob or b"") for _, blob in self._store.tiles.get_many(self._store.tiles.keys())]
        return Statistics(len(sizes), sum(sizes))

    def copy(self) -> LabelPyramid:
        """A pyramid of its own with the same labels, in memory; without the open edit."""
        tiles = MemoryTiles()
        with self._lock:
            stored = list(self._store.tiles.get_many(self._store.tiles.keys()))
        tiles.put({key: Change(None, blob) for key, blob in stored if blob is not None})
        return LabelPyramid(self.shape, self.dtype, tiles, self.grid.tile_px)

    def bounds(self, plane: int = 0) -> Box | None:
        """Box that holds all labels of a plane, at most a tile too large at each side; ``None`` without labels."""
        self.grid.check_plane(plane)
        with self._lock:
            self.settle()
            keys = [key for key in self._store.catalogue.keys(plane) if key.level < self.grid.top]
            box = edit.box_around(self.grid, keys)
            rows, columns = np.nonzero(self._store.top.reshape(self.grid.planes, *self.grid.sizes[-1])[plane])
        if rows.size:
            region = slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)
            box = joined(box, self.grid.base_box(self.grid.top, region, plane))
        return box

    @contextmanager
    def _operation(self, only: int | None = None, *, settles: bool = True) -> Iterator[Operation]:
        opened = self._require()
        operation = Operation(self._store, only, opened.marked)
        if settles:
            operation.settle()
        yield operation
        if settles:
            operation.settle()
        opened.box = joined(opened.box, operation.box)

    def _wait_for_turn(self, wait_s: float) -> None:
        opened = self._store.open
        # Whoever waited for itself would wait for ever.
        own = opened is not None and opened.thread == threading.get_ident()
        if own or not self._ended.wait_for(lambda: self._store.open is None, wait_s):
            raise BusyLabels(
                "These labels are being changed: a stroke has not ended yet, or a model writes into them. "
                "Wait until that is done, then try again."
            )

    def _require(self) -> OpenEdit:
        if self._store.open is None:
            raise InputError("No edit of these labels is open; begin one first.")
        return self._store.open

    def _source(self, live: bool | None) -> reading.Source:
        opened = self._store.open
        if opened is None or (opened.thread == threading.get_ident() if live is None else live):
            return self._store
        return Before(self._store, opened)

    def _inside(self, level: int, box: Box) -> Region:
        y, x = (slice(int(start), int(stop)) for start, stop in box)
        size = self.grid.sizes[level]
        if not all(0 <= span.start <= span.stop <= n for span, n in zip((y, x), size, strict=True)):
            raise InputError(f"The box {box} does not lie inside level {level}, which has {size} pixels (y, x).")
        return y, x

    def _clipped(self, level: int, offset: tuple[int, int], shape: tuple[int, ...]) -> tuple[Region, Region]:
        """The part of a level that an array at ``offset`` covers, and which part of the array that is."""
        (y, from_y), (x, from_x) = map(clip, offset, shape, self.grid.sizes[level])
        return (y, x), (from_y, from_x)

    def _check_target(self, plane: int, value: int) -> None:
        self.grid.check_plane(plane)
        limits = np.iinfo(self.dtype.str)
        if not limits.min <= value <= limits.max:
            raise InputError(f"Label {value} does not fit {self.dtype} labels, which go to {limits.max}.")

    def _as_labels(self, array: np.ndarray) -> np.ndarray:
        if array.dtype.kind not in "biu":
            raise InputError(f"Labels are whole numbers, but these are {array.dtype}.")
        if array.size and not np.can_cast(array.dtype, self.dtype):
            self._check_target(0, int(array.min()))
            self._check_target(0, int(array.max()))
        return array.astype(self.dtype, copy=False)


def _check(shape: tuple[int, ...], dtype: np.dtype, tile_px: int) -> None:
    if len(shape) < 2 or min(shape) < 1:
        raise InputError(f"Labels need a shape (..., y, x) of at least 1 pixel along each axis, not {shape}.")
    if dtype.newbyteorder("<").str not in tilecodec.TYPES:
        raise InputError(f"Labels of type {dtype} cannot be stored; give one of {', '.join(tilecodec.TYPES)}.")
    if tile_px < 2 or tile_px % 2:
        raise InputError(f"A tile's side must be an even number of pixels, not {tile_px}.")
