"""A Labels layer of any size: napari's own tools, over a label pyramid."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.layers.labels._labels_constants import Mode
from napari.layers.labels._labels_mouse_bindings import draw
from napari.layers.labels._labels_utils import interpolate_coordinates
from napari.utils.notifications import show_info

from napari_medseg.core.edits import Box, Change, TileKey
from napari_medseg.core.labelpyramid import LabelPyramid
from napari_medseg.core.labelpyramid.grid import joined
from napari_medseg.widgets.pyramid_labels import saving
from napari_medseg.widgets.pyramid_labels.display import Window
from napari_medseg.widgets.pyramid_labels.history import MemoryHistory
from napari_medseg.widgets.pyramid_labels.levels import PyramidData
from napari_medseg.widgets.pyramid_labels.strokes import OnDraft, OnEdit, Strokes

Step = Callable[[], object]


class Value(int):
    """The label at a place. napari expects (level, label) of a layer with levels, and asks for the second."""

    def __getitem__(self, index: int) -> int:
        return int(self)


def draw_in_2d(layer: PyramidLabels, event: Any) -> Generator[None, None, None]:
    """Paint, unless the view is in 3D, where napari would look for the first label along a ray through level 0."""
    if layer._slice_input.ndisplay == 2:
        yield from draw(layer, event)
    else:
        show_info("Labels of a large image are painted in the 2D view. Press Ctrl+Y to go there.")


def pick(layer: PyramidLabels, event: Any) -> None:
    """Select the label under the cursor."""
    value = layer.get_value(
        event.position, view_direction=event.view_direction, dims_displayed=event.dims_displayed, world=True
    )
    layer.selected_label = int(value or 0)


class PyramidLabels(Labels):
    """Labels that are kept, and painted, in a `LabelPyramid`.

    It differs from an ordinary Labels layer in what a large image makes necessary, and in nothing else: it shows the
    level that fits the zoom; brushes and polygons above 512 pixels have an edge in steps of at most 1/256 of their
    size; outlines have the same width at every zoom. Undo has no limit and survives what the view does.

    ``data[k]`` is level k; ``np.asarray(data)`` is level 0, or an error where that is too large. ``data = array``
    takes over an array of the same shape, as one step that can be undone.

    Parameters
    ----------
    pyramid
        The labels. Nobody else may have an edit of them open while the user paints.
    on_edit, on_draft
        See `Strokes`.
    undo, redo
        Called instead of this layer's own undo and redo, which are in memory; they call `apply` in turn.
    may_edit
        False for labels that are only looked at.
    options
        As of an ordinary Labels layer.
    """

    _drag_modes = {  # noqa: RUF012 - as in napari
        **Labels._drag_modes,
        Mode.PAINT: draw_in_2d,
        Mode.ERASE: draw_in_2d,
        Mode.FILL: draw_in_2d,
        Mode.PICK: pick,
    }

    def __init__(
        self,
        pyramid: LabelPyramid,
        *,
        on_edit: OnEdit | None = None,
        on_draft: OnDraft | None = None,
        undo: Step | None = None,
        redo: Step | None = None,
        may_edit: bool = True,
        **options: Any,
    ) -> None:
        self.pyramid = pyramid
        self._may_edit = may_edit
        self._strokes = Strokes(pyramid, on_edit, on_draft)
        self._memory = MemoryHistory(lambda edit: self.apply(edit.changes))
        self._undo_step, self._redo_step = undo or self._memory.undo, redo or self._memory.redo
        self._remembers = undo is None
        self._fresh: Box | None = None
        self._in_view: dict[int, tuple[float, float]] = {}
        super().__init__(PyramidData(pyramid), multiscale=True, **{"name": "Labels", **options})
        # napari wraps the levels in a list of its own, whose coarsest level other plugins would take for the labels.
        self._data = PyramidData(pyramid)
        self.events.set_data.connect(self._on_set_data)

    @property
    def in_view(self) -> dict[int, tuple[float, float]]:
        """Start and stop, in pixels of level 0, along each axis that is on screen, as of the last drawing.

        What napari calls ``corner_pixels`` is where the loaded part ends, which is larger.
        """
        return self._in_view

    @property
    def _type_string(self) -> str:
        return "labels"

    @property
    def data(self) -> Any:
        """The levels, finest first; see the class for what else it may be taken for."""
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        if data is not self._data:
            if np.dtype(data.dtype) != self.pyramid.dtype:
                show_info(f"The labels {self.name!r} stay {self.pyramid.dtype}.")
            self._done(self._strokes.replace(data), refresh=False)
        self.refresh()
        self.events.data(value=self.data)

    @property
    def downsample_factors(self) -> np.ndarray:
        """Pixels of level 0 along each axis of a pixel, exact where a side is odd, too."""
        return np.array(self.pyramid.level_factors, float)

    @property
    def locked_data_level(self) -> int | None:
        """Always ``None``: the level follows the zoom, since level 0 as a whole may be far too large to show."""
        return None

    @locked_data_level.setter
    def locked_data_level(self, level: int | None) -> None:
        self.events.locked_data_level()

    # The tools.

    def paint(self, coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        """Press the brush down at a place, in pixels of level 0."""
        self._validate_label_in_range(new_label)
        axes, point = self._painted_axes(), _whole(coord)
        self._check_slice(point, axes)
        scale = [float(size) for size in self.scale]
        box = self._strokes.dab(point, axes, self.brush_size, scale, int(new_label), self._only(new_label))
        self._done(box, refresh)

    def fill(self, coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        """Give the label at a place another one, where it hangs together or, unless ``contiguous``, everywhere."""
        self._validate_label_in_range(new_label)
        axes, point = self._painted_axes(), _whole(coord)
        self._check_slice(point, axes)
        self._done(self._strokes.fill(point, axes, int(new_label), self._only(new_label), self.contiguous), refresh)

    def paint_polygon(self, points: Any, new_label: int) -> None:
        """Paint what a polygon encloses, its outline included."""
        self._validate_label_in_range(new_label)
        axes, corners = self._painted_axes(), np.array(points, dtype=int)
        if len(axes) != 2:
            raise NotImplementedError("Polygon painting is implemented only in 2D.")
        self._check_slice(corners[0].tolist(), axes)
        only = self._only(new_label)
        self._done(self._strokes.polygon(corners, axes, int(new_label), only, self._create_polygon_mask))

    def data_setitem(self, indices: Any, value: Any, refresh: bool = True) -> None:
        """Give single pixels of level 0 their labels, with undo."""
        self._done(self._strokes.put(indices, value), refresh)

    @property
    def is_painting(self) -> bool:
        """Whether a stroke is under way that has changed something."""
        return self._strokes.is_open

    def undo(self) -> None:
        """Take back the last edit; nothing during a stroke."""
        if not self._strokes.is_open:
            self._undo_step()

    def redo(self) -> None:
        """Do again what was undone last; nothing during a stroke."""
        if not self._strokes.is_open:
            self._redo_step()

    def apply(self, changes: Mapping[TileKey, Change]) -> None:
        """Swap tiles in and show them: undo and redo of a session, or another viewer's edit."""
        if self.pyramid.apply(changes) is not None:
            self.refresh(extent=False)

    def select_new_label(self) -> None:
        """Select the label after the largest one that is used."""
        label = self.pyramid.max_label + 1
        if label == self.selected_label:
            show_info(f"Label {label} is not used yet. Paint with it before you go on to the next one.")
        elif label > np.iinfo(self.pyramid.dtype.str).max:
            show_info(f"These {self.pyramid.dtype} labels go up to {label - 1}, which is used.")
        else:
            self.selected_label = label

    def save(self, path: str, plugin: str | None = None) -> list[str]:
        """Write the labels to a file in the format that its name says."""
        return super().save(path, plugin) if plugin else saving.save(str(path), self)

    # What napari calls while it draws, and while it handles the mouse.

    def _update_draw(self, scale_factor: float, corner_pixels_displayed: Any, shape_threshold: Any) -> None:
        axes = self._slice_input.displayed
        corners = list(itertools.product(*np.asarray(corner_pixels_displayed).T))
        places = np.asarray(self._transforms[1:].simplified.set_slice(axes).inverse(corners))
        ends = zip(places.min(axis=0), places.max(axis=0), strict=True)
        self._in_view = {axis: (float(a), float(b)) for axis, (a, b) in zip(axes, ends, strict=True)}
        super()._update_draw(scale_factor, corner_pixels_displayed, shape_threshold)

    def _draw(self, new_label: int, last_cursor_coord: Any, coordinates: Any) -> None:
        if coordinates is None or self._slice_input.ndisplay != 2:
            return
        for place in interpolate_coordinates(last_cursor_coord, coordinates, self.brush_size):
            if not self._on_slice(_whole(place), self._painted_axes()):
                continue
            if self._mode in (Mode.PAINT, Mode.ERASE):
                self.paint(place, new_label, refresh=False)
            elif self._mode == Mode.FILL:
                self.fill(place, new_label, refresh=False)
        self._show_fresh()

    def _append_to_undo_history(self, item: Any) -> None:
        edit = self._strokes.commit()
        if self._slicing_state.loaded:
            self._strokes.unseen = None
        if edit is None:
            return
        if self._remembers:
            self._memory.record(edit)
        self._update_thumbnail()
        self.events.paint(value=[edit])

    def _abort_stroke(self) -> None:
        self._strokes.abort()
        self._staged_history = []
        super()._abort_stroke()

    def _reset_editable(self) -> None:
        self.editable = self._may_edit

    def _get_value(self, position: Any) -> Value | None:
        point = _whole(np.asarray(position)[-self.ndim :])
        if not all(0 <= at < size for at, size in zip(point, self.pyramid.shape, strict=True)):
            return None
        return Value(self._strokes.label_at(point))

    def _get_value_3d(self, start_point: Any, end_point: Any, dims_displayed: list[int]) -> Value | None:
        value = self._get_value_ray(start_point=start_point, end_point=end_point, dims_displayed=dims_displayed)
        return None if value is None else Value(value)

    def _update_thumbnail(self) -> None:
        thumbnail = self._slice.thumbnail.raw
        if thumbnail.flags.writeable and self._slicing_state.loaded and not self._slice.empty:
            # A copy, made by another thread; all others are views of the coarsest level and up to date.
            index = tuple(slice(None) if np.isnan(at) else round(float(at)) for at in self._data_slice.point)
            current = np.asarray(self.data[len(self.data) - 1][index])
            if current.shape == thumbnail.shape:
                thumbnail[...] = current
        super()._update_thumbnail()

    def _done(self, box: Box | None, refresh: bool = True) -> None:
        """After each change: keep it for the end of the stroke, or end it here where there is no stroke."""
        if box is None:
            return
        self._fresh = joined(self._fresh, box)
        if refresh:
            self._show_fresh()
        self._save_history([box])

    def _show_fresh(self) -> None:
        box, self._fresh = self._fresh, None
        if box is not None:
            self._show(box)

    def _show(self, box: Box) -> None:
        if not self._slicing_state.loaded or self._slice.empty or not self.visible:
            return
        if self._slice_input.ndisplay == 2:
            Window(self).redraw(box)
        else:
            self.refresh(extent=False)

    def _on_set_data(self, _event: Any = None) -> None:
        """A new view may have been read by another thread, which sees no open stroke, or before the last one ended."""
        box = self._strokes.unseen
        if box is None or not self.loaded or self._slice_input.ndisplay != 2:
            return
        self._strokes.unseen = None
        self._show(box)
        self._strokes.unseen = box if self._strokes.is_open else None

    def _painted_axes(self) -> list[int]:
        return sorted(self._slice_input.order[-self.n_edit_dimensions :])

    def _only(self, new_label: int) -> int | None:
        return int(self._get_preserve_labels_source_label(new_label)) if self.preserve_labels else None

    def _on_slice(self, point: Sequence[int], axes: Sequence[int]) -> bool:
        return all(0 <= point[axis] < size for axis, size in enumerate(self.pyramid.shape) if axis not in axes)

    def _check_slice(self, point: Sequence[int], axes: Sequence[int]) -> None:
        if not self._on_slice(point, axes):
            raise IndexError(f"The place {tuple(point)} is outside labels of shape {self.pyramid.shape}.")


def _whole(place: Any) -> list[int]:
    return [int(np.round(at)) for at in place]
