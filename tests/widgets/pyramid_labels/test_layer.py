"""The layer without a window: what it holds, shows and answers, compared with an ordinary Labels layer."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from napari_builtins.io._write import napari_write_labels

from napari_medseg.core.errors import InputError
from napari_medseg.core.labelpyramid import LabelPyramid, MemoryTiles
from napari_medseg.io import open_image
from napari_medseg.widgets.pyramid_labels import follow, strokes
from napari_medseg.widgets.pyramid_labels.layer import PyramidLabels
from napari_medseg.widgets.pyramid_labels.saving import write_layer


def look(layer: Any, start: Any, stop: Any, canvas: tuple[int, int] = (200, 200)) -> None:
    """Bring a part into view, as the canvas does when it is drawn."""
    layer._update_draw(1.0, np.array([start, stop], float), canvas)


def assert_view_is_fresh(layer: PyramidLabels) -> None:
    """What strokes have patched equals what is read anew."""
    raw, view = layer._slice.image.raw.copy(), layer._slice.image.view.copy()
    layer.refresh()
    np.testing.assert_array_equal(raw, layer._slice.image.raw)
    np.testing.assert_array_equal(view, layer._slice.image.view)


@pytest.fixture
def twins(make_layer, seen):
    """An ordinary and a pyramid layer of 700 x 900 pixels, each in a viewer without a window."""
    plain, ours = Labels(np.zeros((700, 900), np.uint8)), make_layer((700, 900), on_edit=seen.on_edit)
    for layer in (plain, ours):
        ViewerModel().add_layer(layer)
    return plain, ours


def scribble(layer: Any) -> None:
    for label, size, places in ((1, 30, [(100, 100), (300, 500)]), (2, 7, [(120, 80), (290, 520), (600, 600)])):
        layer.mode, layer.brush_size = "paint", size
        with layer.block_history():
            for start, stop in zip(places, places[1:]):
                layer._draw(label, start, stop)
    layer.mode = "fill"
    layer._draw(3, (650, 850), (650, 850))
    layer.mode = "pan_zoom"


@pytest.mark.parametrize("contour", [0, 2])
@pytest.mark.parametrize(("start", "stop"), [((0, 0), (700, 900)), ((90, 120), (420, 530)), ((250, 400), (350, 560))])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_a_stroke_patches_the_view_as_reading_anew_would(make_layer, start, stop, contour, dtype) -> None:
    layer = make_layer((700, 900), dtype)
    ViewerModel().add_layer(layer)
    layer.contour = contour
    look(layer, start, stop)
    scribble(layer)
    assert layer._slice.image.raw.any()
    assert_view_is_fresh(layer)


def test_values_and_status_are_those_of_an_ordinary_layer(twins) -> None:
    plain, ours = twins
    for layer in twins:
        scribble(layer)
        layer.features = {"index": [0, 1, 2, 3], "name": ["none", "one", "two", "three"]}
    look(ours, (0, 0), (700, 900))
    assert ours.data_level > 0
    for place in [
        (100, 100),
        (120.4, 80.6),
        (5, 5),
        (600, 600),
        (650, 850),
        (-0.4, 899.4),
        (-3, 5),
        (10, 900),
        (700, 0),
    ]:
        assert ours.get_value(place) == plain.get_value(place), place
        assert ours.get_status(place)["coordinates"] == plain.get_status(place)["coordinates"].replace("plain", "ours")
        assert ours._get_tooltip_text(np.array(place)) == plain._get_tooltip_text(np.array(place))
    assert ours.get_value((10, 900)) is None
    assert type(ours.get_value((120, 80)) + 0) is int


def test_factors_are_powers_of_two_where_sides_are_odd(make_layer) -> None:
    layer = make_layer((1001, 777))
    assert layer.downsample_factors.tolist() == [[2.0**k, 2.0**k] for k in range(len(layer.data))]


def test_the_level_cannot_be_fixed(make_layer) -> None:
    layer = make_layer((1001, 777))
    layer.locked_data_level = 0
    assert layer.locked_data_level is None and layer._locked_data_level is None
    assert layer.data_level == len(layer.data) - 1


def test_new_label_follows_the_largest_in_use(twins) -> None:
    _, ours = twins
    scribble(ours)
    ours.select_new_label()
    assert ours.selected_label == 4
    ours.select_new_label()
    assert ours.selected_label == 4
    ours.mode = "fill"
    ours._draw(255, (1, 1), (1, 1))
    ours.select_new_label()
    assert ours.selected_label == 4


def test_setting_pixels_is_one_step_and_allocates_no_box_around_them(seen) -> None:
    pyramid = LabelPyramid((100_000, 188_000), np.uint8, MemoryTiles())
    layer = PyramidLabels(pyramid, on_edit=seen.on_edit)
    layer.data_setitem((np.array([0, 99_999, -1]), np.array([0, 187_999, 5])), np.array([3, 4, 5]))
    assert [layer.data[0, 0], layer.data[99_999, 187_999], layer.data[99_999, 5]] == [3, 4, 5]
    assert seen.names == ["Set pixels"]
    layer.data_setitem((np.array([7]), np.array([8])), 9)
    layer.undo()
    assert layer.data[7, 8] == 0 and layer.data[0, 0] == 3


def test_assigning_data_replaces_the_labels_in_one_step(twins, seen) -> None:
    plain, ours = twins
    scribble(plain)
    ours.data = plain.data
    np.testing.assert_array_equal(ours.data, plain.data)
    assert seen.names == ["Replaced all labels"]
    ours.undo()
    assert not np.asarray(ours.data).any()
    with pytest.raises(InputError, match="shape"):
        ours.data = np.zeros((3, 3), np.uint8)
    ours.data = ours.data
    assert len(seen.edits) == 1


def test_undo_and_redo_may_come_from_outside(make_layer) -> None:
    called = []
    layer = make_layer((300, 300), undo=lambda: called.append("undo"), redo=lambda: called.append("redo"))
    layer.paint((100, 100), 1)
    layer.undo()
    layer.redo()
    assert called == ["undo", "redo"] and layer.data[100, 100] == 1


def test_undo_in_the_middle_of_a_stroke_does_nothing(make_layer) -> None:
    layer = make_layer((300, 300))
    layer.paint((50, 50), 1)
    with layer.block_history():
        layer.paint((100, 100), 1)
        layer.undo()
    assert layer.data[50, 50] == layer.data[100, 100] == 1
    layer.undo()
    assert layer.data[50, 50] == 1 and layer.data[100, 100] == 0


def test_memory_of_undo_is_bounded(make_layer, monkeypatch) -> None:
    monkeypatch.setattr("napari_medseg.widgets.pyramid_labels.history.MOST_BYTES", 2000)
    layer = make_layer((700, 900))
    for step in range(40):
        layer.paint((100 + 10 * step, 100 + 15 * step), 1 + step)
    edits = layer._memory._done
    assert 1 < len(edits) < 40
    for _ in range(40):
        layer.undo()
    assert np.asarray(layer.data).any()


def test_a_stroke_that_changes_nothing_leaves_no_step(make_layer, seen) -> None:
    layer = make_layer((300, 300), on_edit=seen.on_edit)
    with layer.block_history():
        layer.paint((50, 50), 0)
    layer.fill((50, 50), 0)
    layer.paint((-100, -100), 1)
    assert not seen.edits
    with layer.pyramid.editing():
        pass


def test_a_long_stroke_is_drafted(make_layer, monkeypatch) -> None:
    monkeypatch.setattr(strokes, "DRAFT_EVERY_S", 0.0)
    drafts, done = [], []
    layer = make_layer((300, 300), on_draft=drafts.append, on_edit=lambda edit, _: done.append(edit))
    with layer.block_history():
        layer.paint((100, 100), 1)
        layer.paint((200, 200), 1)
        assert not done
    assert len(drafts) == 2 and drafts[-1].changes == done[0].changes
    layer._begin_stroke()
    layer.paint((50, 50), 1)
    layer._abort_stroke()
    assert drafts[-2] is not None and drafts[-1] is None and len(done) == 1


def test_labels_that_are_only_looked_at_cannot_be_painted(make_layer) -> None:
    layer = make_layer((300, 300), may_edit=False)
    layer.mode = "paint"
    assert not layer.editable and layer.mode == "pan_zoom"


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2), (1, 2, 0)])
@pytest.mark.parametrize("edited", [2, 3])
def test_a_stack_is_painted_as_an_ordinary_one(make_layer, axes, edited) -> None:
    scale = (2.0, 1.0, 1.0)
    plain = Labels(np.zeros((9, 150, 170), np.uint8), scale=scale)
    ours = make_layer((9, 150, 170), scale=scale)
    for layer in (plain, ours):
        viewer = ViewerModel()
        viewer.add_layer(layer)
        viewer.dims.order = axes
        viewer.dims.set_point(axes[0], 5)
        look(layer, (0, 0), [layer.data.shape[axis] * scale[axis] for axis in axes[1:]], (400, 400))
        layer.n_edit_dimensions, layer.mode, layer.brush_size = edited, "paint", 9
        point = layer.world_to_data(viewer.dims.point)
        at = [(4, 60, 50), (5, 80, 90), (5, 10, 160)]
        places = [tuple(p if axis in axes[1:] else point[axis] for axis, p in enumerate(one)) for one in at]
        with layer.block_history():
            layer._draw(1, places[0], places[1])
        layer.preserve_labels = True
        layer.paint(places[1], 2)
        layer.preserve_labels = False
        layer.fill(places[0], 3)
        layer.fill(places[2], 4)
        layer.undo()
        layer.refresh() if layer is plain else None
    np.testing.assert_array_equal(ours.data, plain.data)
    assert plain.data.any()
    np.testing.assert_array_equal(ours._slice.image.raw, plain._slice.image.raw)


def test_a_polygon_in_a_stack(make_layer) -> None:
    plain, ours = Labels(np.zeros((9, 150, 170), np.uint8)), make_layer((9, 150, 170))
    for layer in (plain, ours):
        viewer = ViewerModel()
        viewer.add_layer(layer)
        viewer.dims.order = (1, 0, 2)
        viewer.dims.set_point(1, 70)
        layer.paint_polygon([(-1, 70, 10), (4, 70, 100), (8, 70, 20)], 3)
    np.testing.assert_array_equal(ours.data, plain.data)
    assert plain.data.any()


def test_the_thumbnail_follows_strokes(make_layer) -> None:
    for shape in ((700, 900), (3, 700, 900)):
        layer = make_layer(shape)
        ViewerModel().add_layer(layer)
        look(layer, (200, 300), (280, 400))
        before = layer.thumbnail.copy()
        layer.brush_size = 200
        layer.paint((1, 400, 500)[-len(shape) :], 1)
        assert (layer.thumbnail != before).any()
        painted = layer.thumbnail.copy()
        layer.refresh()
        np.testing.assert_array_equal(layer.thumbnail, painted)


def test_all_levels_are_in_memory_where_the_image_is_small(make_layer) -> None:
    layer = make_layer((90, 80))
    ViewerModel().add_layer(layer)
    assert len(layer.data) == 1
    scribbled = (40, 40)
    layer.paint(scribbled, 1)
    assert layer.get_value(scribbled) == 1
    assert_view_is_fresh(layer)


def test_a_duplicate_can_be_painted_and_stands_alone(make_layer, qtbot) -> None:
    from napari.layers._layer_actions import _duplicate_layer

    viewer, adopted = ViewerModel(), []
    stop = follow(viewer.layers, adopted.append)
    layer = viewer.add_layer(make_layer((700, 900), scale=(0.5, 0.5), name="tumour"))
    scribble(layer)
    viewer.layers.selection.active = layer
    _duplicate_layer(viewer.layers)
    qtbot.waitUntil(lambda: bool(adopted))
    copy = viewer.layers[1]
    assert [one.name for one in viewer.layers] == ["tumour", "tumour copy"] and adopted == [copy]
    assert isinstance(copy, PyramidLabels) and copy.scale.tolist() == [0.5, 0.5]
    np.testing.assert_array_equal(copy.data, layer.data)
    copy.paint((5, 5), 9)
    assert copy.data[5, 5] == 9 and layer.data[5, 5] != 9
    stop()


def test_an_extracted_level_is_an_array_that_can_be_painted(make_layer) -> None:
    from napari.layers._layer_actions import _extract_multiscale_level

    viewer = ViewerModel()
    follow(viewer.layers)
    layer = viewer.add_layer(make_layer((700, 900)))
    scribble(layer)
    (level,) = _extract_multiscale_level([layer], 1)
    viewer.add_layer(level)
    assert isinstance(level.data, np.ndarray)
    np.testing.assert_array_equal(level.data, np.asarray(layer.data[1]))
    level.paint((5, 5), 9)


@pytest.mark.parametrize("name", ["labels.ome.tif", "labels.ome.zarr", "labels", "labels.tif"])
def test_saving_keeps_level_0_and_the_pixel_size(twins, tmp_path: Path, name: str) -> None:
    _, ours = twins
    ours.scale, ours.units = (0.5, 0.5), "um"
    scribble(ours)
    (written,) = ours.save(str(tmp_path / name))
    image = open_image(written, "labels")
    np.testing.assert_array_equal(image.read()[..., 0], np.asarray(ours.data))
    assert image.geometry.scale == (0.5, 0.5)


def test_the_writers_of_the_save_dialog_write_level_0(twins, tmp_path: Path) -> None:
    _, ours = twins
    scribble(ours)
    data, meta, _ = ours.as_layer_data_tuple()
    written = (
        napari_write_labels(str(tmp_path / "labels.tif"), data, meta),
        *write_layer(str(tmp_path / "own.ome.tif"), data, meta),
    )
    for path in written:
        np.testing.assert_array_equal(open_image(path, "labels").read()[..., 0], np.asarray(ours.data))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.uint32, np.int64])
def test_types_of_labels_have_the_colours_of_an_ordinary_layer(make_layer, dtype) -> None:
    colours = DirectLabelColormap(color_dict={None: "red", 1: "blue", 100: (0, 1, 0, 1), 0: "transparent"})
    for colormap in (None, colours):
        plain, ours = Labels(np.zeros((700, 900), dtype)), make_layer((700, 900), dtype)
        for layer in (plain, ours):
            ViewerModel().add_layer(layer)
            if colormap is not None:
                layer.colormap = colormap
            layer.paint((100, 100), 100)
            layer.paint((300, 300), 1)
            layer.paint((400, 300), 7)
        look(ours, (0, 0), (700, 900), (700, 900))
        assert ours.data_level == 0
        np.testing.assert_array_equal(ours.data, plain.data)
        np.testing.assert_array_equal(ours._slice.image.view[:700, :900], plain._slice.image.view)


def test_labels_beyond_the_type_are_refused(make_layer) -> None:
    layer = make_layer((90, 80))
    with pytest.raises(ValueError, match="out of bounds"):
        layer.paint((4, 4), 256)


def test_painting_beside_the_planes_is_refused_by_name_and_passed_over_by_mouse(make_layer) -> None:
    layer = make_layer((3, 90, 80))
    ViewerModel().add_layer(layer)
    with pytest.raises(IndexError, match="outside"):
        layer.paint((3, 4, 4), 1)
    layer.mode = "paint"
    layer._draw(1, (3, 4, 4), (3, 4, 4))
    assert not np.asarray(layer.data).any()


def test_a_copied_layer_state_opens_again(make_layer) -> None:
    layer = make_layer((700, 900))
    scribble(layer)
    data, state, kind = layer.as_layer_data_tuple()
    assert kind == "labels"
    again = Labels.create(deepcopy(data), state, kind)
    np.testing.assert_array_equal(np.asarray(again.data[0]), np.asarray(layer.data))
