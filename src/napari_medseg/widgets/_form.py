"""A form made from a tool's ``Params``: one editor for each parameter, as superqt's value editors work."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from html import escape
from typing import Any, Protocol, cast

from qtpy.QtCore import QEvent, QLocale, QObject, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_medseg.core.params import LARGEST_WHOLE, Params, ParamSpec, limits_text, number_text, specs
from napari_medseg.widgets._elided import ElidedCombo

LARGEST_FLOAT = 1e12
LABEL_WIDTH = 96


class Editor(Protocol):
    """A control that holds one value."""

    valueChanged: Any

    def value(self) -> Any:
        """The value as it stands."""
        ...

    def setValue(self, value: Any) -> None:
        """Show ``value``."""
        ...


class Choice(ElidedCombo):
    """A combo box over plain values, each shown by a text.

    ``opening`` comes before the list is shown, in time to offer other choices.
    """

    valueChanged = Signal(object)
    opening = Signal()

    def __init__(self, choices: Mapping[Any, str] | Collection[Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumContentsLength(8)
        self.set_choices(choices)
        self.currentIndexChanged.connect(lambda _index: self.valueChanged.emit(self.value()))

    def set_choices(self, choices: Mapping[Any, str] | Collection[Any]) -> None:
        """Replace the choices; the current one stays where it is still offered."""
        texts = choices if isinstance(choices, Mapping) else {choice: str(choice) for choice in choices}
        before = self.value()
        with QSignalBlocker(self):
            self.clear()
            for value, text in texts.items():
                self.addItem(text, value)
            self.setCurrentIndex(max(0, self.findData(before)))

    def showPopup(self) -> None:
        """Show the list."""
        self.opening.emit()
        super().showPopup()

    def value(self) -> Any:
        """The chosen value."""
        return self.currentData()

    def setValue(self, value: Any) -> None:
        """Choose ``value``; a value that is not offered is refused."""
        index = self.findData(value)
        if index < 0:
            raise ValueError(f"{value!r} is not one of the choices.")
        self.setCurrentIndex(index)


class Toggle(QCheckBox):
    """A check box over a bool."""

    valueChanged = Signal(bool)

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.toggled.connect(self.valueChanged)

    def value(self) -> bool:
        """Whether the box is ticked."""
        return self.isChecked()

    def setValue(self, value: bool) -> None:
        """Tick or clear the box."""
        self.setChecked(value)


class Text(QLineEdit):
    """A line of text."""

    valueChanged = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.textChanged.connect(self.valueChanged)

    def value(self) -> str:
        """The text."""
        return self.text()

    def setValue(self, value: str) -> None:
        """Show ``value``."""
        self.setText(value)


class Whole(QSpinBox):
    """A whole number."""


class Real(QDoubleSpinBox):
    """A real number, shown with a point and without trailing zeros."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDecimals(8)
        self.setLocale(QLocale.c())

    def textFromValue(self, value: float) -> str:  # type: ignore[override]
        """Show 0.002, not 0.00200000."""
        return number_text(value, grouped=False)


