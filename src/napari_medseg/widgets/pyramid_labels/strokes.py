"""What the tools of a Labels layer do to a label pyramid; one stroke, from press to release, is one edit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from napari_medseg.core import brush
from napari_medseg.core.edits import Box, Edit
from napari_medseg.core.errors import InputError
from napari_medseg.core.labelpyramid import LabelPyramid, LevelView
from napari_medseg.core.labelpyramid.grid import joined

DRAFT_EVERY_S = 1.0

OnEdit = Callable[[Edit, str], None]
OnDraft = Callable[[Edit | None], None]
Rasterise = Callable[[np.ndarray, list[int]], np.ndarray]
"""Corners (n, 2), and the shape of a mask: the mask of what they enclose."""


class Strokes:
    """Paints a pyramid. The first change opens an edit, `commit` closes it and tells who wants to know.

    Parameters
    ----------
    on_edit
        Called with each edit once it is committed, and its name in the history.
    on_draft
        Called during a stroke, at most once a second, with what it has done up to now: what a crash would lose. With
        ``None`` where the stroke is given up.
    """

    def __init__(self, pyramid: LabelPyramid, on_edit: OnEdit | None = None, on_draft: OnDraft | None = None) -> None:
        self.pyramid = pyramid
        self._on_edit, self._on_draft = on_edit, on_draft
        self._names: list[str] = []
        self._drafted = 0.0
        self.unseen: Box | None = None
        """Box around what the open stroke has changed, and what was changed while the view was being loaded."""

    @property
    def is_open(self) -> bool:
        """Whether a stroke has changed something that is not committed yet."""
        return bool(self._names)

    def commit(self) -> Edit | None:
        """End the stroke; ``None`` where it left everything as it was."""
        if not self._names:
            return None
        edit = self.pyramid.commit()
        names, self._names = self._names, []
        if edit is not None and self._on_edit is not None:
            self._on_edit(edit, _name(names))
        return edit

    def abort(self) -> None:
        """Take the open stroke back."""
        if self._names:
            self._names, self.unseen = [], None
            self.pyramid.abort()
            if self._on_draft is not None:
                self._on_draft(None)

    def dab(
        self,
        point: Sequence[int],
        axes: Sequence[int],
        diameter: float,
        scale: Sequence[float],
        value: int,
        only: int | None,
    ) -> Box | None:
        """Press the brush down once.

        Parameters
        ----------
        point
            Index along all axes.
        axes
            Those that are painted, ascending.
        scale
            Pixel size along all axes.
        only
            Change this label alone.

        Returns
        -------
        box around what changed, in pixels of level 0, or ``None``
        """
        name = f"Painted label {value}" if value else "Erased"
        if self._in_plane(axes):
            y, x = scale[-2], scale[-1]
            level = self.pyramid.edit_level(diameter * min(abs(y), abs(x)) / max(abs(y), abs(x)))
            mask, corner = brush.disc((point[-2], point[-1]), diameter, (y, x), level)
            stamp = brush.Stamp(self._plane(point), mask, corner)
            return self._change(name, lambda: self._stamp(stamp, level, value, only))
        shape = self.pyramid.shape
        found = brush.ball([point[a] for a in axes], diameter, [scale[a] for a in axes], [shape[a] for a in axes])
        if found is None:
            return None
        return self._change(name, lambda: self._stamp_all(*found, axes, point, value, only))

    def polygon(
        self, corners: np.ndarray, axes: Sequence[int], value: int, only: int | None, rasterise: Rasterise
    ) -> Box | None:
        """Fill a polygon; ``corners`` are whole pixels, shape (n, number of all axes)."""
        shape = self.pyramid.shape
        flat = corners[:, list(axes)]
        level = self.pyramid.edit_level(int(np.ptp(flat, axis=0).max()) + 1) if self._in_plane(axes) else 0
        flat = np.rint((flat + 0.5) / (1 << level) - 0.5).astype(int) if level else flat
        limits = self.pyramid.level_shapes[level] if self._in_plane(axes) else shape
        first = np.maximum(flat.min(axis=0), 0)
        stop = np.minimum(flat.max(axis=0) + 1, [limits[axis] for axis in axes])
        if np.any(first >= stop):
            return None
        mask = rasterise(flat - first, (stop - first).tolist())
        name = f"Polygon of label {value}"
        if self._in_plane(axes):
            stamp = brush.Stamp(self._plane(corners[0]), mask, (int(first[0]), int(first[1])))
            return self._change(name, lambda: self._stamp(stamp, level, value, only))
        return self._change(name, lambda: self._stamp_all(mask, first.tolist(), axes, corners[0], value, only))

    def fill(
        self, point: Sequence[int], axes: Sequence[int], value: int, only: int | None, contiguous: bool
    ) -> Box | None:
        """Give what hangs together with a pixel, or all of its label in the axes that are painted, another label."""
        shape = self.pyramid.shape
        if not all(0 <= at < size for at, size in zip(point, shape, strict=True)):
            return None
        old = self.label_at(point)
        if old == value or (only is not None and old != only):
            return None
        name = f"Filled with label {value}" if value else "Filled with background"
        if self._in_plane(axes):
            place, plane = (point[-2], point[-1]), self._plane(point)
            return self._change(name, lambda: self.pyramid.fill(place, value, plane, contiguous))
        index = tuple(slice(0, size) if axis in axes else point[axis] for axis, size in enumerate(shape))
        mask = brush.alike(np.asarray(LevelView(self.pyramid, 0)[index]), [point[a] for a in axes], contiguous)
        return self._change(name, lambda: self._stamp_all(mask, [0] * len(axes), axes, point, value, None))

    def put(self, indices: Sequence[np.ndarray], values: Any) -> Box | None:
        """Give single pixels their labels; ``values`` is one label or one for each."""
        indices = np.broadcast_arrays(*(np.asarray(index) for index in indices))
        sizes = zip(indices, self.pyramid.shape, strict=True)
        indices = [np.where(index < 0, index + size, index) for index, size in sizes]
        labels = np.broadcast_to(np.asarray(values), indices[0].shape).ravel()
        return self._change("Set pixels", lambda: self._put(indices, labels))

    def replace(self, array: Any) -> Box | None:
        """Take over all labels of an array of the pyramid's shape."""
        if tuple(array.shape) != self.pyramid.shape:
            raise InputError(
                f"These labels have the shape {self.pyramid.shape} and keep it, but the new ones have "
                f"{tuple(array.shape)}. Add them as a layer of their own."
            )
        return self._change("Replaced all labels", lambda: self._replace(array))

    def label_at(self, point: Sequence[int]) -> int:
        """The label of a pixel inside, with what the open stroke has painted; from any thread."""
        y, x = int(point[-2]), int(point[-1])
        return int(self.pyramid.read(0, ((y, y + 1), (x, x + 1)), self._plane(point), live=True)[0, 0])

    def _change(self, name: str, change: Callable[[], Box | None]) -> Box | None:
        """Make a change within the open edit, or in a new one that goes away again if nothing changes."""
        if not self._names:
            self.pyramid.begin()
            self._drafted = time.monotonic()
        try:
            box = change()
        except BaseException:
            if not self._names:
                self.pyramid.abort()
            raise
        if box is None:
            if not self._names:
                self.pyramid.abort()
            return None
        if name not in self._names:
            self._names.append(name)
        self.unseen = joined(self.unseen, box)
        self._draft()
        return box

    def _draft(self) -> None:
        if self._on_draft is None or time.monotonic() - self._drafted < DRAFT_EVERY_S:
            return
        self._drafted = time.monotonic()
        draft = self.pyramid.draft()
        if draft is not None:
            self._on_draft(draft)

    def _in_plane(self, axes: Sequence[int]) -> bool:
        """Whether y and x, and nothing else, are painted."""
        ndim = len(self.pyramid.shape)
        return list(axes) == [ndim - 2, ndim - 1]

    def _plane(self, point: Sequence[int]) -> int:
        return brush.plane_of([int(at) for at in point[:-2]], self.pyramid.shape)

    def _stamp(self, stamp: brush.Stamp, level: int, value: int, only: int | None) -> Box | None:
        return self.pyramid.paint(stamp.mask, stamp.corner, level, value, stamp.plane, only)

    def _stamp_all(
        self,
        mask: np.ndarray,
        corner: Sequence[int],
        axes: Sequence[int],
        point: Sequence[int],
        value: int,
        only: int | None,
    ) -> Box | None:
        box = None
        for stamp in brush.stamps(mask, corner, axes, point, self.pyramid.shape):
            box = joined(box, self._stamp(stamp, 0, value, only))
        return box

    def _put(self, indices: Sequence[np.ndarray], labels: np.ndarray) -> Box | None:
        box = None
        for plane, chosen, rows, columns in brush.by_tile(indices, self.pyramid.shape, self.pyramid.grid.tile_px):
            top, left = int(rows.min()), int(columns.min())
            shape = (int(rows.max()) - top + 1, int(columns.max()) - left + 1)
            block, where = np.zeros(shape, labels.dtype), np.zeros(shape, bool)
            block[rows - top, columns - left] = labels[chosen]
            where[rows - top, columns - left] = True
            box = joined(box, self.pyramid.write(block, (top, left), plane, where))
        return box

    def _replace(self, array: Any) -> Box | None:
        box = None
        for index in np.ndindex(*self.pyramid.shape[:-2]):
            plane = array[index] if index else array
            box = joined(box, self.pyramid.write(plane, (0, 0), brush.plane_of(index, self.pyramid.shape)))
        return box


def _name(parts: list[str]) -> str:
    """One name for a stroke: an outline that was filled at its end is an area that was encircled."""
    if len(parts) > 1 and parts[-1].startswith("Polygon of"):
        return parts[-1].replace("Polygon of", "Encircled", 1)
    return parts[0]
