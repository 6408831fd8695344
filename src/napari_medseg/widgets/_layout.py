"""The parts that all panels are laid out with."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from napari_medseg.widgets._style import HEADING_STYLE, LINE_STYLE


def heading(text: str) -> QLabel:
    """The title of a part of a panel."""
    label = QLabel(text)
    label.setStyleSheet(HEADING_STYLE)
    return label


def line_across() -> QFrame:
    """A thin line between two parts."""
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFixedHeight(1)
    line.setStyleSheet(LINE_STYLE)
    return line


def column(widget: QWidget) -> QVBoxLayout:
    """Give a widget a layout from top to bottom."""
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(6, 4, 6, 4)
    layout.setSpacing(6)
    return layout


def beside(first: QWidget, second: QWidget) -> QHBoxLayout:
    """Two widgets in a row; the first takes the room."""
    row = QHBoxLayout()
    row.setSpacing(4)
    row.addWidget(first, 1)
    row.addWidget(second)
    return row


def stacked(*widgets: QWidget) -> QWidget:
    """Widgets one below the other, as one."""
    outside = QWidget()
    layout = QVBoxLayout(outside)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        layout.addWidget(widget)
    return outside


def scrolling(inside: QWidget) -> QScrollArea:
    """A widget that is scrolled up and down where it is too high."""
    scroll = QScrollArea()
    scroll.setWidget(inside)
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QScrollArea.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return scroll


def wrapped(style: str = "") -> QLabel:
    """Text of several lines, hidden at first, that is no reason for a wide panel."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setStyleSheet(style)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    label.hide()
    return label