class Maybe(QWidget):
    """An editor that may also hold None, by a check box in front of it."""

    valueChanged = Signal(object)

    def __init__(self, inner: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._given = QCheckBox(self)
        self._inner = inner
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addRow(self._given, inner)
        self._given.toggled.connect(self._changed)
        cast(Editor, inner).valueChanged.connect(self._changed)
        inner.setEnabled(False)

    def value(self) -> Any:
        """The inner value, or None where the box is clear."""
        return cast(Editor, self._inner).value() if self._given.isChecked() else None

    def setValue(self, value: Any) -> None:
        """Show ``value``; None clears the box."""
        if value is not None:
            cast(Editor, self._inner).setValue(value)
        self._given.setChecked(value is not None)

    def _changed(self, *_args: Any) -> None:
        self._inner.setEnabled(self._given.isChecked())
        self.valueChanged.emit(self.value())


class _WheelGuard(QObject):
    """Keeps the wheel from changing a control that the user only scrolls past."""

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:  # noqa: N802
        """Pass the wheel on to the scroll area unless the control has the focus."""
        unfocused = isinstance(a0, QWidget) and not a0.hasFocus()
        if a1 is not None and a1.type() == QEvent.Type.Wheel and unfocused:
            a1.ignore()
            return True
        return super().eventFilter(a0, a1)


class ParamsForm(QWidget):
    """Edits the values of a ``Params`` class.

    Parameters
    ----------
    params
        The class; order, limits, units and help come from it.
    exclude
        Names that have no control here.
    editors
        Controls that stand in for the usual one, by name.
    """

    valueChanged = Signal(dict)

    def __init__(
        self,
        params: type[Params],
        *,
        exclude: Collection[str] = (),
        editors: Mapping[str, QWidget] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.params = params
        self._guard = _WheelGuard(self)
        self._editors: dict[str, QWidget] = {}
        self._more = _fold(self)
        self._open, self._folded = _rows(), _rows()
        self._build([spec for spec in specs(params) if spec.name not in exclude], editors or {})

    def value(self) -> dict[str, Any]:
        """The values by name, as ``Params.from_user`` takes them."""
        return {name: cast(Editor, editor).value() for name, editor in self._editors.items()}

    def setValue(self, value: Mapping[str, Any]) -> None:
        """Show the values given; parameters that are not named stay as they are."""
        for name, item in value.items():
            cast(Editor, self._editors[name]).setValue(item)

    def editor(self, name: str) -> QWidget:
        """The control of one parameter."""
        return self._editors[name]

    @property
    def more(self) -> QCollapsible:
        """The folded part."""
        return self._more

    def _build(self, rows: list[ParamSpec], editors: Mapping[str, QWidget]) -> None:
        for spec in rows:
            editor = editors.get(spec.name) or editor_for(spec)
            self._add(spec, editor)
        inside = QWidget()
        inside.setLayout(self._folded)
        self._more.addWidget(inside)
        self._more.setVisible(any(spec.folded for spec in rows))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._open)
        layout.addWidget(self._more)

    def _add(self, spec: ParamSpec, editor: QWidget) -> None:
        self._editors[spec.name] = editor
        editor.setToolTip(tooltip(spec))
        editor.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        editor.installEventFilter(self._guard)
        cast(Editor, editor).valueChanged.connect(lambda *_: self.valueChanged.emit(self.value()))
        layout = self._folded if spec.folded else self._open
        if isinstance(editor, Toggle):
            editor.setText(spec.title)
            layout.addRow(editor)
        else:
            label = row_label(spec.title)
            label.setToolTip(editor.toolTip())
            layout.addRow(label, editor)


def tooltip(spec: ParamSpec) -> str:
    """Help, unit and limits of a parameter, wrapped by Qt as rich text."""
    parts = [spec.help]
    if spec.unit:
        parts.append(f"Unit: {spec.unit}.")
    if limits := limits_text(spec.low, spec.high):
        parts.append(f"{limits[0].upper()}{limits[1:]}.")
    return f"<qt>{escape(' '.join(parts), quote=False)}</qt>"


def editor_for(spec: ParamSpec) -> QWidget:
    """The usual control for a parameter, showing its default."""
    editor = _plain_editor(spec)
    editor = Maybe(editor) if spec.optional else editor
    cast(Editor, editor).setValue(spec.default)
    return editor


def _plain_editor(spec: ParamSpec) -> QWidget:
    if spec.choices:
        return Choice(spec.choices)
    if spec.kind is bool:
        return Toggle()
    if spec.kind is str:
        return Text()
    if spec.kind is int:
        whole = Whole()
        whole.setRange(int(_limit(spec.low, -LARGEST_WHOLE)), int(_limit(spec.high, LARGEST_WHOLE)))
        return _number(whole, spec)
    if spec.kind is float:
        real = Real()
        real.setRange(_limit(spec.low, -LARGEST_FLOAT), _limit(spec.high, LARGEST_FLOAT))
        return _number(real, spec)
    raise TypeError(f"There is no usual control for {spec.name} ({spec.kind.__name__}); exclude it or give an editor.")


def _number(box: QSpinBox | QDoubleSpinBox, spec: ParamSpec) -> QWidget:
    box.setSuffix(f" {spec.unit}" if spec.unit else "")
    box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
    box.setKeyboardTracking(False)
    box.setMinimumWidth(60)
    return box


def _limit(given: float | None, otherwise: float) -> float:
    return otherwise if given is None else given


def row_label(text: str) -> QLabel:
    """The label of a row; all are equally wide, so that the controls stand in one line."""
    label = QLabel(text)
    label.setMinimumWidth(LABEL_WIDTH)
    return label


def _fold(parent: QWidget) -> QCollapsible:
    fold = QCollapsible("More parameters ▸", parent, expandedIcon=QIcon(), collapsedIcon=QIcon())
    fold.toggleButton().setStyleSheet("text-align: left; border: none; background: transparent")
    fold.toggleButton().setToolTip("Parameters that seldom need a change.")
    fold.toggled.connect(lambda opened: fold.setText("Fewer parameters ▾" if opened else "More parameters ▸"))
    fold.setDuration(0)
    for column in (fold.layout(), fold.content().layout()):
        if column is not None:
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(0)
    return fold


def _rows() -> QFormLayout:
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    return layout
