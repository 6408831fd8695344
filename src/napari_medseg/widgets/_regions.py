"""Leads to the next place to paint: two buttons, the way there, and a frame around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Labels as LabelsLayer
from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_medseg.core.regions import next_region
from napari_medseg.widgets import _layers
from napari_medseg.widgets._marker import RegionMarker

REGION_PX = 128
"""Side of a region that is offered for painting; a quarter of a smaller image."""

NO_PAINT = "There is no layer to paint in. Press New, then ask for the next region."
NOTHING_YET = "Nothing is predicted yet. Press Teach, then ask for the next region."
STILL_PREDICTING = "The prediction is still being made. Ask again when it is drawn."
NONE_LEFT = "No uncertain region is left."
NONE_YET = "There is no uncertain region in what is drawn so far."


class RegionGuide(QWidget):
    """Goes from one uncertain region to the next.

    Parameters
    ----------
    viewer
        Its camera moves.
    entropy
        Gives the layer that shows where the model is unsure on the pixels of a scribble layer, or None.
    running
        Tells whether a prediction is being made.
    """

    told = Signal(str)
    refused = Signal(str)

    def __init__(
        self,
        viewer: Any,
        entropy: Callable[[LabelsLayer], Layer | None],
        running: Callable[[], bool],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.marker = RegionMarker(viewer)
        self.visited: list[tuple[int, ...]] = []
        self.skipped: list[tuple[int, ...]] = []
        self._viewer, self._entropy, self._running = viewer, entropy, running
        self._paint: LabelsLayer | None = None
        self.next_button = QPushButton("Next region (N)", self)
        self.next_button.setToolTip("Go where the model is least sure and nothing is painted yet (key N).")
        self.skip_button = QPushButton("Skip (Shift+N)", self)
        self.skip_button.setToolTip("Go on, and do not come back to this region (key Shift+N).")
        self.next_button.clicked.connect(self.go_on)
        self.skip_button.clicked.connect(self.skip)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.next_button, 3)
        row.addWidget(self.skip_button, 2)

    def set_layer(self, layer: LabelsLayer | None) -> None:
        """Lead through another scribble layer."""
        self._paint = layer
        self.forget()

    def forget(self) -> None:
        """Start anew: another image, another layer, or a closed panel."""
        self.visited.clear()
        self.skipped.clear()
        self.marker.hide()

    def renew(self) -> None:
        """A new prediction is there: only the place at hand counts as visited."""
        self.visited = self.visited[-1:]

    def go_on(self) -> None:
        """Go to the most useful place to paint, and frame it."""
        paint = self._paint
        if paint is None:
            self.refused.emit(NO_PAINT)
            return
        entropy = self._entropy(paint)
        if entropy is None:
            self._say_nothing_is_drawn()
            return
        side = max(1, min(REGION_PX, min(paint.data.shape[-2:]) // 4))
        region = next_region(entropy.data, paint.data, [*self.visited, *self.skipped], size=side)
        if region is None:
            self.marker.hide()
            self.told.emit(NONE_YET if self._running() else NONE_LEFT)
            return
        self.visited.append(region.centre)
        _layers.show_region(self._viewer, paint, region.centre, region.box)
        self.marker.show(paint, region.box)
        self.told.emit(f"Paint inside the white frame, or skip it with Shift+N (uncertainty {region.entropy:.2f}).")

    def _say_nothing_is_drawn(self) -> None:
        if self._running():
            self.told.emit(STILL_PREDICTING)
        else:
            self.refused.emit(NOTHING_YET)

    def skip(self) -> None:
        """Go on, and leave the region shown last out from now on."""
        if self.visited:
            self.skipped.append(self.visited.pop())
        self.go_on()
