"""The layer in a real window: what could give it away, and what used to crash."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
import pytest
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_medseg.widgets._compat import camera_of
from napari_medseg.widgets.pyramid_labels import opening, private_names

RIGHT = Qt.MouseButton.RightButton


def picture(viewer: napari.Viewer) -> np.ndarray:
    QApplication.processEvents()
    return viewer.screenshot(canvas_only=True, flash=False).astype(int)


def controls_of(viewer: napari.Viewer, layer: Any) -> Any:
    return viewer.window._qt_viewer.controls.widgets[layer]


@pytest.mark.parametrize("shape", ["polygon", "circle"])
def test_previews_lie_where_those_of_an_ordinary_layer_lie(make_pair, mouse, shape) -> None:
    """Trap 1: at a coarse level, after a pan, and when the view changes with the preview on screen."""
    pair = make_pair((3000, 4000))
    views = [((2100, 2800), 0.45), ((2200, 2950), 0.35)]
    pictures = []
    for layer in (pair.plain, pair.ours):
        pair.look((700, 950), 0.45)
        pair.look(*views[0])
        pair.viewer.layers.selection.active = layer
        pair.plain.visible = pair.ours.visible = False
        layer.visible = True
        if shape == "polygon":
            layer.mode = "polygon"
            for place in [(2000, 2600), (2300, 2650), (2400, 3000), (2100, 3050)]:
                mouse.click(place)
        else:
            layer.brush_size, layer.mode = 150, "paint"
            mouse.click((2100, 2800), RIGHT)
        first = picture(pair.viewer)
        pair.look(*views[1])
        pictures.append((first, picture(pair.viewer)))
        if layer is pair.ours:
            assert layer.data_level > 0 and layer.corner_pixels[0].min() > 0
        layer.mode = "pan_zoom"
        layer._overlays["polygon"].points = []
    for view, plain, ours in zip(views, *pictures):
        pair.look(*view)
        drawn = np.abs(plain - picture(pair.viewer)).max(axis=-1) > 30
        different = np.abs(plain - ours).max(axis=-1) > 30
        assert drawn.sum() > 300
        assert different.sum() < 0.1 * drawn.sum()


def test_the_controls_offer_no_level_and_new_asks_the_pyramid(pair, mouse) -> None:
    """Traps 2 and 3."""
    controls = controls_of(pair.viewer, pair.ours)
    control = controls._multiscale_level_control
    pair.viewer.layers.selection.active = pair.ours
    assert not control.level_combobox.isVisible() and not control.level_label.isVisible()
    control.level_combobox.setCurrentIndex(1)
    assert pair.ours._locked_data_level is None and control.level_combobox.currentIndex() == 0
    pair.ours.paint((50, 50), 41)
    if hasattr(controls._label_control, "new_label_button"):
        controls._label_control.new_label_button.click()
        assert pair.ours.selected_label == 42
    pair.ours.selected_label = 1
    mouse.key(Qt.Key.Key_M)
    assert pair.ours.selected_label == 42
    pair.viewer.layers.selection.active = pair.plain
    pair.plain.paint((50, 50), 7)
    mouse.key(Qt.Key.Key_M)
    assert pair.plain.selected_label == 8


def test_pick_takes_the_label_under_the_cursor(pair, mouse) -> None:
    """Trap 4."""
    pair.look((700, 950), 0.3)
    pair.ours.brush_size = 100
    pair.ours.paint((700, 1000), 5)

    def pick(layer: Any) -> None:
        layer.mode = "pick"
        mouse.click((700, 1000))

    pair.viewer.layers.selection.active = pair.ours
    pick(pair.ours)
    assert pair.ours.selected_label == 5 and type(pair.ours.selected_label) is int
    pair.ours.mode = "pick"
    mouse.click((100, 1000))
    assert pair.ours.selected_label == 0


@pytest.mark.parametrize("mode", ["paint", "fill", "erase", "polygon", "pick"])
@pytest.mark.parametrize("shape", [(20, 300, 400), (300, 400)])
def test_the_mouse_in_3d_does_no_harm(viewer, mouse, make_layer, mode, shape) -> None:
    """Trap 5: it aborted the process."""
    layer = viewer.add_layer(make_layer(shape, scale=(1.0,) * len(shape)))
    layer.brush_size = 80
    viewer.dims.ndisplay = 2
    layer.paint((10, 150, 200)[-len(shape) :], 3)
    before = np.asarray(layer.data).copy()
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    layer.selected_label = 1
    layer.mode = mode
    centre = tuple(camera_of(viewer).center)[-2:]
    mouse.drag([centre, (centre[0] + 20, centre[1] + 20), (centre[0] + 30, centre[1])])
    mouse.click(centre, RIGHT)
    QApplication.processEvents()
    np.testing.assert_array_equal(layer.data, before)
    layer.mode = "pan_zoom"
    viewer.dims.ndisplay = 2
    layer.paint((10, 150, 350)[-len(shape) :], 4)
    assert (np.asarray(layer.data) == 4).any()


def test_painting_in_3d_by_name_is_shown(viewer, make_layer) -> None:
    layer = viewer.add_layer(make_layer((20, 300, 400)))
    viewer.dims.ndisplay = 3
    layer.brush_size = 80
    layer.paint((10, 150, 200), 3)
    assert (layer._slice.image.raw == 3).any()


def test_outlines_have_the_same_width_at_every_zoom(pair) -> None:
    """Trap 10: they are drawn at the level in view."""
    pair.ours.brush_size, pair.ours.contour = 400, 3
    pair.ours.paint((700, 950), 1)
    pair.plain.visible = False
    widths = []
    for zoom in (0.25, 0.5, 1.0):
        pair.look((700, 950 + 200), zoom)
        row = picture(pair.viewer)[picture(pair.viewer).shape[0] // 2]
        lit = np.abs(row - row[-1]).max(axis=-1) > 30
        widths.append(int(lit[len(lit) // 2 - 15 : len(lit) // 2 + 15].sum()))
    assert min(widths) > 1 and max(widths) < 2.5 * min(widths)


@pytest.fixture
def asynchronous(viewer):
    settings = get_settings().experimental
    before, settings.async_ = settings.async_, True
    yield
    settings.async_ = before


def test_slices_read_by_another_thread_miss_no_stroke(pair, asynchronous, qtbot) -> None:
    """Trap 11: also those that are read while a stroke is open."""
    pair.viewer.layers.selection.active = layer = pair.ours
    pair.look((700, 950), 0.4)
    layer.brush_size, layer.mode = 60, "paint"
    with layer.block_history():
        layer._draw(1, (500, 800), (600, 900))
        pair.look((600, 900), 1.0)
        qtbot.waitUntil(lambda: layer.loaded and layer.data_level == 0)
        layer._draw(2, (600, 900), (650, 950))
        QApplication.processEvents()
        assert shown_equals_data(layer)
    pair.look((700, 950), 0.3)
    layer._draw(3, (800, 900), (850, 950))
    qtbot.waitUntil(lambda: layer.loaded and layer.data_level > 0)
    assert shown_equals_data(layer)
    layer.undo()
    qtbot.waitUntil(lambda: layer.loaded)
    QApplication.processEvents()
    assert shown_equals_data(layer)
    layer.mode = "pan_zoom"


def shown_equals_data(layer: Any) -> bool:
    tile, size = layer._transforms["tile2data"], layer._slice.image.raw.shape
    top, left = (round(t / s) for t, s in zip(tile.translate, tile.scale))
    level = int(np.log2(tile.scale[0]))
    expected = layer.data[level][top : top + size[0], left : left + size[1]]
    return bool(expected.any()) and np.array_equal(layer._slice.image.raw, expected)


def test_a_second_layer_can_be_painted_after_the_first_is_removed(pair, mouse) -> None:
    """Trap 14: a crash was seen once, with ordinary layers, too."""
    pair.look((700, 950), 0.5)
    for layer in (pair.plain, pair.ours):
        pair.viewer.layers.selection.active = layer
        layer.mode = "paint"
        mouse.drag([(600, 800), (700, 900)])
        pair.viewer.layers.remove(layer)
    again = pair.viewer.add_labels(np.zeros((1400, 1900), np.uint8))
    again.mode = "paint"
    mouse.drag([(600, 800), (700, 900)])
    assert again.data.any()
    again.mode = "pan_zoom"


def test_an_escaped_encircling_leaves_nothing(pair, mouse, seen) -> None:
    pair.viewer.layers.selection.active = layer = pair.ours
    pair.look((700, 950), 0.5)
    layer.brush_size, layer.mode = 20, "paint"
    mouse.click((700, 900), RIGHT)
    mouse.move((800, 1000))
    assert np.asarray(layer.data[len(layer.data) - 1]).any()
    mouse.key(Qt.Key.Key_Escape)
    layer.mode = "pan_zoom"
    assert not np.asarray(layer.data).any() and not seen.edits
    layer.paint((50, 50), 1)
    assert len(seen.edits) == 1


def test_a_napari_that_lacks_a_name_gets_the_plain_way(viewer, monkeypatch, seen, qtbot) -> None:
    """An ordinary layer over the part in view, whose strokes and undo reach the pyramid."""
    from napari_medseg.core.labelpyramid import LabelPyramid, MemoryTiles

    monkeypatch.setattr(private_names, "missing", lambda: ["napari.layers:Labels._draw"])
    pyramid = LabelPyramid((5000, 6000), np.uint8, MemoryTiles())
    layer = opening.add_labels(
        viewer, pyramid, region=((1000, 1500), (2000, 2800)), on_edit=seen.on_edit, scale=(0.5, 0.5)
    )
    message = notification_manager.records[-1].message
    assert "lacks napari.layers:Labels._draw" in message and "part in view" in message
    assert layer.data.shape == (500, 800) and layer.translate.tolist() == [500, 1000]
    layer.paint((100, 200), 3)
    qtbot.waitUntil(lambda: len(seen.edits) == 1)
    assert pyramid.read(0, ((1100, 1101), (2200, 2201)))[0, 0] == 3
    layer.undo()
    qtbot.waitUntil(lambda: len(seen.edits) == 2)
    assert pyramid.max_label == 0


def test_this_napari_has_all_names_and_a_missing_one_is_found() -> None:
    assert private_names.missing() == []
    found = private_names.missing(
        {"napari.layers:Labels": ("paint", "_gone"), "napari.gone": ("x",), "napari:Gone": ()}
    )
    assert found == ["napari.layers:Labels._gone", "napari.gone", "napari:Gone"]
    assert "_gone" in private_names.sentence(found)
