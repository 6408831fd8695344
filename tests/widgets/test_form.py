from __future__ import annotations

import re
from typing import Literal

import pytest
from qtpy.QtCore import QLocale, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QSpinBox

from napari_medseg.core.params import Params, param, specs
from napari_medseg.tools import MODULES, load
from napari_medseg.tools.apply import Params as ApplyParams
from napari_medseg.tools.scribbles.params import Params as TeachParams
from napari_medseg.widgets._form import Choice, Maybe, ParamsForm, Text, Toggle, editor_for, tooltip


class Small(Params):
    count: int = param(3, title="Count", help="How many.", unit="px", ge=1, le=9)
    share: float = param(0.002, title="Share", help="How much.", ge=0, le=1, folded=True)
    colour: Literal["red", "blue"] = param("blue", title="Colour", help="Which.")
    bold: bool = param(True, title="Bold", help="Whether.")
    name: str = param("a", title="Name", help="Who.")
    size: float | None = param(None, title="Size", help="How large.")


@pytest.fixture
def form(qtbot) -> ParamsForm:
    form = ParamsForm(Small)
    qtbot.addWidget(form)
    return form


def test_a_new_form_shows_the_defaults(form: ParamsForm) -> None:
    assert Small(**form.value()) == Small()


def test_what_is_set_is_what_comes_back(form: ParamsForm) -> None:
    values = {"count": 7, "share": 0.25, "colour": "red", "bold": False, "name": "b", "size": 2.5}
    form.setValue(values)
    assert form.value() == values


def test_a_change_is_told_with_all_values(form: ParamsForm, qtbot) -> None:
    with qtbot.waitSignal(form.valueChanged) as told:
        form.editor("count").setValue(5)
    assert told.args[0] == {**Small().model_dump(), "count": 5}


def test_limits_and_units_are_those_of_the_parameter(form: ParamsForm) -> None:
    box = form.editor("count")
    assert isinstance(box, QSpinBox)
    box.setValue(100)
    assert (box.value(), box.text()) == (9, "9 px")
    assert form.editor("share").text() == "0.002"


def test_a_number_is_typed_with_a_point_in_every_country(form: ParamsForm) -> None:
    QLocale.setDefault(QLocale("de_DE"))
    try:
        german = ParamsForm(Small)
        german.editor("share").setValue(0.25)
        german.editor("share").interpretText()
        assert german.value()["share"] == 0.25
    finally:
        QLocale.setDefault(QLocale.c())


def test_folded_parameters_are_hidden_until_more_is_opened(form: ParamsForm) -> None:
    form.show()
    assert not form.editor("share").isVisible() or form.more.content().maximumHeight() == 0
    form.more.expand(animate=False)
    QApplication.processEvents()
    assert form.editor("share").isVisible()
    assert form.more.content().maximumHeight() > 0


def test_every_control_says_what_it_is_in_which_unit(form: ParamsForm) -> None:
    for spec in specs(Small):
        assert spec.help in form.editor(spec.name).toolTip()
    assert "Unit: px." in form.editor("count").toolTip()
    assert "From 1 to 9." in tooltip(specs(Small)[0])


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("seconds", "Unit: s. From 1 to 86,400."),
        ("seed", "From 0 to 2,147,483,647."),
        ("rate", "From 0.000001 to 1."),
        ("steps", "From 0 to 1,000,000."),
    ],
)
def test_limits_are_written_out(name: str, limits: str) -> None:
    spec = next(spec for spec in specs(TeachParams) if spec.name == name)
    assert limits in tooltip(spec)


@pytest.mark.parametrize("tool", MODULES)
def test_a_control_offers_what_the_command_line_takes(qtbot, tool: str) -> None:
    """Both have their limits from ``Params``; none may be beyond what a control holds."""
    for spec in specs(load(tool).Params):
        if spec.kind not in (int, float):
            continue
        editor = editor_for(spec)
        qtbot.addWidget(editor)
        assert (editor.minimum(), editor.maximum()) == (spec.low, spec.high), spec.name


def test_no_tooltip_of_a_tool_has_an_exponent() -> None:
    for spec in (*specs(TeachParams), *specs(ApplyParams)):
        assert not re.search(r"\de[+-]?\d", tooltip(spec)), spec.name


def test_one_limit_is_said_and_help_is_shown_as_it_is_written() -> None:
    class Half(Params):
        count: int = param(1, title="Count", help="More than a <b> & c.", ge=1)

    assert tooltip(specs(Half)[0]) == "<qt>More than a &lt;b&gt; &amp; c. At least 1.</qt>"


def test_a_small_number_is_shown_without_an_exponent(qtbot) -> None:
    form = ParamsForm(TeachParams, exclude=("classes", "colours"))
    qtbot.addWidget(form)
    form.setValue({"rate": 2e-6})
    assert form.editor("rate").text() == "0.000002"
    form.editor("rate").interpretText()
    assert form.value()["rate"] == pytest.approx(2e-6)


def test_parameters_can_be_left_out_or_given_another_editor(qtbot) -> None:
    choice = Choice({"scratch": "from scratch", "mine": "my model"})
    form = ParamsForm(TeachParams, exclude=("classes", "colours"), editors={"start": choice})
    qtbot.addWidget(form)
    choice.setValue("mine")
    assert form.editor("start") is choice
    assert TeachParams(**form.value()).start == "mine"
    assert "classes" not in form.value()


def test_the_wheel_passes_over_a_control_without_focus(form: ParamsForm) -> None:
    form.show()
    box = form.editor("count")
    no = Qt.KeyboardModifier.NoModifier
    wheel = QWheelEvent(
        QPointF(5, 5), QPointF(5, 5), QPoint(0, 120), QPoint(0, 120), Qt.MouseButton.NoButton, no,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(box, wheel)
    assert box.value() == 3


def test_a_parameter_without_a_usual_control_is_refused() -> None:
    classes = next(spec for spec in specs(TeachParams) if spec.name == "classes")
    with pytest.raises(TypeError, match="classes"):
        editor_for(classes)


def test_a_choice_refuses_what_it_does_not_offer(qtbot) -> None:
    choice = Choice(["a", "b"])
    qtbot.addWidget(choice)
    with pytest.raises(ValueError, match="'c'"):
        choice.setValue("c")
    choice.setValue("b")
    choice.set_choices(["b", "c"])
    assert choice.value() == "b"


@pytest.mark.parametrize(("make", "value"), [(Toggle, True), (Text, "word"), (lambda: Maybe(Text()), "word")])
def test_editors_are_value_editors(qtbot, make, value) -> None:
    editor = make()
    qtbot.addWidget(editor)
    with qtbot.waitSignal(editor.valueChanged):
        editor.setValue(value)
    assert editor.value() == value


def test_an_optional_value_goes_back_to_none(qtbot) -> None:
    editor = Maybe(Text())
    qtbot.addWidget(editor)
    editor.setValue("word")
    editor.setValue(None)
    assert editor.value() is None


def test_the_form_fits_into_a_narrow_dock(qtbot) -> None:
    form = ParamsForm(TeachParams, exclude=("classes", "colours"))
    qtbot.addWidget(form)
    form.more.expand(animate=False)
    assert form.minimumSizeHint().width() <= 290
