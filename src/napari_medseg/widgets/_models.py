"""Save, choose and apply the user's models."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QMessageBox, QPushButton, QToolButton, QWidget

from napari_medseg.core.errors import ModelError
from napari_medseg.nn import store
from napari_medseg.widgets._elided import ElidedButton
from napari_medseg.widgets._form import Choice, Text
from napari_medseg.widgets._layout import heading

SEGMENTATION = "segmentation"
FILE = ".safetensors"

SAVE_HELP = "Keep the last model under this name, with its classes and colours."
NOTHING_TO_SAVE = "There is no model to save yet. Teach one first."


def start_choices() -> dict[str, str]:
    """What a training can start from, the default first: nothing, the shipped encoder, or one of the user's models."""
    shipped = {"encoder": "shipped encoder"} if store.models("encoder") else {}
    return {"scratch": "scratch", **shipped, **{card.name: card.name for card in store.models(SEGMENTATION)}}


def apply_choices() -> dict[str, str]:
    """The models that can be applied."""
    return {card.name: card.name for card in store.models(SEGMENTATION)} or {"": "no saved model yet"}


def with_chosen(choices: Mapping[str, str], chosen: str) -> dict[str, str]:
    """The choices and, where it is no longer among them, the chosen one: what is chosen must not change by itself."""
    gone = {chosen: f"{_text(chosen)} (removed)"} if chosen and chosen not in choices else {}
    return {**choices, **gone}


def check_is_there(model: str) -> None:
    """Complain about a model that was there when it was offered and is not any more."""
    if not store.exists(model):
        raise ModelError(
            f"The model {_text(model)!r} is not there any more: it was removed or renamed outside this panel. "
            "Choose another one."
        )


def _text(model: str) -> str:
    """A model's name; a file's is that of its file."""
    return Path(model).stem if model.endswith(FILE) else model


class StartChoice(Choice):
    """What a training starts from; when it is opened it offers what there is then."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(start_choices(), parent)
        self.opening.connect(self.refresh)

    def refresh(self) -> None:
        """Offer what the store holds now."""
        self.set_choices(with_chosen(start_choices(), self.value()))

    def check(self) -> None:
        """Complain where the chosen model was removed since it was offered."""
        if self.value() not in start_choices():
            check_is_there(self.value())


class ModelBar(QWidget):
    """A name and a Save button; a choice of models, Open, and Apply to the image that it names."""

    saveRequested = Signal(str)
    applyRequested = Signal(str)
    refused = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = Text(self)
        self.name.setPlaceholderText("name of the model")
        self.name.setToolTip("Name under which the last model is kept; you are asked before one of yours is replaced.")
        self.save_button = QPushButton("Save", self)
        self.allow_save(False)
        self._files: list[str] = []
        self.choice = Choice(apply_choices(), self)
        self.choice.setToolTip("A saved model, to be applied to an image.")
        self.open_button = QToolButton(self)
        self.open_button.setText("…")
        self.open_button.setToolTip("Choose a model file (.safetensors with its .json card beside it).")
        self.apply_button = ElidedButton("Apply to", "Apply to an image", self)
        self.set_target("")
        self._lay_out()
        self.choice.opening.connect(self.refresh)
        self.name.returnPressed.connect(self._save)
        self.save_button.clicked.connect(self._save)
        self.apply_button.clicked.connect(lambda: self.applyRequested.emit(self.choice.value()))
        self.open_button.clicked.connect(self._ask_file)

    def refresh(self, choose: str = "") -> None:
        """Offer what the store holds now, and the files that were opened; choose a model where one is named."""
        files = {path: _text(path) for path in self._files if store.exists(path)}
        stored = {name: text for name, text in apply_choices().items() if name or not files}
        self.choice.set_choices(with_chosen({**stored, **files}, choose or self.choice.value()))
        if choose:
            self.choice.setValue(choose)

    def allow_save(self, allowed: bool) -> None:
        """Whether there is a model to save; the tooltip says what to do where there is none."""
        self.save_button.setEnabled(allowed)
        self.save_button.setToolTip(SAVE_HELP if allowed else NOTHING_TO_SAVE)

    def set_target(self, image: str) -> None:
        """Name the image that a model would be applied to; empty where there is none."""
        self.apply_button.set_name(image)
        what = f"the image '{image}', chosen at the top" if image else "an image; choose one at the top first"
        text = f"Segment {what}, with the saved model above; nothing is trained."
        self.apply_button.setToolTip(f"<qt>{escape(text, quote=False)}</qt>")

    def offer_file(self, path: str) -> None:
        """Add a model file to the choice and choose it."""
        self._files = [*(known for known in self._files if known != path), path]
        self.refresh(path)

    def _save(self) -> None:
        if not self.save_button.isEnabled():
            self.refused.emit(NOTHING_TO_SAVE)
            return
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
        layout.setHorizontalSpacing(6)
        layout.addWidget(heading("Models"), 0, 0)
        layout.addWidget(self.name, 0, 1)
        layout.addWidget(self.save_button, 0, 2)
        layout.addWidget(self.choice, 1, 0, 1, 2)
        layout.addWidget(self.open_button, 1, 2)
        layout.addWidget(self.apply_button, 2, 0, 1, 3)
        layout.setColumnStretch(1, 1)
