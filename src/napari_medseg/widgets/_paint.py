"""Ties the class editor to the scribble layer: names, colours, number keys, strokes."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels as LabelsLayer
from qtpy.QtCore import QObject, Signal

from napari_medseg.core.errors import InputError
from napari_medseg.core.scribbles import labels_seen
from napari_medseg.widgets._classes import (
    CLASSES_KEY,
    DEFAULTS,
    ClassEditor,
    SegmentationClass,
    colour_map,
    default_class,
    from_metadata,
    to_metadata,
)
from napari_medseg.widgets._compat import undone_steps
from napari_medseg.widgets._keys import Keys
from napari_medseg.widgets._layers import image_of

MOST_LABELS = 64


class Paint(QObject):
    """Keeps one scribble layer and the class editor in step.

    ``strokeEnded`` tells that what is painted has changed; undo and redo count as strokes.
    """

    strokeEnded = Signal()

    def __init__(self, viewer: Any, editor: ClassEditor, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._editor = viewer, editor
        self._layer: LabelsLayer | None = None
        self._keys: Keys | None = None
        self._undone = 0
        editor.valueChanged.connect(self._on_classes)
        editor.selected.connect(self.arm)

    @property
    def layer(self) -> LabelsLayer | None:
        """The scribble layer at hand."""
        return self._layer

    def set_layer(self, layer: LabelsLayer | None) -> None:
        """Follow another scribble layer; the classes saved in it are shown."""
        if layer is self._layer:
            return
        self.release()
        self._layer = layer
        if layer is None:
            return
        self._undone = undone_steps(layer)
        layer.events.paint.connect(self._on_stroke)
        layer.events.set_data.connect(self._on_drawn)
        layer.events.selected_label.connect(self._on_selected_label)
        self._editor.setValue(_classes_of(layer))
        self._on_classes()

    def release(self) -> None:
        """Follow no layer; its number keys are napari's again."""
        if self._layer is not None:
            self._layer.events.paint.disconnect(self._on_stroke)
            self._layer.events.set_data.disconnect(self._on_drawn)
            self._layer.events.selected_label.disconnect(self._on_selected_label)
        if self._keys is not None:
            self._keys.release()
        self._layer = self._keys = None

    def follow(self, painted: bool) -> None:
        """A session's undo, redo or jump has changed the classes saved in the layer or, ``painted``, its labels."""
        if self._layer is not None:
            self._editor.setValue(_classes_of(self._layer))
            if painted:
                self.strokeEnded.emit()

    def arm(self, label: int) -> None:
        """Make the next stroke paint ``label``; 0 erases."""
        layer = self._layer
        if layer is None or layer not in self._viewer.layers:
            return
        self._viewer.layers.selection.active = layer
        layer.visible = True
        if label:
            layer.selected_label = label
        layer.mode = "paint" if label else "erase"
        self._editor.select(label)

    def _on_classes(self, _classes: Any = None) -> None:
        """Save names and colours in the layer and bind its number keys."""
        layer, classes = self._layer, self._editor.value()
        if layer is None:
            return
        layer.metadata[CLASSES_KEY] = to_metadata(classes)
        layer.colormap = colour_map(classes)
        if self._keys is not None:
            self._keys.release()
        self._keys = Keys(layer)
        for label in (0, *(row.label for row in classes if row.label < 10)):
            self._keys.bind(str(label), lambda label=label: self.arm(label))

    def _on_stroke(self, _event: Any = None) -> None:
        layer = self._layer
        if layer is None:
            return
        self._undone = undone_steps(layer)
        label = int(layer.selected_label)
        if layer.mode != "erase" and 0 < label <= MOST_LABELS and label not in self._editor.labels():
            self._editor.setValue(with_labels(self._editor.value(), [label]))
        self.strokeEnded.emit()

    def _on_drawn(self, _event: Any = None) -> None:
        """Of undo and redo napari tells no more than that the layer is drawn anew."""
        if self._layer is not None and undone_steps(self._layer) != self._undone:
            self._undone = undone_steps(self._layer)
            self.strokeEnded.emit()

    def _on_selected_label(self, _event: Any = None) -> None:
        if self._layer is not None:
            self._editor.select(int(self._layer.selected_label))


def _classes_of(layer: LabelsLayer) -> tuple[SegmentationClass, ...]:
    """The classes saved in a layer, or else those that are painted in it."""
    if CLASSES_KEY in layer.metadata:
        return from_metadata(layer.metadata)
    return with_labels(DEFAULTS, _painted(layer))


def _painted(layer: LabelsLayer) -> list[int]:
    """Labels of a layer that somebody else made; of a large one not each pixel is looked at, for the viewer waits."""
    if layer.multiscale:
        return []
    try:
        found = labels_seen(image_of(layer))
    except InputError:
        return []
    return [label for label in found if label <= MOST_LABELS]


def with_labels(classes: tuple[SegmentationClass, ...], labels: list[int]) -> tuple[SegmentationClass, ...]:
    """The classes, and one as by default for each label that has none."""
    known = {row.label for row in classes}
    added = [default_class(label) for label in labels if label not in known]
    return tuple(sorted((*classes, *added), key=lambda row: row.label))
