"""Curves of a run: loss and validation figures against the training step."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QStackedLayout, QWidget

from napari_medseg.core.events import Scalar
from napari_medseg.widgets._style import SMALL_STYLE

COLOURS = ("#e8a33d", "#4fb3d9", "#a6d854", "#e78ac3")
MOST_DOTS = 40
"""With more points a curve is drawn as a plain line."""

HEIGHT = 130
"""Room that is kept free for the curves, so that nothing moves when they come."""

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
        self.setFixedHeight(HEIGHT)

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
    text = parent.palette().color(parent.foregroundRole())
    canvas = pyqtgraph.PlotWidget(parent, background=None)
    canvas.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    canvas.setMouseEnabled(x=False, y=False)
    canvas.setMenuEnabled(False)
    canvas.hideButtons()
    canvas.setLabel("bottom", "training step", color=text)
    canvas.getPlotItem().layout.setContentsMargins(0, 0, 4, 7)
    canvas.setLabel("left", "loss, Dice", color=text)
    for side in ("bottom", "left"):
        canvas.getAxis(side).setPen(text)
        canvas.getAxis(side).setTextPen(text)
        canvas.getAxis(side).enableAutoSIPrefix(False)
    canvas.showGrid(x=False, y=True, alpha=0.15)
    return canvas
