"""Draws a run's tiles into layers of its own, in place and without disturbing a stroke."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer
from napari.layers import Layer
from napari.utils import Colormap, DirectLabelColormap
from qtpy.QtCore import QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_medseg.core.events import Tile
from napari_medseg.core.image import Image
from napari_medseg.widgets._layers import RESULT_KEY, layer_arguments

REFRESH_MS = 100
"""Shortest time between two refreshes of the drawn layers."""

PREDICTION = "prediction"
ENTROPY = "entropy"
ROLES = (PREDICTION, ENTROPY)

WHOLE = "whole"
"""Key in what a result's layer says of itself: all of it is of the run that is named there."""

TAUGHT = "taught"
"""Another: the layer of a session that its model was taught from."""

OPACITY = 0.45
"""Of labels that are laid over an image."""

UNCERTAIN = Colormap([[1, 1, 0, 0], [1, 1, 0, 0.8]], name="uncertain", display_name="uncertain")
"""Nothing where the model is sure, yellow where it is not, so that the tissue stays in sight."""


class ResultLayers(QObject):
    """The result layers of one image in one viewer.

    Tiles wait while a mouse button is down, so that a stroke in the making stays as it is. A refresh
    never takes more than a fifth of the time.

    Attributes
    ----------
    is_drawn
        Whether the run at hand has drawn anything.
    """

    completed = Signal()
    """The run at hand has come to its end, and all of it is drawn."""

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._image: Image | None = None
        self._source: Layer | None = None
        self._about: dict[str, Any] = {}
        self._colours: DirectLabelColormap | None = None
        self._told: set[str] = set()
        self._drawn = 0
        self._waiting: list[Tile] = []
        self._at_end: Mapping[str, Any] | None = None
        self.is_drawn = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw)

    @property
    def source(self) -> Layer | None:
        """The layer of the image at hand."""
        return self._source

    @property
    def drawn(self) -> int:
        """Grows with each tile that is drawn, so that a copy made meanwhile can be told from a whole picture."""
        return self._drawn

    def begin(self, image: Image, source: Layer, about: Mapping[str, Any]) -> None:
        """Draw what comes from now on over ``image``, which was made of the layer ``source``.

        ``about`` goes into the metadata of the layers.
        """
        self._drop()
        self._told.clear()
        self.is_drawn = False
        self._image, self._source = image, source
        self._about = {**about, "image": source.name, "image_id": str(source.unique_id)}

    def remove(self, source: Layer | None) -> None:
        """Take the results of an image away; tiles that wait are not drawn."""
        self._drop()
        for layer in [layer for role in ROLES for layer in self._of(source, role)]:
            self._viewer.layers.remove(layer)

    def set_colours(self, colours: DirectLabelColormap, source: Layer | None = None) -> None:
        """Colours of the classes in the predictions of an image; None: the image of the run at hand."""
        source = source or self._source
        if source is self._source:
            self._colours = colours
        for layer in self._of(source, PREDICTION):
            layer.colormap = colours

    def add(self, tile: Tile) -> None:
        """Draw a tile soon."""
        self._waiting.append(tile)
        self.is_drawn = True
        if not self._timer.isActive():
            self._timer.start(0)

    @property
    def tool(self) -> str:
        """The tool of the run at hand."""
        return self._about.get("tool", "")

    def flush(self) -> None:
        """Draw what waits, unless the user is painting."""
        self._timer.stop()
        self._draw()
        for layer in self.shown():
            layer.refresh(extent=False)

    def describe(self, values: Mapping[str, Any]) -> None:
        """Add what the run has told at its end to the metadata of its layers, once the tiles that wait are drawn."""
        self._at_end = values
        if not self._waiting:
            self._complete()

    def shown(self) -> list[Any]:
        """The layers that show results of the image at hand."""
        return [layer for layer in map(self.layer, ROLES) if layer is not None]

    def layer(self, role: str) -> Any:
        """The layer that shows ``role`` for the run at hand."""
        return None if self._image is None else self.find(role, self._source, self._image.shape())

    def find(self, role: str, source: Layer | None, shape: tuple[int, ...]) -> Any:
        """The layer of this shape that shows ``role`` for an image, whichever run has drawn it."""
        return next((layer for layer in self._of(source, role) if layer.data.shape == shape), None)

    def _of(self, source: Layer | None, role: str) -> list[Any]:
        wanted = (role, None if source is None else str(source.unique_id))
        about = [(layer, layer.metadata.get(RESULT_KEY, {})) for layer in self._viewer.layers]
        return [layer for layer, facts in about if (facts.get("role"), facts.get("image_id")) == wanted]

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
        self._complete()

    def _complete(self) -> None:
        """Where the run has come to its end, and nothing waits."""
        if self._at_end is None:
            return
        self._about |= {**self._at_end, WHOLE: True}
        self._at_end = None
        for layer in self.shown():
            self._tell(layer, layer.metadata[RESULT_KEY]["role"])
        self.completed.emit()

    def _drop(self) -> None:
        """What waits is not drawn, so that the run does not become a whole one."""
        self._waiting.clear()
        self._at_end = None

    def _put(self, tile: Tile) -> Layer:
        layer = self.layer(tile.layer) or self._make(tile.layer)
        if tile.layer not in self._told:
            # What is said of the run before is no longer true of it.
            self._tell(layer, tile.layer)
        self._drawn += 1
        box = tuple(slice(o, o + n) for o, n in zip(tile.offset, tile.data.shape, strict=True))
        layer.data[box] = tile.data
        return layer

    def _tell(self, layer: Layer, role: str) -> None:
        self._told.add(role)
        layer.metadata[RESULT_KEY] = {**self._about, "role": role}

    def _make(self, role: str) -> Layer:
        image, source = self._image, self._source
        if image is None or source is None:
            raise RuntimeError("A tile came before the run had begun.")
        layer = result_layer(role, image, source, {**self._about, "role": role}, self._colours)
        insert_above(self._viewer, source, layer)
        return layer


