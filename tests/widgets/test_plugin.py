"""The panel as napari itself opens it."""

from __future__ import annotations

import numpy as np
from qtpy.QtWidgets import QApplication

from napari_medseg.widgets.scribbles import TeachWidget


def test_the_panel_opens_by_its_name_in_the_manifest(viewer) -> None:
    """On this route napari hands over a proxy of the viewer that hides its window."""
    viewer.add_image(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8), name="cells")
    dock, panel = viewer.window.add_plugin_dock_widget("napari-medseg", "Teach")
    QApplication.processEvents()
    assert isinstance(panel, TeachWidget)
    panel.new_scribbles()
    assert panel.scribbles.value() in viewer.layers
    title = dock.title.title
    assert title.text() == dock.name
    assert title.visibleRegion().boundingRect().width() >= title.fontMetrics().horizontalAdvance(dock.name)
