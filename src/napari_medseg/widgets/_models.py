"""Save, choose and apply the user's models."""

from __future__ import annotations

from html import escape
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QMessageBox, QPushButton, QToolButton, QWidget

from napari_medseg.nn import store
from napari_medseg.widgets._elided import ElidedButton
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
    """A name and a Save button; a choice of models, Open, and Apply to the image that it names."""

    saveRequested = Signal(str)
    applyRequested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = Text(self)
        self.name.setPlaceholderText("name of the model")
        self.name.setToolTip("Name under which the last model is kept; you are asked before one of yours is replaced.")
        self.save_button = _button("Save", "Keep the last model under this name, with its classes and colours.")
        self.save_button.setEnabled(False)
        self.choice = Choice(apply_choices(), self)
        self.choice.setToolTip("A saved model, to be applied to an image.")
        self.open_button = QToolButton(self)
        self.open_button.setText("…")
        self.open_button.setToolTip("Choose a model file (.safetensors with its .json card beside it).")
        self.apply_button = ElidedButton("Apply to", "Apply to an image", self)
        self.set_target("")
        self._lay_out()
        self.name.returnPressed.connect(self.save_button.click)
        self.save_button.clicked.connect(self._save)
        self.apply_button.clicked.connect(lambda: self.applyRequested.emit(self.choice.value()))
        self.open_button.clicked.connect(self._ask_file)

    def refresh(self, choose: str = "") -> None:
        """Offer what the store holds now."""
        self.choice.set_choices(apply_choices())
        if self.choice.findData(choose) >= 0:
            self.choice.setValue(choose)

    def set_target(self, image: str) -> None:
        """Name the image that a model would be applied to; empty where there is none."""
        self.apply_button.set_name(image)
        what = f"the image '{image}', chosen at the top" if image else "an image; choose one at the top first"
        text = f"Segment {what}, with the saved model above; nothing is trained."
        self.apply_button.setToolTip(f"<qt>{escape(text, quote=False)}</qt>")

    def offer_file(self, path: str) -> None:
        """Add a model file to the choice and choose it."""
        if self.choice.findData(path) < 0:
            self.choice.addItem(Path(path).stem, path)
        self.choice.setValue(path)

    def _save(self) -> None:
        name = self.name.value().strip()
        if not name:
            self.name.setFocus()
        if not store.own(name) or self._may_replace(name):
            self.saveRequested.emit(name)

    def _may_replace(self, name: str) -> bool:
        question = f"You have a model named {name} already. Replace it?"
        return QMessageBox.question(self, "Save the model", question) == QMessageBox.StandardButton.Yes

    def _ask_file(self) -> None:
        path, _kind = QFileDialog.getOpenFileName(self, "Open a model", "", "Models (*.safetensors)")
        if path:
            self.offer_file(path)

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.name, 0, 0)
        layout.addWidget(self.save_button, 0, 1)
        layout.addWidget(self.choice, 1, 0)
        layout.addWidget(self.open_button, 1, 1)
        layout.addWidget(self.apply_button, 2, 0, 1, 2)
        layout.setColumnStretch(0, 1)


def _button(text: str, help_text: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(help_text)
    return button
