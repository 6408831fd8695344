"""Curves of a run: loss and validation figures against the training step."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QStackedLayout, QWidget

from napari_medseg.core.events import Scalar
from napari_medseg.widgets._style import SMALL_STYLE

COLOURS = ("#e8a33d", "#4fb3d9", "#a6d854", "#e78ac3")
AXES = {"bottom": "training step", "left": "loss, Dice"}
MOST_DOTS = 40
"""With more points a curve is drawn as a plain line."""

LEAST_HEIGHT = 50
LABELLED_HEIGHT = 130
"""From this height on there is room to say what the axes are."""

NO_CURVES = "The curves of the training come here."
NO_PLOTS = "For curves: pip install napari-medseg[plots]"


class CurvePlot(QWidget):
    """One curve for each name of ``Scalar``; pyqtgraph is imported with the first point."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.points: dict[str, tuple[list[int], list[float]]] = {}
        self._curves: dict[str, Any] = {}
        self._canvas: Any = None
        self._missing: QLabel | None = None
        self._empty = _centred(NO_CURVES)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(self._empty)
        self.setMinimumHeight(LEAST_HEIGHT)

    def clear(self) -> None:
        """Forget all points; the next run starts with an empty plot."""
        self.points.clear()
        self._curves.clear()
        if self._canvas is not None:
            self._canvas.clear()
        self._pages.setCurrentWidget(self._empty)

    def add(self, scalar: Scalar) -> None:
        """Draw one more point."""
        steps, values = self.points.setdefault(scalar.name, ([], []))
        steps.append(scalar.step)
        values.append(scalar.value)
        self._prepare()
        self._pages.setCurrentWidget(self._canvas or self._missing)
        if self._canvas is not None:
            self._curve(scalar.name).setData(steps, values, symbol="o" if len(steps) <= MOST_DOTS else None)
        elif self._missing is not None:
            self._missing.setText(f"{self._latest()}\n{NO_PLOTS}")

    def resizeEvent(self, a0: QResizeEvent | None) -> None:
        """Where there is little room, the curves get it."""
        super().resizeEvent(a0)
        self._label_axes()

    def changeEvent(self, a0: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(a0)
        if a0 is not None and a0.type() == QEvent.Type.StyleChange:
            self._colour_axes()

    def _label_axes(self) -> None:
        if self._canvas is not None:
            for side in AXES:
                self._canvas.getAxis(side).showLabel(self.height() >= LABELLED_HEIGHT)
            self._canvas.getAxis("left").setTickDensity(min(1.0, self.height() / LABELLED_HEIGHT))

    def _colour_axes(self) -> None:
        if self._canvas is not None:
            # What lies behind the curves is kept as it was drawn last.
            self._canvas.resetCachedContent()
            colour = self.palette().color(self.foregroundRole())
            for side, label in AXES.items():
                self._canvas.setLabel(side, label, color=colour)
                self._canvas.getAxis(side).setPen(colour)
                self._canvas.getAxis(side).setTextPen(colour)
            self._label_axes()

    def _latest(self) -> str:
        return ", ".join(f"{name} {values[-1]:.3f}" for name, (_steps, values) in self.points.items())

    def _curve(self, name: str) -> Any:
        if name not in self._curves:
            colour = COLOURS[len(self._curves) % len(COLOURS)]
            pen = {"color": colour, "width": 2}
            self._curves[name] = self._canvas.plot(
                [], [], name=name, pen=pen, symbol="o", symbolSize=4, symbolBrush=colour, symbolPen=None
            )
            self._canvas.setTitle(_legend(list(self._curves)), size="9pt")
        return self._curves[name]

    def _prepare(self) -> None:
        if self._canvas is not None or self._missing is not None:
            return
        try:
            import pyqtgraph
        except ImportError:
            self._missing = _centred("")
            self._pages.addWidget(self._missing)
            return
        self._canvas = _canvas(pyqtgraph, self)
        self._colour_axes()
        self._pages.addWidget(self._canvas)


def _centred(text: str) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setWordWrap(True)
    label.setStyleSheet(SMALL_STYLE)
    return label


def _legend(names: list[str]) -> str:
    """The names in the colours of their curves; above the plot, where it hides no point."""
    colours = (COLOURS[index % len(COLOURS)] for index in range(len(names)))
    return " &nbsp; ".join(f"<span style='color: {c}'>● {n}</span>" for n, c in zip(names, colours, strict=True))


def _canvas(pyqtgraph: Any, parent: QWidget) -> Any:
    canvas = pyqtgraph.PlotWidget(parent, background=None)
    canvas.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    canvas.setMouseEnabled(x=False, y=False)
    canvas.setMenuEnabled(False)
    canvas.hideButtons()
    canvas.setMinimumHeight(0)
    canvas.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
    canvas.getPlotItem().layout.setContentsMargins(0, 0, 4, 7)
    for side in AXES:
        canvas.getAxis(side).enableAutoSIPrefix(False)
    canvas.showGrid(x=False, y=True, alpha=0.15)
    return canvas
