"""Text that is cut with an ellipsis where the room is short."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QPaintEvent, QResizeEvent
from qtpy.QtWidgets import QComboBox, QPushButton, QSizePolicy, QStyle, QStyleOptionComboBox, QStylePainter, QWidget

CUT = Qt.TextElideMode.ElideMiddle
"""Names of layers differ at the end as often as at the start."""

LEAST_WIDTH = 60


class ElidedCombo(QComboBox):
    """A combo box whose chosen text is cut in the middle; the list shows it whole."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)

    def shown_text(self) -> str:
        """The text as it fits."""
        return self._fitting(self._option())

    def paintEvent(self, e: QPaintEvent | None) -> None:
        """Draw as Qt does, with the text that fits."""
        option = self._option()
        option.currentText = self._fitting(option)
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def _option(self) -> QStyleOptionComboBox:
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        return option

    def _fitting(self, option: QStyleOptionComboBox) -> str:
        style, text = self.style(), option.currentText or ""
        if style is None:
            return text
        part = QStyle.SubControl.SC_ComboBoxEditField
        room = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, self).width()
        return self.fontMetrics().elidedText(text, CUT, room - 2)


class ElidedButton(QPushButton):
    """A button that says ``verb`` and a name; the name is cut where the room is short.

    Parameters
    ----------
    verb, alone
        What is said before a name, and where there is no name.
    """

    def __init__(self, verb: str, alone: str, parent: QWidget | None = None) -> None:
        super().__init__(alone, parent)
        self._verb, self._alone, self._name = verb, alone, ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def set_name(self, name: str) -> None:
        """Show another name; empty where there is none."""
        self._name = name
        self._fit()

    def resizeEvent(self, a0: QResizeEvent | None) -> None:
        """Cut the name anew."""
        super().resizeEvent(a0)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        """Narrow: the name is no reason for a wide panel."""
        return QSize(LEAST_WIDTH, super().minimumSizeHint().height())

    def _fit(self) -> None:
        text = self._alone
        if self._name:
            metrics = self.fontMetrics()
            room = self.contentsRect().width() - metrics.horizontalAdvance(f"{self._verb} ''") - 16
            text = f"{self._verb} '{metrics.elidedText(self._name, CUT, max(0, room))}'"
        # A single & would become the mark of a shortcut.
        self.setText(text.replace("&", "&&"))