def result_layer(
    role: str,
    image: Image,
    source: Layer | None,
    about: Mapping[str, Any],
    colours: DirectLabelColormap | None,
    pixels: np.ndarray | None = None,
) -> Layer:
    """A layer that shows a result on ``image``; an empty one where no pixels are given."""
    name = f"{image.name if source is None else source.name} {role}"
    arguments = layer_arguments(image, source) | {"name": name, "metadata": {RESULT_KEY: dict(about)}}
    return _prediction(image, arguments, colours, pixels) if role == PREDICTION else _map(image, arguments, pixels)


def insert_above(viewer: Any, source: Layer, layer: Layer) -> None:
    """Put a layer under the paint and above older results of an image; the user's choice of layer stays."""
    insert_at(viewer, _place_above(viewer, source), layer)


def insert_at(viewer: Any, index: int, layer: Layer) -> None:
    """Put a layer at a place in the list; the user's choice of layer stays."""
    with same_choice(viewer):
        viewer.layers.insert(index, layer)


def move_above(viewer: Any, source: Layer, layer: Layer) -> None:
    """Move a layer of the list under the paint and above the results of an image."""
    viewer.layers.move(viewer.layers.index(layer), _place_above(viewer, source, but=layer))


@contextmanager
def same_choice(viewer: Any) -> Iterator[None]:
    """What napari selects meanwhile is not what the user has chosen."""
    selection: Any = viewer.layers.selection
    chosen, active = set(selection), selection.active
    yield
    selection.clear()
    selection.update(chosen)
    selection.active = active


def _place_above(viewer: Any, source: Layer, but: Layer | None = None) -> int:
    layers: Any = viewer.layers
    of_image = (each for each in layers if each.metadata.get(RESULT_KEY, {}).get("image_id") == str(source.unique_id))
    places = [layers.index(other) for other in (source, *of_image) if other in layers and other is not but]
    return max(places, default=len(layers) - 1) + 1


def _prediction(
    image: Image, arguments: dict[str, Any], colours: DirectLabelColormap | None, pixels: np.ndarray | None
) -> LabelsLayer:
    data = np.zeros(image.shape(), np.uint8) if pixels is None else pixels
    layer = LabelsLayer(data, opacity=OPACITY, **arguments)
    if colours is not None:
        layer.colormap = colours
    return layer


def _map(image: Image, arguments: dict[str, Any], pixels: np.ndarray | None) -> ImageLayer:
    """A map of values from 0 to 1, not there (nan) where nothing has been computed yet."""
    return ImageLayer(
        np.full(image.shape(), np.nan, np.float32) if pixels is None else pixels,
        contrast_limits=(0, 1),
        colormap=UNCERTAIN,
        opacity=0.8,
        blending="translucent",
        visible=False,
        **arguments,
    )
