from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QPushButton

from napari_medseg.widgets._classes import (
    CLASSES_KEY,
    DEFAULTS,
    ClassEditor,
    SegmentationClass,
    colour_map,
    from_metadata,
    to_metadata,
)

THREE = (
    SegmentationClass(1, "tumour", "#ff0000"),
    SegmentationClass(2, "stroma", "#00ff00"),
    SegmentationClass(5, "fat", "#0000ff"),
)


@pytest.fixture
def editor(qtbot) -> ClassEditor:
    editor = ClassEditor()
    qtbot.addWidget(editor)
    editor.show()
    return editor


def visible(editor: ClassEditor, kind: type) -> list:
    QApplication.processEvents()
    return [child for child in editor.findChildren(kind) if child.isVisible()]


def test_it_starts_with_two_classes(editor: ClassEditor) -> None:
    assert editor.value() == DEFAULTS
    assert editor.selected_label() == 1


def test_it_is_a_value_editor(editor: ClassEditor, qtbot) -> None:
    with qtbot.waitSignal(editor.valueChanged) as told:
        editor.setValue(THREE)
    assert told.args == [THREE]
    assert [edit.text() for edit in visible(editor, QLineEdit)] == ["tumour", "stroma", "fat"]


def test_a_name_is_edited_in_its_row(editor: ClassEditor) -> None:
    edit = visible(editor, QLineEdit)[1]
    edit.selectAll()
    QTest.keyClicks(edit, "gland")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert [row.name for row in editor.value()] == ["class 1", "gland"]


def test_an_empty_name_is_refused(editor: ClassEditor) -> None:
    editor.rename(1, "  ")
    assert editor.value() == DEFAULTS


def test_classes_are_added_with_the_next_free_label_and_removed(editor: ClassEditor) -> None:
    editor.setValue(THREE)
    editor.add_button.click()
    assert editor.labels() == (1, 2, 3, 5)
    editor.remove(2)
    editor.add()
    assert editor.labels() == (1, 2, 3, 5)
    assert len({row.colour for row in editor.value()}) == 4


def test_a_click_on_the_number_selects(editor: ClassEditor, qtbot) -> None:
    button = next(button for button in visible(editor, QPushButton) if button.text() == "2")
    with qtbot.waitSignal(editor.selected) as told:
        button.click()
    assert told.args == [2]
    assert editor.selected_label() == 2


def test_the_selection_survives_a_change_and_moves_when_its_class_goes(editor: ClassEditor) -> None:
    editor.setValue(THREE)
    editor.select(5)
    editor.recolour(1, "#123456")
    assert editor.selected_label() == 5
    editor.remove(5)
    assert editor.selected_label() == 1


def test_metadata_gives_the_classes_back() -> None:
    assert from_metadata({CLASSES_KEY: to_metadata(THREE)}) == THREE


@pytest.mark.parametrize("metadata", [{}, {CLASSES_KEY: None}, {CLASSES_KEY: {}}])
def test_a_layer_without_classes_has_the_defaults(metadata) -> None:
    assert from_metadata(metadata) == DEFAULTS


def test_colours_of_labels_that_are_no_class_are_grey() -> None:
    colours = colour_map(THREE).color_dict
    assert tuple(colours[1]) == (1, 0, 0, 1)
    assert tuple(colours[0]) == (0, 0, 0, 0)
    assert len(set(colours[None][:3])) == 1
