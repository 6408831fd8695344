"""Save, choose and apply the user's models."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QPushButton, QToolButton, QWidget

from napari_medseg.nn import store
from napari_medseg.widgets._form import Choice, Text

SEGMENTATION = "segmentation"


def start_choices() -> dict[str, str]:
    """What a training can start from, the default first: nothing, the shipped encoder, or one of the user's models."""
    shipped = {"encoder": "shipped encoder"} if store.models("encoder") else {}
    return {"scratch": "scratch", **shipped, **{card.name: card.name for card in store.models(SEGMENTATION)}}


def apply_choices() -> dict[str, str]:
    """The models that can be applied."""
    return {card.name: card.name for card in store.models(SEGMENTATION)} or {"": "no saved model yet"}


class ModelBar(QWidget):
    """A name and a Save button; a choice of models, Open and Apply."""

    saveRequested = Signal(str)
    applyRequested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = Text(self)
        self.name.setPlaceholderText("name of the model")
        self.name.setToolTip("Name under which the last model is kept; an own model of that name is replaced.")
        self.save_button = _button("Save", "Keep the last model under this name, with its classes and colours.")
        self.save_button.setEnabled(False)
        self.choice = Choice(apply_choices(), self)
        self.choice.setToolTip("A saved model to apply to the chosen image.")
        self.open_button = QToolButton(self)
        self.open_button.setText("…")
        self.open_button.setToolTip("Choose a model file (.safetensors with its .json card beside it).")
        self.apply_button = _button("Apply", "Segment the chosen image with this model; nothing is trained.")
        self._lay_out()
        self.save_button.clicked.connect(lambda: self.saveRequested.emit(self.name.value().strip()))
        self.apply_button.clicked.connect(lambda: self.applyRequested.emit(self.choice.value()))
        self.open_button.clicked.connect(self._ask_file)

    def refresh(self, choose: str = "") -> None:
        """Offer what the store holds now."""
        self.choice.set_choices(apply_choices())
        if self.choice.findData(choose) >= 0:
            self.choice.setValue(choose)

    def offer_file(self, path: str) -> None:
        """Add a model file to the choice and choose it."""
        if self.choice.findData(path) < 0:
            self.choice.addItem(Path(path).stem, path)
        self.choice.setValue(path)

    def _ask_file(self) -> None:
        path, _kind = QFileDialog.getOpenFileName(self, "Open a model", "", "Models (*.safetensors)")
        if path:
            self.offer_file(path)

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.name, 0, 0, 1, 2)
        layout.addWidget(self.save_button, 0, 2)
        layout.addWidget(self.choice, 1, 0)
        layout.addWidget(self.open_button, 1, 1)
        layout.addWidget(self.apply_button, 1, 2)
        layout.setColumnStretch(0, 1)


def _button(text: str, help_text: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(help_text)
    return button
