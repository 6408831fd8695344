"""The bar of models: saving under a name that is there already."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_medseg.widgets._models import ModelBar


@pytest.fixture
def bar(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelBar:
    """A bar beside a store that holds one model, called tumour."""
    monkeypatch.setenv("NAPARI_MEDSEG_MODELS", str(tmp_path))
    for suffix in (".json", ".safetensors"):
        (tmp_path / f"tumour{suffix}").write_text("")
    made = ModelBar()
    made.save_button.setEnabled(True)
    qtbot.addWidget(made)
    return made


def answer(button: QMessageBox.StandardButton) -> list[str]:
    """Press a button of the question that comes next; what it asked is in the list afterwards."""
    asked: list[str] = []

    def press() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        asked.append(box.text())
        box.button(button).click()

    QTimer.singleShot(0, press)
    return asked


def test_a_new_name_is_saved_unasked(bar: ModelBar, qtbot: QtBot) -> None:
    bar.name.setText(" stroma ")
    with qtbot.waitSignal(bar.saveRequested) as told:
        bar.save_button.click()
    assert told.args == ["stroma"]


def test_yes_replaces_a_model(bar: ModelBar, qtbot: QtBot) -> None:
    bar.name.setText("tumour")
    asked = answer(QMessageBox.StandardButton.Yes)
    with qtbot.waitSignal(bar.saveRequested) as told:
        bar.save_button.click()
    assert told.args == ["tumour"]
    assert asked == ["You have a model named tumour already. Replace it?"]


def test_no_leaves_it(bar: ModelBar, qtbot: QtBot) -> None:
    bar.name.setText("tumour")
    asked = answer(QMessageBox.StandardButton.No)
    with qtbot.assertNotEmitted(bar.saveRequested):
        bar.save_button.click()
    assert asked
