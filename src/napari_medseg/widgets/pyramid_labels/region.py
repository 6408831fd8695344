"""The plain way to paint on a pyramid: an ordinary Labels layer over a part of it, kept in step."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QTimer

from napari_medseg.core.edits import Box
from napari_medseg.core.errors import InputError
from napari_medseg.core.labelpyramid import LabelPyramid
from napari_medseg.widgets.pyramid_labels.strokes import OnEdit

MOST_PIXELS = 2**24
"""Of the part, at level 0: what an ordinary layer paints without delay."""


class Region:
    """An ordinary layer with a copy of a part of level 0. After each stroke, undo or redo the pyramid follows.

    Parameters
    ----------
    box
        Start and stop along y and x, at level 0.
    plane
        Which plane of a stack.
    options
        As of a Labels layer, for the whole pyramid in two dimensions; the layer lies where the part lies.
    """

    def __init__(
        self, pyramid: LabelPyramid, box: Box, plane: int = 0, on_edit: OnEdit | None = None, **options: Any
    ) -> None:
        pixels = int(np.prod([stop - start for start, stop in box]))
        if pixels > MOST_PIXELS:
            raise InputError(
                f"The part in view has {pixels:,} pixels; at most {MOST_PIXELS:,} can be painted on. Zoom in."
            )
        self._pyramid, self._box, self._plane, self._on_edit = pyramid, box, plane, on_edit
        self.layer = Labels(pyramid.read(0, box, plane), **options)
        corner = self.layer.data_to_world([start for start, _ in box])
        self.layer.translate = self.layer.translate + np.subtract(corner, self.layer.data_to_world([0, 0]))
        for event in (self.layer.events.paint, self.layer.events.set_data):
            # Later, because napari tells of a change before it makes it. A function, because napari holds methods
            # weakly; it keeps this object as long as the layer.
            event.connect(lambda _event: QTimer.singleShot(0, self._write))

    def _write(self) -> None:
        array = np.asarray(self.layer.data)
        where = array != self._pyramid.read(0, self._box, self._plane)
        if not where.any():
            return
        with self._pyramid.editing() as outcome:
            self._pyramid.write(array, (self._box[0][0], self._box[1][0]), self._plane, where)
        if outcome.edit is not None and self._on_edit is not None:
            self._on_edit(outcome.edit, "Painted on a part")
