from __future__ import annotations

import pytest
from qtpy.QtWidgets import QApplication

from napari_medseg.widgets._elided import ElidedButton, ElidedCombo

LONG = "a slide of the ninth patient, left lobe, second stain"


@pytest.fixture
def button(qtbot) -> ElidedButton:
    button = ElidedButton("Apply to", "Apply to an image")
    qtbot.addWidget(button)
    button.show()
    return button


def test_a_long_name_is_cut_in_the_middle_and_grows_with_the_room(button: ElidedButton) -> None:
    button.set_name(LONG)
    button.resize(200, 24)
    QApplication.processEvents()
    narrow = button.text()
    assert narrow.startswith("Apply to 'a") and narrow.endswith("n'") and "…" in narrow
    assert button.fontMetrics().horizontalAdvance(narrow) <= 200
    button.resize(900, 24)
    QApplication.processEvents()
    assert button.text() == f"Apply to '{LONG}'"


def test_a_name_makes_no_button_wide(button: ElidedButton) -> None:
    button.set_name(LONG)
    assert button.minimumSizeHint().width() < 100


def test_an_ampersand_is_no_shortcut(button: ElidedButton) -> None:
    button.resize(400, 24)
    button.set_name("H&E")
    assert button.text() == "Apply to 'H&&E'"
    assert button.shortcut().isEmpty()


def test_without_a_name(button: ElidedButton) -> None:
    button.set_name("x")
    button.set_name("")
    assert button.text() == "Apply to an image"


def test_the_text_of_a_combo_is_cut_and_its_value_is_not(qtbot) -> None:
    combo = ElidedCombo()
    qtbot.addWidget(combo)
    combo.addItems(["short", LONG])
    combo.setCurrentIndex(1)
    combo.resize(150, 24)
    combo.show()
    assert "…" in combo.shown_text()
    assert combo.shown_text()[:2] == LONG[:2] and combo.shown_text()[-2:] == LONG[-2:]
    assert combo.currentText() == LONG
    combo.setCurrentIndex(0)
    assert combo.shown_text() == "short"
