"""Shows what was painted: only the pixels in view that changed are read again and sent to the screen."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_medseg.core.edits import Box


class Window:
    """The part of a pyramid that a layer has loaded, at its level.

    Parameters
    ----------
    layer
        A `PyramidLabels` whose slice is loaded, in 2D.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._shown: list[int] = list(layer._slice_input.displayed)
        tile = layer._transforms["tile2data"]
        scale, translate = np.asarray(tile.scale), np.asarray(tile.translate)
        self._starts = {axis: round(float(translate[axis] / scale[axis])) for axis in self._shown}
        self.level = max(round(float(scale[axis])) for axis in self._shown).bit_length() - 1
        self._factors = [round(float(factor)) for factor in layer.downsample_factors[self.level]]

    def redraw(self, box: Box) -> None:
        """Bring what lies in a box, in pixels of level 0, up to date; nothing where it is out of view."""
        place = self._place(box)
        if place is None:
            return
        self._layer.pyramid.settle(self.level)
        image = self._layer._slice.image
        if image.raw.flags.writeable:
            # Otherwise it is a view of the coarsest level, which is never behind.
            image.raw[place] = self._read(place)
        place = self._with_outline(place, image.raw.shape)
        colours = self._layer._raw_to_displayed(image.raw, data_slice=place)
        if image.view.flags.writeable:
            image.view[place] = colours
        self._layer.events.labels_update(data=colours, offset=[span.start for span in place])

    def _place(self, box: Box) -> tuple[slice, ...] | None:
        """Where a box lies in the loaded array, whose axes are in the order of display."""
        inside = [slice(first // f, -(-stop // f)) for (first, stop), f in zip(box, self._factors, strict=True)]
        if not all(inside[axis].start <= at < inside[axis].stop for axis, at in self._point().items()):
            return None
        spans = []
        for axis, size in zip(self._shown, self._layer._slice.image.raw.shape, strict=True):
            start = self._starts[axis]
            spans.append(slice(max(0, inside[axis].start - start), min(size, inside[axis].stop - start)))
        return tuple(spans) if all(span.start < span.stop for span in spans) else None

    def _point(self) -> dict[int, int]:
        """The index along the axes that are not shown, in pixels of the level, as napari rounds it."""
        point = np.asarray(self._layer._data_slice.point)
        size = self._layer.level_shapes[self.level]
        hidden = [axis for axis in range(len(point)) if axis not in self._shown]
        return {axis: round(min(point[axis] / self._factors[axis], size[axis] - 1)) for axis in hidden}

    def _read(self, place: tuple[slice, ...]) -> np.ndarray:
        index: list[Any] = [self._point().get(axis) for axis in range(self._layer.ndim)]
        for axis, span in zip(self._shown, place, strict=True):
            start = self._starts[axis]
            index[axis] = slice(start + span.start, start + span.stop)
        pixels = np.asarray(self._layer.data[self.level][tuple(index)])
        return pixels if self._shown == sorted(self._shown) else pixels.T

    def _with_outline(self, place: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
        """A change moves the outlines of what lies around it."""
        margin = int(self._layer.contour)
        spans = zip(place, shape, strict=True)
        return tuple(slice(max(0, span.start - margin), min(size, span.stop + margin)) for span, size in spans)
