"""A real viewer on a (virtual) screen, a panel whose runs go to a quick tool, and a hand that paints."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_medseg.run.child import Child
from napari_medseg.tools import EXTRA_TOOLS
from napari_medseg.widgets._compat import camera_of
from napari_medseg.widgets._service import RunService
from napari_medseg.widgets.scribbles import TeachWidget

HERE = Path(__file__).parent


class ColdService(RunService):
    """A service whose child leaves torch alone."""

    @property
    def child(self) -> Child:
        if self._child is None:
            self._child = Child(warm=False, grace_s=0.5, on_ready=self.ready.emit)
        return self._child


def move_mouse(canvas: Any, place: QPoint) -> None:
    """Move it so that napari sees it: vispy drops what follows within 10 ms."""
    canvas._last_time = 0.0
    QTest.mouseMove(canvas, place)


class Hand:
    """Paints on the canvas with mouse events."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self.canvas = viewer.window._qt_viewer.canvas.native

    def place(self, world: tuple[float, float]) -> QPoint:
        """Where a point of the world is on the canvas."""
        centre = np.array(camera_of(self._viewer).center)[-2:]
        y, x = (np.array(world) - centre) * camera_of(self._viewer).zoom
        return QPoint(round(self.canvas.width() / 2 + x), round(self.canvas.height() / 2 + y))

    def press(self, world: tuple[float, float]) -> None:
        move_mouse(self.canvas, self.place(world))
        QTest.mousePress(self.canvas, Qt.MouseButton.LeftButton, pos=self.place(world))

    def move(self, world: tuple[float, float]) -> None:
        move_mouse(self.canvas, self.place(world))
        QApplication.processEvents()

    def release(self, world: tuple[float, float]) -> None:
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, pos=self.place(world))

    def stroke(self, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """One stroke from one point of the world to another."""
        self.press(start)
        for share in np.linspace(0, 1, 8):
            self.move(tuple(np.array(start) + share * (np.array(stop) - np.array(start))))
        self.release(stop)


@pytest.fixture(autouse=True)
def tiny_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the quick tool known by the name "tiny", here and in children."""
    monkeypatch.setenv(EXTRA_TOOLS, "tiny=tiny_tool")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])))
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Napari's defaults, and none kept: a window that a test closes must not give the next one its size."""
    monkeypatch.setattr(napari.settings, "_SETTINGS", napari.settings.NapariSettings(config_path=None))


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., napari.Viewer]) -> napari.Viewer:
    """A shown viewer; it is closed, and looked over for leaks, by napari's own fixture."""
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1000, 800)
    return viewer


@pytest.fixture
def hand(viewer: napari.Viewer) -> Hand:
    return Hand(viewer)


@pytest.fixture(scope="session")
def shared_service(qapp: Any) -> Iterator[RunService]:
    """Runs in a child without torch; one for all tests, since a start takes a second."""
    service = ColdService()
    yield service
    service.close()


@pytest.fixture
def service(shared_service: RunService, tiny_tool: None) -> Iterator[RunService]:
    """The shared service, idle before and after."""
    yield shared_service
    shared_service.cancel()


@pytest.fixture
def halves() -> np.ndarray:
    """A grey image, dark on the left and bright on the right, with a little noise."""
    values = np.random.default_rng(0).integers(0, 30, (96, 128), dtype=np.uint8)
    values[:, 64:] += 150
    return values


@pytest.fixture
def panel(viewer: napari.Viewer, service: RunService, halves: np.ndarray) -> TeachWidget:
    """The Teach panel, docked beside an image, with the quick tool and live mode off."""
    viewer.add_image(halves, name="halves", scale=(2, 2), units="um")
    panel = TeachWidget(viewer, service=service, tool="tiny")
    panel.live.setValue(False)
    viewer.window.add_dock_widget(panel, name="Teach", area="right")
    QApplication.processEvents()
    viewer.reset_view()
    return panel
