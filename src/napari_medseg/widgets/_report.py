"""What a run has to say and, in the room below, a picture of how it goes."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

MOST_LINES = 5
"""Of a message that are in sight; longer ones are scrolled."""

LEAST_HEIGHT, MOST_HEIGHT = 104, 300
"""Of a report with a picture, in pixels."""

FORM_HEIGHT = 412
"""A report with a picture takes half of what its panel is higher than this."""


class Report(QWidget):
    """Lines of text, each there while it has something to say, over a picture that takes the room they leave.

    What the lines say never changes its height, so that nothing that stands above it moves.

    Parameters
    ----------
    lines
        The lines from top to bottom.
    picture
        None: there is only text.
    """

    def __init__(self, lines: list[QLabel], picture: QWidget | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.messages = Messages(lines, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.messages)
        if picture is None:
            layout.addStretch(1)
        else:
            layout.addWidget(picture, 1)
        self._has_picture = picture is not None
        self.fit_into(0)

    def fit_into(self, panel_height: int) -> None:
        """Take a share of the height of the panel."""
        share = min(max(LEAST_HEIGHT, (panel_height - FORM_HEIGHT) // 2), MOST_HEIGHT)
        self.setFixedHeight(share if self._has_picture else self.messages.most_height())


class Messages(QScrollArea):
    """Lines of text, as high as they need, up to ``MOST_LINES`` lines."""

    def __init__(self, lines: list[QLabel], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        inside = QWidget()
        self._rows = QVBoxLayout(inside)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(2)
        for line in lines:
            self._rows.addWidget(line)
            line.hide()
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._fit()

    def most_height(self) -> int:
        """Height of ``MOST_LINES`` lines."""
        return MOST_LINES * self.fontMetrics().lineSpacing() + 4

    def minimumSizeHint(self) -> QSize:
        """Narrow: text is no reason for a wide panel."""
        return QSize(0, 0)

    def show_text(self, line: QLabel, text: str) -> None:
        """Show one line, or hide it where there is nothing to say; its beginning is in sight."""
        line.setText(text)
        line.setVisible(bool(text))
        self._fit()
        bar = self.verticalScrollBar()
        if bar is not None:
            bar.setValue(0)

    def resizeEvent(self, a0: QResizeEvent | None) -> None:
        """Wrap the lines anew."""
        super().resizeEvent(a0)
        self._fit()

    def _fit(self) -> None:
        self._rows.invalidate()
        needed = self._rows.heightForWidth(self.width()) if self._rows.hasHeightForWidth() else 0
        rim = self.contentsMargins()
        self.setFixedHeight(min(needed + rim.top() + rim.bottom(), self.most_height()) if needed > 0 else 0)
