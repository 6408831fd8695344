"""The frame around the place to paint, looked for on the real canvas."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_medseg.widgets._compat import camera_of
from napari_medseg.widgets._marker import KEY, RegionMarker

BOX = (slice(20, 50), slice(30, 80))
TURNED = np.array([[0.8, -0.6, 3], [0.6, 0.8, -4], [0, 0, 1]])


@pytest.fixture
def marker(viewer) -> RegionMarker:
    return RegionMarker(viewer)


def picture(viewer) -> np.ndarray:
    """The canvas as it is drawn: (y, x, rgb)."""
    QApplication.processEvents()
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


def is_white(canvas: np.ndarray, hand, world) -> bool:
    """Whether the canvas is white within two pixels of a point of the world."""
    place = hand.place(tuple(world)[-2:])
    return bool((canvas[place.y() - 2 : place.y() + 3, place.x() - 2 : place.x() + 3].min(-1) > 200).any())


def edges(layer, box) -> list:
    """The middle of each side of the box, in the world."""
    rows, columns = box[-2:]
    top, bottom, left, right = rows.start - 0.5, rows.stop - 0.5, columns.start - 0.5, columns.stop - 0.5
    points = [(top, (left + right) / 2), (bottom, (left + right) / 2), ((top + bottom) / 2, left)]
    points.append(((top + bottom) / 2, right))
    lead = tuple(s.start for s in box[:-2])
    return [layer.data_to_world((*lead, *point)) for point in points]


@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"scale": (0.5, 2), "translate": (7, -9)},
        {"rotate": 30, "scale": (2, 2)},
        {"affine": TURNED, "scale": (3, 1)},
        {"scale": (0.25, 0.25), "units": "um"},
    ],
    ids=["plain", "scale", "rotate", "affine", "units"],
)
def test_the_frame_lies_on_the_box(viewer, hand, marker: RegionMarker, geometry) -> None:
    layer = viewer.add_labels(np.zeros((100, 120), np.uint8), **geometry)
    viewer.reset_view()
    bare = picture(viewer)
    assert not any(is_white(bare, hand, point) for point in edges(layer, BOX))
    marker.show(layer, BOX)
    framed = picture(viewer)
    assert all(is_white(framed, hand, point) for point in edges(layer, BOX))
    assert not is_white(framed, hand, layer.data_to_world((35, 55)))
    marker.hide()
    np.testing.assert_array_equal(picture(viewer), bare)
    assert KEY not in layer._overlays


def test_the_frame_is_no_layer_and_takes_nothing(viewer, marker: RegionMarker) -> None:
    layer = viewer.add_labels(np.zeros((100, 120), np.uint8), name="paint")
    other = viewer.add_image(np.zeros((100, 120)))
    viewer.layers.selection.active = layer
    layer.mode = "paint"
    layers, state = list(viewer.layers), str(layer.as_layer_data_tuple()[1])
    marker.show(layer, BOX)
    assert list(viewer.layers) == layers
    assert viewer.layers.selection.active is layer
    assert set(viewer.layers.selection) == {layer}
    assert layer.mode == "paint"
    assert str(layer.as_layer_data_tuple()[1]) == state
    assert other.visible


def test_the_next_box_takes_the_place_of_the_last(viewer, hand, marker: RegionMarker) -> None:
    layer = viewer.add_labels(np.zeros((100, 120), np.uint8))
    viewer.reset_view()
    marker.show(layer, BOX)
    other = (slice(60, 90), slice(5, 25))
    marker.show(layer, other)
    drawn = picture(viewer)
    assert not is_white(drawn, hand, edges(layer, BOX)[0])
    assert is_white(drawn, hand, edges(layer, other)[0])


def test_in_a_stack_it_is_seen_in_its_plane_only(viewer, hand, marker: RegionMarker) -> None:
    layer = viewer.add_labels(np.zeros((5, 100, 120), np.uint8), scale=(4, 1, 1), translate=(8, 0, 0))
    viewer.dims.set_current_step(0, 3)
    viewer.reset_view()
    box = (slice(3, 4), *BOX)
    marker.show(layer, box)
    place = edges(layer, box)[0]
    assert is_white(picture(viewer), hand, place)
    viewer.dims.set_current_step(0, 2)
    assert not is_white(picture(viewer), hand, place)
    assert marker.box == box
    viewer.dims.set_current_step(0, 3)
    assert is_white(picture(viewer), hand, place)


def test_it_follows_another_order_of_the_axes_and_leaves_3d(viewer, hand, marker: RegionMarker) -> None:
    layer = viewer.add_labels(np.zeros((40, 100, 120), np.uint8))
    box = (slice(10, 11), *BOX)
    viewer.dims.set_current_step(0, 10)
    marker.show(layer, box)
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 30)
    viewer.reset_view()
    centre = np.array(camera_of(viewer).center)[-2:]
    assert is_white(picture(viewer), hand, (9.5, 55)), centre
    assert is_white(picture(viewer), hand, (10.5, 55))
    viewer.dims.set_current_step(1, 70)
    assert not is_white(picture(viewer), hand, (9.5, 55))
    viewer.dims.set_current_step(1, 30)
    viewer.dims.ndisplay = 3
    assert not layer._overlays[KEY].visible
    viewer.dims.ndisplay = 2
    assert layer._overlays[KEY].visible


def test_a_layer_of_fewer_axes_than_the_viewer(viewer, hand, marker: RegionMarker) -> None:
    viewer.add_image(np.zeros((4, 100, 120)))
    layer = viewer.add_labels(np.zeros((100, 120), np.uint8))
    viewer.reset_view()
    marker.show(layer, BOX)
    assert is_white(picture(viewer), hand, edges(layer, BOX)[2])


def test_it_goes_with_new_paint_and_not_with_the_eraser(viewer, marker: RegionMarker) -> None:
    layer = viewer.add_labels(np.zeros((100, 120), np.uint8))
    layer.data[25, 35] = 1
    marker.show(layer, BOX)
    layer.data[0, 0] = 1
    marker.hide_if_painted()
    layer.data[25, 35] = 0
    marker.hide_if_painted()
    assert marker.box == BOX
    layer.data[26, 36] = 2
    marker.hide_if_painted()
    assert marker.box is None


def test_a_hidden_layer_hides_its_frame(viewer, hand, marker: RegionMarker) -> None:
    layer = viewer.add_labels(np.zeros((100, 120), np.uint8))
    viewer.reset_view()
    marker.show(layer, BOX)
    layer.visible = False
    assert not is_white(picture(viewer), hand, edges(layer, BOX)[0])
    layer.visible = True
    assert is_white(picture(viewer), hand, edges(layer, BOX)[0])


def test_a_removed_layer_leaves_nothing_behind(viewer, marker: RegionMarker) -> None:
    layer = viewer.add_labels(np.zeros((100, 120), np.uint8))
    marker.show(layer, BOX)
    viewer.layers.remove(layer)
    viewer.dims.ndisplay = 3
    marker.hide()
    assert marker.box is None
    marker.hide()
