"""The editor of classes: a number key, a colour and a name for each label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any

from napari.layers import Layer
from napari.utils import DirectLabelColormap
from qtpy.QtCore import QSize, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QColorDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.core.classes import SegmentationClass, default_class, from_json, to_json

CLASSES_KEY = "napari_medseg_classes"
"""Key in a scribble layer's metadata."""

MOST_CLASSES = 64
DEFAULTS = (default_class(1), default_class(2))


def from_metadata(metadata: Mapping[str, Any]) -> tuple[SegmentationClass, ...]:
    """The classes saved in a layer; the defaults where it has none."""
    stored = metadata.get(CLASSES_KEY)
    if not isinstance(stored, Mapping) or not stored:
        return DEFAULTS
    return from_json(stored)


def to_metadata(classes: tuple[SegmentationClass, ...]) -> dict[str, dict[str, str]]:
    """Plain values for a layer's metadata."""
    return to_json(classes)


def is_ours(layer: Layer) -> bool:
    """Whether a layer has been used for scribbles before; others are not recoloured unasked."""
    return CLASSES_KEY in layer.metadata


class ClassEditor(QWidget):
    """Edits a tuple of classes; one of them is selected for painting.

    ``add_button`` has no place of its own: who shows the editor puts it beside the heading.
    """

    valueChanged = Signal(object)
    selected = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._classes: tuple[SegmentationClass, ...] = ()
        self._buttons = QButtonGroup(self)
        self._buttons.idClicked.connect(self.selected)
        self._rows = QVBoxLayout()
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(2)
        self.add_button = QPushButton("Add class", self)
        self.add_button.setToolTip("Add one more class with the next free label.")
        self.add_button.clicked.connect(lambda: self.add())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(self._rows)
        self.setValue(DEFAULTS)

    def value(self) -> tuple[SegmentationClass, ...]:
        """The classes in the order of their labels."""
        return self._classes

    def setValue(self, value: tuple[SegmentationClass, ...]) -> None:
        """Show other classes."""
        if value == self._classes:
            return
        chosen = self.selected_label()
        self._classes = tuple(value)
        self._rebuild()
        self.select(chosen if chosen in self.labels() else next(iter(self.labels()), 0))
        self.valueChanged.emit(self._classes)

    def labels(self) -> tuple[int, ...]:
        """The labels in use."""
        return tuple(row.label for row in self._classes)

    def selected_label(self) -> int:
        """The label to paint with; 0 where there is no class."""
        return max(0, self._buttons.checkedId())

    def select(self, label: int) -> None:
        """Mark a row as the one to paint with, without telling anyone."""
        button = self._buttons.button(label)
        if button is not None:
            button.setChecked(True)

    def add(self) -> None:
        """Add a class with the next free label."""
        free = [label for label in range(1, MOST_CLASSES + 1) if label not in self.labels()]
        if free:
            self.setValue(tuple(sorted((*self._classes, default_class(free[0])), key=lambda row: row.label)))

    def remove(self, label: int) -> None:
        """Take a class out of the list; what was painted with it stays."""
        self.setValue(tuple(row for row in self._classes if row.label != label))

    def rename(self, label: int, name: str) -> None:
        """Give a class another name; an empty one is refused."""
        if name.strip():
            self._replace(label, name=name.strip())

    def recolour(self, label: int, colour: str) -> None:
        """Give a class another colour, #rrggbb."""
        self._replace(label, colour=colour)

    def _replace(self, label: int, **changes: str) -> None:
        rows = tuple(replace(row, **changes) if row.label == label else row for row in self._classes)
        if rows != self._classes:
            self.setValue(rows)

    def _rebuild(self) -> None:
        for button in self._buttons.buttons():
            self._buttons.removeButton(button)
        while self._rows.count():
            item = self._rows.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for row in self._classes:
            self._rows.addWidget(self._row(row))

    def _row(self, row: SegmentationClass) -> QWidget:
        widget = QWidget(self)
        layout = QHBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (self._key(row), self._swatch(row), self._name(row), self._bin(row)):
            layout.addWidget(part)
        return widget

    def _key(self, row: SegmentationClass) -> QWidget:
        button = QPushButton(str(row.label), self)
        button.setCheckable(True)
        button.setFixedWidth(30)
        key = f" (key {row.label} on the scribble layer; key 0 erases)" if row.label < 10 else ""
        button.setToolTip(_wrapped(f"Paint {row.name}{key}."))
        self._buttons.addButton(button, row.label)
        return button

    def _swatch(self, row: SegmentationClass) -> QWidget:
        button = QToolButton(self)
        button.setIcon(_colour_icon(row.colour))
        button.setIconSize(QSize(18, 18))
        button.setToolTip(_wrapped(f"Colour of {row.name}: {row.colour}. Click to change it."))
        button.clicked.connect(lambda: self._ask_colour(row))
        return button

    def _name(self, row: SegmentationClass) -> QWidget:
        edit = QLineEdit(row.name, self)
        edit.setMinimumWidth(60)
        edit.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        edit.setToolTip("Name of the class; it is saved with the scribbles and the model.")
        edit.editingFinished.connect(lambda: self.rename(row.label, edit.text()))
        return edit

    def _bin(self, row: SegmentationClass) -> QWidget:
        button = QToolButton(self)
        button.setText("×")
        button.setToolTip(_wrapped(f"Take {row.name} out of the list; what was painted with it stays."))
        button.clicked.connect(lambda: self.remove(row.label))
        return button

    def _ask_colour(self, row: SegmentationClass) -> None:
        colour = QColorDialog.getColor(QColor(row.colour), self, f"Colour of {row.name}")
        if colour.isValid():
            self.recolour(row.label, colour.name())


def _wrapped(text: str) -> str:
    """A tooltip of more than one line; names are shown as they are typed."""
    return f"<qt>{escape(text, quote=False)}</qt>"


def _colour_icon(colour: str) -> QIcon:
    pixmap = QPixmap(18, 18)
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)


def colour_map(classes: tuple[SegmentationClass, ...]) -> DirectLabelColormap:
    """The colours of a Labels layer: grey for a label that is no class."""
    colours: dict[int | None, str] = {None: "#808080", 0: "transparent"}
    return DirectLabelColormap(color_dict=colours | {row.label: row.colour for row in classes})
