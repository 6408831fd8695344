"""The controls of a `PyramidLabels` layer: those of a Labels layer, without the choice of a level."""

from __future__ import annotations

from typing import Any

from napari._qt.layer_controls.qt_labels_controls import QtLabelsControls
from napari.layers import Labels
from napari.layers.labels import _labels_key_bindings
from napari.utils.action_manager import action_manager

from napari_medseg.widgets.pyramid_labels.layer import PyramidLabels

WIDEST_BRUSH = 512
"""Right end of the brush slider; keys and Alt + mouse go beyond it."""


class PyramidLabelsControls(QtLabelsControls):
    """Hides what a user of ordinary labels does not see, and lets "new" ask the pyramid for its largest label."""

    def __init__(self, layer: PyramidLabels) -> None:
        super().__init__(layer)
        level = self._multiscale_level_control
        level.level_label.hide()
        level.level_combobox.hide()
        # napari 0.8.0 has only the key for it.
        button: Any = getattr(self._label_control, "new_label_button", None)
        if button is not None:
            button.clicked.disconnect()
            button.clicked.connect(layer.select_new_label)
        self._brush_size_slider_control.brush_size_slider.setMaximum(WIDEST_BRUSH)


def new_label(layer: Labels) -> None:
    """Set the currently selected label to the largest used label plus one."""
    if isinstance(layer, PyramidLabels):
        layer.select_new_label()
    else:
        _labels_key_bindings.new_label(layer)


def bind_new_label() -> None:
    """Give napari's action a command that knows both kinds of layers; the user's choice of keys stays in force."""
    action_manager.register_action(
        name="napari:new_label",
        command=new_label,
        description="Set the currently selected label to the largest used label plus one",
        keymapprovider=Labels,
    )
