from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_medseg.core.events import Tile
from napari_medseg.widgets._classes import DEFAULTS, colour_map
from napari_medseg.widgets._layers import RESULT_KEY, image_of
from napari_medseg.widgets._results import ENTROPY, PREDICTION, WHOLE, ResultLayers


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def results(viewer: ViewerModel, qtbot) -> ResultLayers:
    results = ResultLayers(viewer)
    results.set_colours(colour_map(DEFAULTS))
    source = viewer.add_image(np.zeros((40, 50)), name="tissue")
    viewer.add_labels(np.zeros((40, 50), np.uint8), name="paint")
    results.begin(image_of(source), source, {"tool": "tiny"})
    return results


def draw(results: ResultLayers, role: str, value: float, offset=(0, 0), shape=(10, 10)) -> None:
    results.add(Tile(role, offset, np.full(shape, value, np.uint8 if role == PREDICTION else np.float32)))
    results.flush()


def test_nothing_is_made_before_the_first_tile(results: ResultLayers, viewer: ViewerModel) -> None:
    results.flush()
    assert [layer.name for layer in viewer.layers] == ["tissue", "paint"]


def test_tiles_are_drawn_where_they_belong(results: ResultLayers) -> None:
    draw(results, PREDICTION, 2, (30, 45), (10, 5))
    data = results.layer(PREDICTION).data
    assert (data[30:, 45:] == 2).all()
    assert np.count_nonzero(data) == 50


def test_what_is_not_computed_is_not_there(results: ResultLayers) -> None:
    draw(results, ENTROPY, 0.5, (0, 0), (10, 10))
    data = results.layer(ENTROPY).data
    assert np.isnan(data[10:]).all()
    assert (data[:10, :10] == 0.5).all()


def test_results_stand_between_image_and_paint(results: ResultLayers, viewer: ViewerModel) -> None:
    draw(results, PREDICTION, 1)
    draw(results, ENTROPY, 1)
    assert [layer.name for layer in viewer.layers] == ["tissue", "tissue prediction", "tissue entropy", "paint"]
    assert viewer.layers.selection.active.name == "paint"
    assert viewer.layers.selection == {viewer.layers["paint"]}


def test_a_renamed_image_keeps_its_results(results: ResultLayers, viewer: ViewerModel) -> None:
    draw(results, PREDICTION, 1)
    viewer.layers["tissue"].name = "section"
    draw(results, PREDICTION, 2)
    assert len(viewer.layers) == 3


def test_a_removed_result_is_made_again(results: ResultLayers, viewer: ViewerModel) -> None:
    draw(results, PREDICTION, 1)
    viewer.layers.remove("tissue prediction")
    draw(results, PREDICTION, 2, (10, 10))
    assert np.count_nonzero(results.layer(PREDICTION).data) == 100


def test_another_image_has_results_of_its_own(results: ResultLayers, viewer: ViewerModel) -> None:
    draw(results, PREDICTION, 1)
    other = viewer.add_image(np.zeros((40, 50)), name="other")
    results.begin(image_of(other), other, {"tool": "tiny"})
    draw(results, PREDICTION, 2)
    assert viewer.layers["tissue prediction"].data.max() == 1
    assert viewer.layers["other prediction"].data.max() == 2


def test_metadata_tells_the_origin(results: ResultLayers) -> None:
    draw(results, PREDICTION, 1)
    results.describe({"digest": "abc"})
    about = results.layer(PREDICTION).metadata[RESULT_KEY]
    assert about["tool"] == "tiny"
    assert about["role"] == PREDICTION
    assert about["image"] == "tissue"
    assert about["digest"] == "abc"


@pytest.fixture
def mouse(qtbot) -> QWidget:
    """A window on which the mouse button can be held down."""
    window = QWidget()
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    return window


def test_a_run_that_ends_while_a_button_is_down_is_whole_when_it_is_drawn(
    results: ResultLayers, mouse: QWidget, qtbot
) -> None:
    completed: list[int] = []
    results.completed.connect(lambda: completed.append(np.count_nonzero(results.layer(PREDICTION).data == 2)))
    draw(results, PREDICTION, 1)
    QTest.mousePress(mouse, Qt.MouseButton.LeftButton)
    draw(results, PREDICTION, 2, (10, 10))
    results.describe({"digest": "abc"})
    layer = results.layer(PREDICTION)
    assert not layer.data[10:20, 10:20].any() and WHOLE not in layer.metadata[RESULT_KEY]
    QTest.mouseRelease(mouse, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(completed))
    assert completed == [100]
    assert layer.metadata[RESULT_KEY][WHOLE] and layer.metadata[RESULT_KEY]["digest"] == "abc"


@pytest.mark.parametrize("drop", ["begin", "remove"])
def test_a_run_whose_tiles_were_dropped_never_becomes_whole(results, viewer, mouse, qtbot, drop: str) -> None:
    completed: list[None] = []
    results.completed.connect(lambda: completed.append(None))
    source = viewer.layers["tissue"]
    draw(results, PREDICTION, 1)
    QTest.mousePress(mouse, Qt.MouseButton.LeftButton)
    draw(results, PREDICTION, 2, (10, 10))
    results.describe({"digest": "abc"})
    if drop == "begin":
        results.begin(image_of(source), source, {"tool": "next"})
    else:
        results.remove(source)
    QTest.mouseRelease(mouse, Qt.MouseButton.LeftButton)
    draw(results, PREDICTION, 3, (20, 20))
    assert completed == [] and WHOLE not in results.layer(PREDICTION).metadata[RESULT_KEY]
    assert not (results.layer(PREDICTION).data == 2).any()


def test_many_tiles_cost_few_refreshes(results: ResultLayers, qtbot) -> None:
    draw(results, PREDICTION, 1)
    refreshes: list = []
    results.layer(PREDICTION).events.set_data.connect(lambda _event: refreshes.append(1))
    for row in range(40):
        results.add(Tile(PREDICTION, (row, 0), np.full((1, 50), 2, np.uint8)))
        qtbot.wait(5)
    qtbot.waitUntil(lambda: bool((results.layer(PREDICTION).data == 2).all()), timeout=2000)
    assert 1 <= len(refreshes) <= 8
