"""The drawing of a `PyramidLabels` layer: napari's own, with the previews of polygon and encircling in their place."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari._vispy.layers.labels import VispyLabelsLayer
from vispy.scene.visuals import Compound, Ellipse, Polygon

PREVIEWS = {"polygon": "points", "brush_stroke": "center"}
"""Overlays that napari gives places in pixels of the loaded part, and what they are moved by."""


class VispyPyramidLabels(VispyLabelsLayer):
    """Draws the previews where the mouse is, at every zoom.

    At coarser levels napari turns their places into pixels of the loaded part, which counts from its corner, and then
    subtracts that corner a second time. They are also left behind when another part is loaded.
    """

    def _on_matrix_change(self) -> None:
        super()._on_matrix_change()
        layer: Any = self.layer
        if layer._slice_input.ndisplay != 2:
            return
        scale = np.asarray(layer._transforms["tile2data"].scale)
        if np.allclose(scale, 1):
            return
        matrix = np.eye(4)
        matrix[-1, :2] = 0.5 / scale[layer._slice_input.displayed][::-1]
        for child in self.node.children:
            if _is_preview(child):
                child.transform.matrix = matrix
        _move_previews(layer)


def _is_preview(node: Any) -> bool:
    return isinstance(node, Compound) and any(isinstance(part, Polygon | Ellipse) for part in node._subvisuals)


def _move_previews(layer: Any) -> None:
    """Have the previews compute their places anew."""
    for name, attribute in PREVIEWS.items():
        overlay = layer._overlays[name]
        if overlay.enabled:
            getattr(overlay.events, attribute).emit(getattr(overlay, attribute))
