"""A hand with both mouse buttons, and the same picture as an ordinary layer and as one over a pyramid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import napari
import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_medseg.core.edits import Edit
from napari_medseg.core.labelpyramid import LabelPyramid, MemoryTiles
from napari_medseg.widgets._compat import camera_of
from napari_medseg.widgets.pyramid_labels import register
from napari_medseg.widgets.pyramid_labels.layer import PyramidLabels
from tests.widgets.conftest import move_mouse

Place = tuple[float, float]
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton


class Mouse:
    """Real mouse events on the canvas, at places of the world."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self.canvas = viewer.window._qt_viewer.canvas.native

    def at(self, world: Place) -> QPoint:
        centre = np.array(camera_of(self._viewer).center)[-2:]
        y, x = (np.array(world) - centre) * camera_of(self._viewer).zoom
        return QPoint(round(self.canvas.width() / 2 + x), round(self.canvas.height() / 2 + y))

    def press(self, world: Place, button: Any = LEFT) -> None:
        move_mouse(self.canvas, self.at(world))
        QTest.mousePress(self.canvas, button, pos=self.at(world))

    def release(self, world: Place, button: Any = LEFT) -> None:
        QTest.mouseRelease(self.canvas, button, pos=self.at(world))
        QApplication.processEvents()

    def move(self, world: Place) -> None:
        move_mouse(self.canvas, self.at(world))
        QApplication.processEvents()

    def click(self, world: Place, button: Any = LEFT) -> None:
        self.press(world, button)
        self.release(world, button)

    def double_click(self, world: Place) -> None:
        move_mouse(self.canvas, self.at(world))
        QTest.mouseDClick(self.canvas, LEFT, pos=self.at(world))
        QApplication.processEvents()

    def drag(self, places: Iterable[Place]) -> None:
        first, *rest = places
        self.press(first)
        for place in rest:
            self.move(place)
        self.release(rest[-1])

    def key(self, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self.canvas, key, modifier)
        QApplication.processEvents()


@pytest.fixture
def mouse(viewer: napari.Viewer) -> Mouse:
    return Mouse(viewer)


@dataclass
class Seen:
    """What the observers of a layer were told."""

    edits: list[tuple[Edit, str]] = field(default_factory=list)

    def on_edit(self, edit: Edit, name: str) -> None:
        self.edits.append((edit, name))

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.edits]


@pytest.fixture
def seen() -> Seen:
    return Seen()


@dataclass
class Pair:
    """Two layers with the same labels, to which the same is done."""

    viewer: napari.Viewer
    plain: Labels
    ours: PyramidLabels

    def both(self, action: Callable[[Labels], object]) -> None:
        for layer in (self.plain, self.ours):
            self.viewer.layers.selection.active = layer
            action(layer)
            layer.mode = "pan_zoom"

    def look(self, centre: Place, zoom: float) -> None:
        camera_of(self.viewer).center = centre
        camera_of(self.viewer).zoom = zoom
        QApplication.processEvents()

    def assert_same(self) -> None:
        np.testing.assert_array_equal(np.asarray(self.ours.data), self.plain.data)


@pytest.fixture
def make_layer() -> Callable[..., PyramidLabels]:
    """Makes a layer over an empty pyramid of small tiles, which has many levels."""

    def make(shape: tuple[int, ...], dtype: Any = np.uint8, **options: Any) -> PyramidLabels:
        register()
        return PyramidLabels(LabelPyramid(shape, dtype, MemoryTiles(), tile_px=64), **options)

    return make


@pytest.fixture
def make_pair(viewer: napari.Viewer, seen: Seen, make_layer: Callable[..., PyramidLabels]) -> Callable[..., Pair]:
    def make(shape: tuple[int, ...]) -> Pair:
        plain = viewer.add_labels(np.zeros(shape, np.uint8), name="plain")
        ours = viewer.add_layer(make_layer(shape, on_edit=seen.on_edit, name="ours"))
        QApplication.processEvents()
        return Pair(viewer, plain, ours)

    return make


@pytest.fixture
def pair(make_pair: Callable[..., Pair]) -> Pair:
    """An ordinary and a pyramid layer of 1400 x 1900 pixels."""
    return make_pair((1400, 1900))
