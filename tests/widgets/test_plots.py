from __future__ import annotations

import sys

import pytest
from qtpy.QtWidgets import QLabel

from napari_medseg.core.events import Scalar
from napari_medseg.widgets._plots import NO_PLOTS, CurvePlot


@pytest.fixture
def plot(qtbot) -> CurvePlot:
    plot = CurvePlot()
    qtbot.addWidget(plot)
    return plot


def curves(plot: CurvePlot) -> dict[str, tuple]:
    items = plot._canvas.listDataItems()
    return {item.name(): tuple(map(list, item.getData())) for item in items}


def test_it_is_hidden_until_there_is_a_point(plot: CurvePlot) -> None:
    assert plot.isHidden()
    plot.add(Scalar("loss", 0, 1.0))
    assert not plot.isHidden()


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
    assert plot.findChild(QLabel).text() == f"loss 0.500, validation dice 0.750\n{NO_PLOTS}"
