"""The Teach panel in a real viewer, driven as a user drives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import psutil
import pytest
import zarr
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget

from napari_medseg.core.events import Result
from napari_medseg.nn.store import Card
from napari_medseg.widgets._classes import CLASSES_KEY
from napari_medseg.widgets._compat import camera_of
from napari_medseg.widgets._layers import RESULT_KEY, image_of, layer_arguments
from napari_medseg.widgets._results import ENTROPY, PREDICTION
from napari_medseg.widgets._service import service_of
from napari_medseg.widgets.scribbles import TeachWidget

LONG_MS = 30_000
LEFT, RIGHT = ((40, 30), (150, 90)), ((40, 160), (150, 230))
"""Strokes in the dark and in the bright half, in micrometres (two a pixel)."""


@pytest.fixture
def painted(panel: TeachWidget, hand) -> TeachWidget:
    """The panel after a stroke of each of two classes."""
    panel.new_button.click()
    hand.stroke(*LEFT)
    panel.classes.selected.emit(2)
    hand.stroke(*RIGHT)
    return panel


def result(panel: TeachWidget, role: str):
    return next(
        (layer for layer in panel.viewer.layers if layer.metadata.get(RESULT_KEY, {}).get("role") == role), None
    )


def teach(panel: TeachWidget, qtbot) -> None:
    ends: list = []
    panel.runner.succeeded.connect(ends.append)
    panel.runner.failed.connect(ends.append)
    panel.runner.run_button.click()
    assert panel.runner.running, panel.runner.error_line.text()
    qtbot.waitUntil(lambda: bool(ends), timeout=LONG_MS)
    assert isinstance(ends[0], Result), ends[0]


def refused(panel: TeachWidget) -> str:
    """Press Teach; what the error line says at once. Nothing may have changed."""
    before = list(panel.viewer.layers)
    panel.runner.run_button.click()
    assert not panel.runner.running
    assert panel.runner.error_line.isVisible()
    assert list(panel.viewer.layers) == before
    return panel.runner.error_line.text()


def refused_by_tool(panel: TeachWidget, qtbot) -> str:
    before = list(panel.viewer.layers)
    with qtbot.waitSignal(panel.runner.failed, timeout=LONG_MS):
        panel.runner.run_button.click()
    assert list(panel.viewer.layers) == before
    return panel.runner.error_line.text()


# ---------------------------------------------------------------------- painting


def test_new_makes_a_layer_to_paint_in(panel: TeachWidget) -> None:
    panel.new_button.click()
    layer = panel.scribbles.value()
    assert (layer.name, layer.data.shape, layer.data.dtype) == ("halves scribbles", (96, 128), np.uint8)
    assert tuple(layer.scale) == (2, 2)
    assert panel.viewer.layers.selection.active is layer
    assert (layer.mode, layer.selected_label) == ("paint", 1)


def test_strokes_on_the_canvas_are_of_the_selected_class(painted: TeachWidget) -> None:
    data = np.asarray(painted.scribbles.value().data)
    assert set(np.unique(data)) == {0, 1, 2}
    assert np.nonzero(data == 1)[1].max() < 64 < np.nonzero(data == 2)[1].min()


def test_number_keys_choose_the_class_and_0_erases(panel: TeachWidget, hand) -> None:
    panel.new_button.click()
    layer = panel.scribbles.value()
    QTest.keyClick(hand.canvas, Qt.Key.Key_2)
    assert (layer.mode, layer.selected_label, panel.classes.selected_label()) == ("paint", 2, 2)
    QTest.keyClick(hand.canvas, Qt.Key.Key_0)
    assert layer.mode == "erase"


def test_a_label_chosen_in_napari_is_marked_and_gets_a_row(panel: TeachWidget, hand) -> None:
    panel.new_button.click()
    layer = panel.scribbles.value()
    layer.selected_label = 2
    assert panel.classes.selected_label() == 2
    layer.selected_label = 4
    hand.stroke(*LEFT)
    assert panel.classes.labels() == (1, 2, 4)


def test_names_and_colours_are_saved_with_the_layer(painted: TeachWidget) -> None:
    painted.classes.rename(1, "dark")
    painted.classes.recolour(1, "#00ff00")
    layer = painted.scribbles.value()
    assert layer.metadata[CLASSES_KEY]["1"] == {"name": "dark", "colour": "#00ff00"}
    np.testing.assert_allclose(layer.get_color(1), (0, 1, 0, 1))
    painted.new_button.click()
    assert painted.classes.value()[0].name == "dark"
    painted.classes.rename(1, "shade")
    painted.scribbles.setValue(layer)
    assert painted.classes.value()[0].name == "dark"


def test_the_classes_of_a_foreign_layer_are_found(panel: TeachWidget) -> None:
    data = np.zeros((96, 128), int)
    data[3:9, 3:9] = 7
    layer = panel.viewer.add_labels(data, scale=(2, 2), units="um")
    assert panel.scribbles.value() is None
    assert CLASSES_KEY not in layer.metadata
    panel.scribbles.setValue(layer)
    assert panel.classes.labels() == (1, 2, 7)


# ---------------------------------------------------------------------- running


def test_teach_draws_a_prediction_and_its_entropy(painted: TeachWidget, qtbot, halves) -> None:
    paint = np.array(painted.scribbles.value().data)
    teach(painted, qtbot)
    prediction, entropy = result(painted, PREDICTION), result(painted, ENTROPY)
    np.testing.assert_array_equal(prediction.data, np.where(halves > 90, 2, 1))
    assert entropy.data.dtype == np.float32
    assert 0 <= entropy.data.min() <= entropy.data.max() <= 1
    np.testing.assert_array_equal(painted.scribbles.value().data, paint)
    assert [layer.name for layer in painted.viewer.layers] == [
        "halves", "halves prediction", "halves entropy", "halves scribbles",
    ]  # fmt: skip
    assert painted.runner.result_line.text() == "taught 2 classes"


def test_results_lie_on_the_image_and_leave_the_selection(painted: TeachWidget, qtbot) -> None:
    teach(painted, qtbot)
    for role in (PREDICTION, ENTROPY):
        layer = result(painted, role)
        assert tuple(layer.scale) == (2, 2)
        assert {str(unit) for unit in layer.units} == {"micrometer"}
    assert painted.viewer.layers.selection.active is painted.scribbles.value()
    assert painted.scribbles.value().mode == "paint"


def test_results_tell_how_they_were_made(painted: TeachWidget, qtbot) -> None:
    painted.form.setValue({"seed": 5})
    teach(painted, qtbot)
    about = result(painted, PREDICTION).metadata[RESULT_KEY]
    assert (about["tool"], about["parameters"]["seed"], about["seed"], about["digest"]) == ("tiny", 5, 5, "0" * 8)
    assert about["parameters"]["classes"] == {"1": "class 1", "2": "class 2"}


def test_a_second_run_draws_into_the_same_layers(painted: TeachWidget, qtbot, hand) -> None:
    teach(painted, qtbot)
    first = result(painted, PREDICTION)
    hand.stroke((40, 160), (60, 200))
    teach(painted, qtbot)
    assert result(painted, PREDICTION) is first
    assert len(painted.viewer.layers) == 4


def test_the_colours_of_the_classes_are_those_of_the_prediction(painted: TeachWidget, qtbot) -> None:
    teach(painted, qtbot)
    painted.classes.recolour(2, "#0000ff")
    np.testing.assert_allclose(result(painted, PREDICTION).get_color(2), (0, 0, 1, 1))


def test_the_curve_is_drawn(painted: TeachWidget, qtbot) -> None:
    teach(painted, qtbot)
    assert painted.plot.points["loss"] == ([0, 1], [1.0, 0.5])
    assert painted.plot.isVisible()


def test_the_tool_is_told_what_is_in_view(painted: TeachWidget, qtbot) -> None:
    camera_of(painted.viewer).zoom *= 4
    camera_of(painted.viewer).center = (96, 128)
    painted.viewer.screenshot(flash=False)
    results: list = []
    painted.runner.succeeded.connect(results.append)
    teach(painted, qtbot)
    (top, bottom), (left, right) = results[0].values["view"]
    assert 0 < top < 48 < bottom < 96
    assert 0 < left < 64 < right < 128


def test_dense_patches_go_to_the_tool(painted: TeachWidget, qtbot) -> None:
    corners = np.array([[20, 20], [20, 38], [38, 38], [38, 20]])
    shapes = painted.viewer.add_shapes([corners], shape_type="rectangle")
    painted.dense.setValue(shapes)
    results: list = []
    painted.runner.succeeded.connect(results.append)
    teach(painted, qtbot)
    assert results[0].values["dense"] == 100


def grid(shape: tuple[int, ...]) -> np.ndarray:
    """Bright on the right half of x."""
    return np.broadcast_to(np.where(np.arange(shape[-1]) < shape[-1] // 2, 20, 200), shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (grid((17, 5)).astype(np.float64), {}),
        (grid((20, 30)) > 90, {}),
        (grid((20, 30)).astype(">u2"), {}),
        (da.from_array(grid((20, 30)), chunks=16), {}),
        (zarr.array(grid((20, 30)), chunks=(16, 16)), {}),
        (np.stack([grid((20, 30))] * 3, -1), {"rgb": True}),
        (np.stack([grid((20, 30))] * 4), {"axis_labels": ("c", "y", "x"), "rgb": False}),
        (grid((3, 20, 30)), {"scale": (5, 1, 1)}),
    ],
    ids=["17x5 float64", "bool", "big-endian", "dask", "zarr", "rgb", "channels", "stack"],
)
def test_every_kind_of_image_is_taught(panel: TeachWidget, qtbot, data, arguments) -> None:
    image = panel.viewer.add_image(data, name="odd", **arguments)
    panel.image.setValue(image)
    panel.new_button.click()
    layer = panel.scribbles.value()
    half = layer.data.shape[-1] // 2
    for label, columns in ((1, slice(0, half)), (2, slice(half, None))):
        stroke = np.zeros(layer.data.shape, bool)
        stroke[..., 2:8, columns] = True
        layer.data_setitem(np.nonzero(stroke), label)
    teach(panel, qtbot)
    expected = np.where(np.arange(layer.data.shape[-1]) < half, 1, 2)
    assert (panel.viewer.layers["odd prediction"].data == expected).all()


def test_one_pixel_is_too_few(panel: TeachWidget, qtbot) -> None:
    panel.image.setValue(panel.viewer.add_image(np.zeros((1, 1))))
    panel.new_button.click()
    panel.scribbles.value().data_setitem((np.array([0]), np.array([0])), 1)
    assert "Only one class is painted" in refused_by_tool(panel, qtbot)


def test_a_pyramid_is_taught_on_the_level_of_its_scribbles(panel: TeachWidget, qtbot) -> None:
    levels = [np.kron(grid((32, 32)), np.ones((2**n, 2**n), np.uint8)) for n in (2, 1, 0)]
    image = panel.viewer.add_image(levels, multiscale=True, name="slide", scale=(0.25, 0.25), units="um")
    panel.image.setValue(image)
    level = image_of(image).at_level(1)
    paint = np.zeros((64, 64), np.uint8)
    paint[5:15, 5:15], paint[5:15, 45:55] = 1, 2
    panel.scribbles.setValue(panel.viewer.add_labels(paint, **layer_arguments(level, image)))
    teach(panel, qtbot)
    prediction = panel.viewer.layers["slide prediction"]
    assert prediction.data.shape == (64, 64)
    np.testing.assert_allclose(prediction.scale, (0.5, 0.5))
    np.testing.assert_allclose(prediction.translate, (0.125, 0.125))
    assert (prediction.data == np.where(np.arange(64) < 32, 1, 2)).all()


def test_live_mode_teaches_after_the_stroke(painted: TeachWidget, qtbot, hand) -> None:
    painted.live.setValue(True)
    with qtbot.waitSignal(painted.runner.succeeded, timeout=LONG_MS):
        hand.stroke((100, 170), (140, 200))
    assert result(painted, PREDICTION) is not None


def test_live_mode_off_waits_for_the_button(painted: TeachWidget, qtbot) -> None:
    qtbot.wait(600)
    assert not painted.runner.running
    assert result(painted, PREDICTION) is None


def test_a_stroke_in_the_making_is_not_disturbed(painted: TeachWidget, qtbot, hand) -> None:
    painted.form.setValue({"mode": "slow"})
    painted.runner.run_button.click()
    layer = painted.scribbles.value()
    before = len(painted.sessions.session.history())
    hand.press((100, 170))
    with qtbot.waitSignal(painted.runner.eventReceived, timeout=LONG_MS):
        hand.move((110, 175))
    for place in range(180, 220, 5):
        qtbot.wait(50)
        hand.move((110, place))
    hand.release((110, 215))
    assert len(painted.sessions.session.history()) == before + 1
    assert (layer.data[55, 86:106] == 2).all()
    painted.runner.cancel()
    qtbot.waitUntil(lambda: not painted.runner.running, timeout=5000)


def test_cancel_keeps_what_was_there(painted: TeachWidget, qtbot) -> None:
    teach(painted, qtbot)
    painted._checkpoint = "last good one"
    painted.form.setValue({"mode": "slow"})
    with qtbot.waitSignal(painted.runner.eventReceived, timeout=LONG_MS):
        painted.runner.run_button.click()
    with qtbot.waitSignal(painted.runner.failed, timeout=5000):
        painted.runner.cancel_button.click()
    assert painted._checkpoint == "last good one"
    said = "Cancelled. The picture is that of an unfinished run; the last good model is kept."
    assert painted.runner.result_line.text() == said
    assert np.count_nonzero(result(painted, PREDICTION).data) == 96 * 128


def stopped(panel: TeachWidget, qtbot, mode: str) -> str:
    """Run, cancel when a tile is drawn or the process is there; what the result line says."""
    panel.form.setValue({"mode": mode})
    if mode == "slow":
        with qtbot.waitSignal(panel.runner.eventReceived, timeout=LONG_MS):
            panel.runner.run_button.click()
    else:
        panel.runner.run_button.click()
    with qtbot.waitSignal(panel.runner.failed, timeout=LONG_MS):
        panel.runner.cancel_button.click()
    return panel.runner.result_line.text()


def test_what_a_cancelled_run_has_drawn_is_said_to_be_unfinished(painted: TeachWidget, qtbot) -> None:
    unfinished = "Cancelled. The picture is that of an unfinished run; "
    assert stopped(painted, qtbot, "slow") == unfinished + "there is no model of it."
    painted._draft = "the one that is drawn"
    assert stopped(painted, qtbot, "slow") == unfinished + "Save keeps its model as it was drawn last."


def test_a_cancelled_run_that_has_drawn_nothing_leaves_the_picture_as_it_was(painted: TeachWidget, qtbot) -> None:
    teach(painted, qtbot)
    assert stopped(painted, qtbot, "deaf") == "Cancelled."


def test_a_cancelled_apply_speaks_of_the_image(painted: TeachWidget, qtbot) -> None:
    painted.form.setValue({"mode": "slow"})
    with qtbot.waitSignal(painted.runner.eventReceived, timeout=LONG_MS):
        painted._begin("tiny", painted._job(), painted.classes.value(), {"tool": "apply"})
    with qtbot.waitSignal(painted.runner.failed, timeout=LONG_MS):
        painted.runner.cancel_button.click()
    said = "Cancelled. The model was applied to a part of the image only."
    assert painted.runner.result_line.text() == said


def test_a_killed_child_is_said_and_the_next_run_works(painted: TeachWidget, qtbot, service) -> None:
    painted.form.setValue({"mode": "slow"})
    with qtbot.waitSignal(painted.runner.eventReceived, timeout=LONG_MS):
        painted.runner.run_button.click()
    with qtbot.waitSignal(painted.runner.failed, timeout=LONG_MS):
        os.kill(service.child.pid, signal.SIGKILL)
    assert "Start the run again." in painted.runner.error_line.text()
    assert painted.runner.result_line.text().startswith("The picture is that of an unfinished run;")
    painted.form.setValue({"mode": "teach"})
    teach(painted, qtbot)
    assert not painted.runner.error_line.isVisible()


# ---------------------------------------------------------------------- bad input


def test_no_image(panel: TeachWidget) -> None:
    panel.viewer.layers.clear()
    assert refused(panel) == "There is no image. Open an image, then choose it above."
    panel.new_button.click()
    assert panel.runner.error_line.text() == "There is no image to paint on. Open an image first."


def test_no_scribbles(panel: TeachWidget) -> None:
    assert refused(panel) == "There are no scribbles. Press New and paint a stroke of two classes."


def test_wrong_axes(panel: TeachWidget) -> None:
    deep = panel.viewer.add_image(np.zeros((1, 2, 2, 8, 8)))
    panel.scribbles.setValue(panel.viewer.add_labels(np.zeros((1, 2, 2, 8, 8), int)))
    panel.image.setValue(deep)
    assert "5 axes is not supported; open one with 2 to 4 axes" in refused(panel)


def test_scribbles_of_another_shape(panel: TeachWidget) -> None:
    panel.scribbles.setValue(panel.viewer.add_labels(np.zeros((50, 60), int), name="small", scale=(2, 2), units="um"))
    said = refused(panel)
    assert "'small' have 50 x 60 pixels" in said
    assert "make new ones on this image" in said


def test_scribbles_that_lie_elsewhere(panel: TeachWidget) -> None:
    panel.scribbles.setValue(
        panel.viewer.add_labels(np.zeros((96, 128), int), name="moved", scale=(2, 2), translate=(9, 9), units="um")
    )
    assert "'moved' lie elsewhere than the image 'halves'" in refused(panel)


def test_multiscale_scribbles(panel: TeachWidget) -> None:
    levels = [np.zeros((96, 128), int), np.zeros((48, 64), int)]
    panel.scribbles.setValue(panel.viewer.add_labels(levels, multiscale=True, name="pyramid", scale=(2, 2), units="um"))
    assert "'pyramid' are multiscale" in refused(panel)


def test_empty_scribbles(panel: TeachWidget, qtbot) -> None:
    panel.new_button.click()
    assert refused_by_tool(panel, qtbot) == "The scribbles are empty. Paint at least one stroke of two classes."


def test_one_class_only(panel: TeachWidget, qtbot, hand) -> None:
    panel.new_button.click()
    hand.stroke(*LEFT)
    assert "Only one class is painted (class 1)" in refused_by_tool(panel, qtbot)


def test_too_few_pixels_of_a_class(panel: TeachWidget, qtbot, hand) -> None:
    panel.new_button.click()
    panel.classes.rename(2, "stroma")
    hand.stroke(*LEFT)
    panel.scribbles.value().data_setitem((np.array([5, 5, 5]), np.array([100, 101, 102])), 2)
    assert "Class stroma has too few pixels (3); paint at least" in refused_by_tool(panel, qtbot)


def test_no_shapes_in_the_patches(painted: TeachWidget) -> None:
    painted.dense.setValue(painted.viewer.add_shapes(name="patches"))
    assert "'patches' hold no shape" in refused(painted)


def test_an_error_leaves_the_last_prediction(painted: TeachWidget, qtbot) -> None:
    teach(painted, qtbot)
    before = result(painted, PREDICTION).data.copy()
    painted.scribbles.value().data = np.zeros((96, 128), np.uint8)
    refused_by_tool(painted, qtbot)
    np.testing.assert_array_equal(result(painted, PREDICTION).data, before)


def test_a_hint_in_live_mode_is_no_alarm(panel: TeachWidget, qtbot) -> None:
    panel.live.setValue(True)
    panel.scribbles.setValue(panel.viewer.add_labels(np.zeros((50, 60), int), scale=(2, 2), units="um"))
    panel._debounce.start()
    qtbot.waitUntil(lambda: bool(panel.runner.error_line.text()), timeout=2000)
    from napari_medseg.widgets._runner import WARNING_STYLE

    assert panel.runner.error_line.styleSheet() == WARNING_STYLE


# ---------------------------------------------------------------------- next region


def test_n_goes_where_the_model_is_unsure(painted: TeachWidget, qtbot, hand) -> None:
    teach(painted, qtbot)
    entropy = result(painted, ENTROPY)
    entropy.data[:] = 0.1
    entropy.data[60:90, 90:120] = 0.9
    QTest.keyClick(hand.canvas, Qt.Key.Key_N)
    assert "Paint inside the white frame" in painted.runner.result_line.text()
    first = painted.regions.visited[-1]
    np.testing.assert_allclose(camera_of(painted.viewer).center[-2:], np.multiply(first, 2))
    QTest.keyClick(hand.canvas, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert painted.regions.skipped == [first]


def test_keys_work_while_the_panel_has_the_focus(painted: TeachWidget, qtbot) -> None:
    teach(painted, qtbot)
    painted.regions.next_button.setFocus()
    QTest.keyClick(painted.regions.next_button, Qt.Key.Key_N)
    assert len(painted.regions.visited) == 1


def test_next_region_goes_to_the_plane(panel: TeachWidget, qtbot) -> None:
    stack = panel.viewer.add_image(grid((4, 64, 64)), name="stack")
    panel.image.setValue(stack)
    panel.new_button.click()
    layer = panel.scribbles.value()
    for label, column in ((1, 5), (2, 45)):
        planes, _, columns = np.indices(layer.data.shape)
        layer.data_setitem(np.nonzero((planes == 0) & (columns // 10 == column // 10)), label)
    teach(panel, qtbot)
    panel.viewer.layers["stack entropy"].data[:] = 0.1
    panel.viewer.layers["stack entropy"].data[3, 20:40, 20:40] = 0.9
    panel.regions.next_button.click()
    assert panel.viewer.dims.current_step[0] == 3


def test_the_next_region_is_framed_until_it_is_painted(painted: TeachWidget, qtbot, hand) -> None:
    teach(painted, qtbot)
    layer, marker = painted.scribbles.value(), painted.regions.marker
    result(painted, ENTROPY).data[:] = 0.1
    result(painted, ENTROPY).data[2:26, 50:74] = 0.9
    layers = list(painted.viewer.layers)
    QTest.keyClick(hand.canvas, Qt.Key.Key_N)
    rows, columns = marker.box
    assert abs(rows.start - 2) <= 3 and abs(columns.start - 50) <= 3
    assert list(painted.viewer.layers) == layers
    assert (painted.viewer.layers.selection.active, layer.mode) == (layer, "paint")
    y, x = np.multiply(painted.regions.visited[-1], 2)
    hand.stroke((y, x + 40), (y + 4, x + 40))
    assert marker.box == (rows, columns)
    hand.stroke((y, x), (y + 4, x + 4))
    assert marker.box is None
    assert layer.data[y // 2, x // 2] > 0


def test_the_frame_goes_when_no_region_is_left(painted: TeachWidget, qtbot) -> None:
    teach(painted, qtbot)
    painted.regions.next_button.click()
    assert painted.regions.marker.box is not None
    result(painted, ENTROPY).data[:] = 0
    painted.regions.next_button.click()
    assert painted.regions.marker.box is None
    assert painted.runner.result_line.text() == "No uncertain region is left."


@pytest.mark.parametrize(
    "leave",
    [
        lambda panel: panel.viewer.window.remove_dock_widget(panel),
        lambda panel: panel.viewer.layers.remove(panel.scribbles.value()),
        lambda panel: panel.image.setValue(panel.viewer.add_image(np.zeros((8, 8)))),
        lambda panel: panel.new_button.click(),
    ],
    ids=["dock closed", "layer removed", "another image", "new scribbles"],
)
def test_the_frame_does_not_outlive_its_task(painted: TeachWidget, qtbot, leave) -> None:
    teach(painted, qtbot)
    painted.regions.next_button.click()
    assert painted.regions.marker.box is not None
    leave(painted)
    assert painted.regions.marker.box is None


def test_next_region_before_teaching_says_what_to_do(painted: TeachWidget) -> None:
    painted.regions.next_button.click()
    assert painted.runner.error_line.text().startswith("Nothing is predicted yet. Press Teach")


def test_next_region_while_nothing_is_drawn_says_that_the_prediction_is_made(painted: TeachWidget, qtbot) -> None:
    painted.form.setValue({"mode": "deaf"})
    painted.runner.run_button.click()
    painted.regions.next_button.click()
    assert painted.runner.result_line.text() == "The prediction is still being made. Ask again when it is drawn."
    assert painted.runner.error_line.text() == ""
    with qtbot.waitSignal(painted.runner.failed, timeout=LONG_MS):
        painted.runner.cancel()


def test_no_region_in_half_a_picture_is_not_the_last_word(painted: TeachWidget, qtbot) -> None:
    teach(painted, qtbot)
    result(painted, ENTROPY).data[:] = 0
    painted.form.setValue({"mode": "deaf"})
    painted.runner.run_button.click()
    painted.regions.next_button.click()
    assert painted.runner.result_line.text() == "There is no uncertain region in what is drawn so far."
    with qtbot.waitSignal(painted.runner.failed, timeout=LONG_MS):
        painted.runner.cancel()


# ---------------------------------------------------------------------- room


def aims(panel: TeachWidget) -> dict:
    """Where everything that a user aims at while a run goes on stands in the panel."""
    targets = [panel.runner.run_button, panel.runner.cancel_button, panel.regions.next_button]
    targets += [panel.regions.skip_button, panel.new_button, panel.live, panel.classes.add_button, panel.runner.report]
    targets += [panel.models.save_button, panel.models.apply_button, *panel.classes._buttons.buttons()]
    QApplication.processEvents()
    return {target: (target.mapTo(panel, QPoint(0, 0)), target.size()) for target in targets}


@pytest.mark.parametrize("height", [700, 1000])
def test_nothing_moves_while_a_run_goes_on(painted: TeachWidget, qtbot, height) -> None:
    window = painted.viewer.window._qt_window
    window.resize(1000, height)
    dock = painted.parent()
    while not isinstance(dock, QDockWidget):
        dock = dock.parent()
    window.resizeDocks([dock], [300], Qt.Orientation.Horizontal)
    QApplication.processEvents()
    assert painted.width() <= 300
    before, moved = aims(painted), []
    painted.runner.eventReceived.connect(lambda event: aims(painted) == before or moved.append(event))
    painted.form.setValue({"mode": "warn"})
    teach(painted, qtbot)
    assert not moved
    assert painted.plot.points and painted.runner.error_line.isVisible() and painted.runner.result_line.isVisible()
    assert aims(painted) == before
    painted.regions.next_button.click()
    painted.runner.show_error("What was given, what was expected, and what to do. " * 9)
    assert aims(painted) == before


def test_run_and_next_region_are_in_sight_in_a_low_window(painted: TeachWidget) -> None:
    painted.viewer.window._qt_window.resize(1000, 600)
    painted.form.more.expand(animate=False)
    for button, (place, size) in aims(painted).items():
        if button in (painted.runner.run_button, painted.runner.cancel_button, painted.regions.next_button):
            assert painted.rect().contains(QRect(place, size))
            assert button.visibleRegion().boundingRect().size() == size


@pytest.mark.parametrize("width", [300, 420])
def test_the_whole_form_is_in_sight_in_a_usual_window(viewer, service, width) -> None:
    viewer.add_image(np.zeros((8, 8)))
    panel = TeachWidget(viewer, service=service)
    dock = viewer.window.add_dock_widget(panel, name="Teach", area="right")
    viewer.window._qt_window.resize(1200, 700)
    QApplication.processEvents()
    viewer.window._qt_window.resizeDocks([dock], [width], Qt.Orientation.Horizontal)
    QApplication.processEvents()
    assert abs(panel.width() - width) <= 2
    assert panel.scroll_area.verticalScrollBar().maximum() == 0
    assert panel.plot.height() >= 90


# ---------------------------------------------------------------------- models


def test_apply_names_the_image_that_is_chosen(panel: TeachWidget) -> None:
    button = panel.models.apply_button
    assert button.text() == "Apply to 'halves'"
    second = panel.viewer.add_image(np.zeros((8, 8)), name="H&E")
    panel.image.setValue(second)
    assert button.text() == "Apply to 'H&&E'"
    assert "'H&amp;E', chosen at the top" in button.toolTip()
    second.name = "liver"
    assert button.text() == "Apply to 'liver'"
    panel.viewer.layers.clear()
    assert button.text() == "Apply to an image"


def test_a_model_without_a_name_is_not_saved(panel: TeachWidget) -> None:
    panel.models.allow_save(True)
    panel.models.name.setText("  ")
    panel.models.save_button.click()
    assert panel.runner.error_line.text().startswith("The model has no name.")
    assert panel.viewer.window._qt_window.focusWidget() is panel.models.name


def test_there_is_nothing_to_apply_at_first(panel: TeachWidget) -> None:
    assert not panel.models.save_button.isEnabled()
    panel.models.name.setText("tumour")
    QTest.keyClick(panel.models.name, Qt.Key.Key_Return)
    assert panel.runner.error_line.text() == "There is no model to save yet. Teach one first."
    panel.models.apply_button.click()
    assert panel.runner.error_line.text() == "There is no saved model. Teach one and save it, or open a model file."


def test_a_model_that_was_removed_meanwhile_is_said_to_be_gone(painted: TeachWidget, own_models: Path) -> None:
    card = Card(name="gone", task="segmentation", architecture="light", arguments={}, channels=1, normalisation="none")
    (own_models / "gone.json").write_text(card.model_dump_json(exclude={"folder", "name"}))
    painted.models.refresh("gone")
    painted.start.refresh()
    painted.start.setValue("gone")
    (own_models / "gone.json").unlink()
    said = "The model 'gone' is not there any more: it was removed or renamed outside this panel. Choose another one."
    assert refused(painted) == said
    painted.runner.show_error("")
    painted.models.apply_button.click()
    assert painted.runner.error_line.text() == said
    assert painted.models.choice.currentText() == "gone (removed)"


def test_a_foreign_model_file_is_refused(panel: TeachWidget, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(b"\0" * 64)
    path.with_suffix(".json").write_text("[1, 2]")
    panel.models.offer_file(str(path))
    panel.models.apply_button.click()
    assert "foreign.json is no model card" in panel.runner.error_line.text()


# ---------------------------------------------------------------------- opening and closing


def test_closing_the_dock_gives_the_keys_back(painted: TeachWidget, hand) -> None:
    layer = painted.scribbles.value()
    viewer = painted.viewer
    assert {"N", "Shift+N"} <= {str(key) for key in viewer.keymap}
    viewer.window.remove_dock_widget(painted)
    assert not {"N", "Shift+N"} & {str(key) for key in viewer.keymap}
    assert not layer.keymap
    QTest.keyClick(hand.canvas, Qt.Key.Key_1)
    assert layer.mode == "erase"


def test_a_closed_dock_teaches_no_more_and_an_opened_one_does(painted: TeachWidget, qtbot, hand) -> None:
    viewer = painted.viewer
    painted.live.setValue(True)
    viewer.window.remove_dock_widget(painted)
    hand.stroke((100, 170), (140, 200))
    qtbot.wait(600)
    assert not painted.runner.running
    viewer.window.add_dock_widget(painted, name="Teach", area="right")
    QApplication.processEvents()
    with qtbot.waitSignal(painted.runner.succeeded, timeout=LONG_MS):
        hand.stroke((100, 170), (140, 200))


def test_a_key_that_was_bound_before_comes_back(viewer, service) -> None:
    pressed: list = []
    viewer.bind_key("N", lambda _viewer: pressed.append(1))
    panel = TeachWidget(viewer, service=service, tool="tiny")
    dock = viewer.window.add_dock_widget(panel)
    viewer.window.remove_dock_widget(dock)
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_N)
    assert pressed == [1]


def test_the_panel_fits_a_dock_of_300_pixels(painted: TeachWidget, qtbot) -> None:
    teach(painted, qtbot)
    painted.form.more.expand(animate=False)
    QApplication.processEvents()
    assert painted.scroll_area.widget().minimumSizeHint().width() <= 300 - 14
    assert painted.minimumSizeHint().width() <= painted.minimumWidth() <= 300
    assert painted.minimumSizeHint().height() <= 560


def test_closing_the_viewer_ends_the_process(viewer) -> None:
    panel = TeachWidget(viewer)
    viewer.window.add_dock_widget(panel)
    process = psutil.Process(service_of(viewer).child.pid)
    viewer.close()
    psutil.wait_procs([process], timeout=5)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_panels_of_one_viewer_share_a_process(viewer) -> None:
    first, second = TeachWidget(viewer), TeachWidget(viewer)
    assert first._service is second._service is service_of(viewer)


def test_opening_the_panel_loads_no_torch() -> None:
    code = (
        "import sys, napari\n"
        "from napari_medseg.widgets.scribbles import TeachWidget\n"
        "viewer = napari.Viewer(show=False)\n"
        "viewer.window.add_dock_widget(TeachWidget(viewer))\n"
        "viewer.close()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
