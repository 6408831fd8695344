"""The bar of models: saving under a name that is there already."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_medseg.nn.store import Card
from napari_medseg.widgets._form import Choice
from napari_medseg.widgets._models import NOTHING_TO_SAVE, SAVE_HELP, ModelBar, StartChoice


@pytest.fixture
def bar(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelBar:
    """A bar beside a store that holds one model, called tumour."""
    monkeypatch.setenv("NAPARI_MEDSEG_MODELS", str(tmp_path))
    for suffix in (".json", ".safetensors"):
        (tmp_path / f"tumour{suffix}").write_text("")
    made = ModelBar()
    made.allow_save(True)
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


# ---------------------------------------------------------------------- what is offered


def put(folder: Path, name: str) -> Path:
    """A model as far as its card goes."""
    card = Card(name=name, task="segmentation", architecture="light", arguments={}, channels=1, normalisation="none")
    path = folder / f"{name}.json"
    path.write_text(card.model_dump_json(exclude={"folder", "name"}))
    path.with_suffix(".safetensors").write_bytes(b"")
    return path


def offered(choice: Choice) -> list[str]:
    return [choice.itemText(index) for index in range(choice.count())]


def open_list(choice: Choice) -> list[str]:
    """Open the list with the mouse; what it shows."""
    choice.show()
    QTest.mouseClick(choice, Qt.MouseButton.LeftButton)
    shown = offered(choice)
    choice.hidePopup()
    return shown


@pytest.mark.parametrize("kind", [StartChoice, ModelBar])
def test_the_list_shows_what_there_is_when_it_is_opened(qtbot: QtBot, own_models: Path, kind: type) -> None:
    made = kind()
    qtbot.addWidget(made)
    choice = made.choice if isinstance(made, ModelBar) else made
    put(own_models, "tumour 1.5")
    assert "tumour 1.5" not in offered(choice)
    assert open_list(choice)[-1] == "tumour 1.5"
    choice.setValue("tumour 1.5")
    for path in own_models.glob("tumour*"):
        path.unlink()
    assert open_list(choice)[-1] == "tumour 1.5 (removed)"
    assert choice.value() == "tumour 1.5"
    choice.setCurrentIndex(0)
    assert "tumour 1.5 (removed)" not in open_list(choice)


def test_opened_files_stay_while_they_are_there(qtbot: QtBot, own_models: Path, tmp_path: Path) -> None:
    bar = ModelBar()
    qtbot.addWidget(bar)
    weights = put(tmp_path, "theirs").with_suffix(".safetensors")
    bar.offer_file(str(weights))
    assert (bar.choice.value(), offered(bar.choice)) == (str(weights), ["theirs"])
    put(own_models, "mine")
    assert open_list(bar.choice) == ["mine", "theirs"]
    bar.choice.setValue("mine")
    weights.unlink()
    assert open_list(bar.choice) == ["mine"]


def test_the_grey_button_says_why(qtbot: QtBot) -> None:
    bar = ModelBar()
    qtbot.addWidget(bar)
    assert (bar.save_button.isEnabled(), bar.save_button.toolTip()) == (False, NOTHING_TO_SAVE)
    bar.name.setText("tumour")
    with qtbot.waitSignal(bar.refused) as told, qtbot.assertNotEmitted(bar.saveRequested):
        QTest.keyClick(bar.name, Qt.Key.Key_Return)
    assert told.args == [NOTHING_TO_SAVE]
    bar.allow_save(True)
    assert (bar.save_button.isEnabled(), bar.save_button.toolTip()) == (True, SAVE_HELP)
