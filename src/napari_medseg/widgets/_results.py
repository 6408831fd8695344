"""Draws a run's tiles into layers of its own, in place and without disturbing a stroke."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer
from napari.layers import Layer
from napari.utils import Colormap, DirectLabelColormap
from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_medseg.core.events import Tile
from napari_medseg.core.image import Image
from napari_medseg.widgets._layers import RESULT_KEY, layer_arguments

REFRESH_MS = 100
"""Shortest time between two refreshes of the drawn layers."""

PREDICTION = "prediction"
ENTROPY = "entropy"

UNCERTAIN = Colormap([[1, 1, 0, 0], [1, 1, 0, 0.8]], name="uncertain", display_name="uncertain")
"""Nothing where the model is sure, yellow where it is not, so that the tissue stays in sight."""


class ResultLayers(QObject):
    """The result layers of one image in one viewer.

    Tiles wait while a mouse button is down, so that a stroke in the making stays as it is. A refresh
    never takes more than a fifth of the time.
    """

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._image: Image | None = None
        self._source: Layer | None = None
        self._about: dict[str, Any] = {}
        self._colours: DirectLabelColormap | None = None
        self._waiting: list[Tile] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw)

    def begin(self, image: Image, source: Layer, about: Mapping[str, Any]) -> None:
        """Draw what comes from now on over ``image``, which was made of the layer ``source``.

        ``about`` goes into the metadata of the layers.
        """
        self._waiting.clear()
        self._image, self._source = image, source
        self._about = {**about, "image": source.name, "image_id": str(source.unique_id)}

    def set_colours(self, colours: DirectLabelColormap) -> None:
        """Colours of the classes in the prediction."""
        self._colours = colours
        layer = self.layer(PREDICTION)
        if isinstance(layer, LabelsLayer):
            layer.colormap = colours

    def add(self, tile: Tile) -> None:
        """Draw a tile soon."""
        self._waiting.append(tile)
        if not self._timer.isActive():
            self._timer.start(0)

    def flush(self) -> None:
        """Draw what waits, unless the user is painting."""
        self._timer.stop()
        self._draw()
        for layer in filter(None, (self.layer(PREDICTION), self.layer(ENTROPY))):
            layer.refresh(extent=False)

    def describe(self, values: Mapping[str, Any]) -> None:
        """Add what the run has told at its end to the metadata of its layers."""
        self._about |= values
        for role in (PREDICTION, ENTROPY):
            layer = self.layer(role)
            if layer is not None:
                layer.metadata[RESULT_KEY] = {**self._about, "role": role}

    def layer(self, role: str) -> Any:
        """The layer that shows ``role`` for the image at hand."""
        if self._image is None or self._source is None:
            return None
        for layer in self._viewer.layers:
            about = layer.metadata.get(RESULT_KEY, {})
            same = about.get("role") == role and about.get("image_id") == str(self._source.unique_id)
            if same and layer.data.shape == self._image.shape():
                return layer
        return None

    def _draw(self) -> None:
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self._timer.start(REFRESH_MS)
            return
        began = time.monotonic()
        tiles, self._waiting = self._waiting, []
        drawn = {id(layer): layer for layer in map(self._put, tiles)}
        for layer in drawn.values():
            layer.refresh(thumbnail=False, highlight=False, extent=False)
        taken_ms = 1000 * (time.monotonic() - began)
        if tiles:
            self._timer.start(max(REFRESH_MS, int(5 * taken_ms)))

    def _put(self, tile: Tile) -> Layer:
        layer = self.layer(tile.layer) or self._make(tile.layer)
        box = tuple(slice(o, o + n) for o, n in zip(tile.offset, tile.data.shape, strict=True))
        layer.data[box] = tile.data
        return layer

    def _make(self, role: str) -> Layer:
        image, source = self._image, self._source
        if image is None or source is None:
            raise RuntimeError("A tile came before the run had begun.")
        arguments = layer_arguments(image, source) | {
            "name": f"{source.name} {role}",
            "metadata": {RESULT_KEY: {**self._about, "role": role}},
        }
        layer = _prediction(image, arguments, self._colours) if role == PREDICTION else _map(image, arguments)
        self._insert_above(source, layer)
        return layer

    def _insert_above(self, source: Layer, layer: Layer) -> None:
        """Put the layer under the paint and above older results; the user's choice of layer stays."""
        layers: Any = self._viewer.layers
        selection: Any = layers.selection
        chosen, active = set(selection), selection.active
        below = [source, *(self.layer(role) for role in (PREDICTION, ENTROPY))]
        places = [layers.index(other) for other in below if other in layers]
        layers.insert(max(places, default=len(layers) - 1) + 1, layer)
        selection.clear()
        selection.update(chosen)
        selection.active = active


def _prediction(image: Image, arguments: dict[str, Any], colours: DirectLabelColormap | None) -> LabelsLayer:
    layer = LabelsLayer(np.zeros(image.shape(), np.uint8), opacity=0.45, **arguments)
    if colours is not None:
        layer.colormap = colours
    return layer


def _map(image: Image, arguments: dict[str, Any]) -> ImageLayer:
    """A map of values from 0 to 1, not there (nan) where nothing has been computed yet."""
    empty = np.full(image.shape(), np.nan, np.float32)
    return ImageLayer(
        empty,
        contrast_limits=(0, 1),
        colormap=UNCERTAIN,
        opacity=0.8,
        blending="translucent",
        visible=False,
        **arguments,
    )
