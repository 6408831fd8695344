from __future__ import annotations

import sys

import pytest
from qtpy.QtWidgets import QApplication

from napari_medseg.core.events import Scalar
from napari_medseg.widgets._plots import NO_CURVES, NO_PLOTS, CurvePlot


@pytest.fixture
def plot(qtbot) -> CurvePlot:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    return plot


def curves(plot: CurvePlot) -> dict[str, tuple]:
    items = plot._canvas.listDataItems()
    return {item.name(): tuple(map(list, item.getData())) for item in items}


def test_its_room_is_the_same_with_and_without_curves(plot: CurvePlot) -> None:
    plot.show()
    size, shown = plot.size(), plot._pages.currentWidget()
    assert shown.text() == NO_CURVES
    plot.add(Scalar("loss", 0, 1.0))
    QApplication.processEvents()
    assert plot.size() == size
    assert plot._canvas.isVisible() and not shown.isVisible()
    plot.clear()
    QApplication.processEvents()
    assert plot.size() == size
    assert shown.isVisible() and not plot._canvas.isVisible()


def test_each_name_is_a_curve(plot: CurvePlot) -> None:
    for step in range(3):
        plot.add(Scalar("loss", step, 1 - step / 4))
        plot.add(Scalar("validation dice", step, step / 2))
    assert curves(plot) == {"loss": ([0, 1, 2], [1, 0.75, 0.5]), "validation dice": ([0, 1, 2], [0, 0.5, 1])}
    assert plot._canvas.getAxis("bottom").labelText == "training step"


def test_clear_starts_anew(plot: CurvePlot) -> None:
    plot.add(Scalar("loss", 0, 1.0))
    plot.clear()
    plot.add(Scalar("loss", 5, 2.0))
    assert curves(plot) == {"loss": ([5], [2])}


def test_without_pyqtgraph_the_figures_are_text(plot: CurvePlot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyqtgraph", None)
    plot.add(Scalar("loss", 0, 0.5))
    plot.add(Scalar("validation dice", 0, 0.75))
    assert plot._pages.currentWidget().text() == f"loss 0.500, validation dice 0.750\n{NO_PLOTS}"


def test_the_axes_follow_the_theme(plot: CurvePlot) -> None:
    plot.show()
    plot.setStyleSheet("QWidget { color: #112233 }")
    plot.add(Scalar("loss", 0, 1.0))
    for colour in ("#112233", "#eeddcc"):
        plot.setStyleSheet(f"QWidget {{ color: {colour} }}")
        QApplication.processEvents()
        assert plot._canvas.getAxis("left").textPen().color().name() == colour


def test_a_low_plot_leaves_the_room_to_the_curves(plot: CurvePlot) -> None:
    plot.resize(300, 200)
    plot.show()
    plot.add(Scalar("loss", 0, 1.0))
    axis = plot._canvas.getAxis("bottom")
    assert axis.label.isVisible()
    plot.resize(300, 80)
    QApplication.processEvents()
    assert not axis.label.isVisible()
