"""The panel as napari itself opens it."""

from __future__ import annotations

import numpy as np

from napari_medseg.widgets.scribbles import TeachWidget


def test_the_panel_opens_by_its_name_in_the_manifest(viewer) -> None:
    """On this route napari hands over a proxy of the viewer that hides its window."""
    viewer.add_image(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8), name="cells")
    _, panel = viewer.window.add_plugin_dock_widget("napari-medseg", "Teach (scribbles)")
    assert isinstance(panel, TeachWidget)
    panel.new_scribbles()
    assert panel.scribbles.value() in viewer.layers
