"""Stacks and the 3D view in a real window: the same mouse events and views as on an ordinary layer, the same pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_medseg.widgets._compat import camera_of

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
RIGHT = Qt.MouseButton.RightButton
SHAPE = (6, 700, 900)


@pytest.fixture
def stack(make_pair: Callable[..., Any], viewer: Any) -> Iterator[Any]:
    pair = make_pair(SHAPE)
    pair.look((350, 450), 0.7)
    yield pair
    viewer.dims.ndisplay = 2


def tool(layer: Any, mode: str, label: int, size: int = 10) -> None:
    layer.selected_label, layer.brush_size, layer.mode = label, size, mode


def test_every_tool_paints_the_slice_in_view_and_no_other(stack, mouse, viewer) -> None:
    def brush(layer: Any) -> None:
        tool(layer, "paint", 3, 60)
        mouse.drag([(150, 150), (200, 400)])

    def fill(layer: Any) -> None:
        tool(layer, "fill", 6)
        mouse.click((600, 800))

    def polygon(layer: Any) -> None:
        tool(layer, "polygon", 4)
        for corner in [(300, 500), (420, 520), (400, 700)]:
            mouse.click(corner)
        mouse.double_click((400, 700))

    def erase(layer: Any) -> None:
        tool(layer, "erase", 3, 25)
        mouse.drag([(140, 200), (320, 560)])

    def encircle(layer: Any) -> None:
        tool(layer, "paint", 8, 7)
        angles = np.linspace(0, 2 * np.pi, 30)
        ring = [(480 + 90 * np.sin(a), 250 + 90 * np.cos(a)) for a in angles]
        mouse.click(ring[0], RIGHT)
        for place in ring[1:]:
            mouse.move(place)

    def ball(layer: Any) -> None:
        layer.n_edit_dimensions = 3
        tool(layer, "paint", 9, 41)
        mouse.drag([(300, 300), (310, 380)])
        layer.n_edit_dimensions = 2

    def preserve(layer: Any) -> None:
        layer.preserve_labels = True
        tool(layer, "paint", 5, 120)
        mouse.drag([(200, 200), (400, 600)])
        layer.preserve_labels = False

    actions = {brush: 0, fill: 1, polygon: 2, erase: 0, encircle: 4, ball: 3, preserve: 0}
    for action, number in actions.items():
        viewer.dims.set_point(0, number)
        QApplication.processEvents()
        before = stack.plain.data.copy()
        stack.both(action)
        changed = np.flatnonzero((before != stack.plain.data).any((1, 2)))
        assert changed.tolist() == ([0, 1, 2, 3, 4, 5] if action is ball else [number]), action
        stack.assert_same()
    for _ in actions:
        stack.both(lambda _: mouse.key(Qt.Key.Key_Z, CTRL))
        stack.assert_same()
    assert not stack.plain.data.any()
    for _ in actions:
        stack.both(lambda _: mouse.key(Qt.Key.Key_Z, CTRL | SHIFT))
        stack.assert_same()


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0)])
def test_slices_across_the_stack_are_painted_as_those_of_an_ordinary_one(stack, mouse, viewer, order) -> None:
    viewer.dims.order = order
    viewer.dims.set_point(order[0], 300)
    viewer.reset_view()
    QApplication.processEvents()

    def brush(layer: Any) -> None:
        tool(layer, "paint", 2, 3)
        centre = camera_of(viewer).center[-2:]
        mouse.drag([(centre[0] - 1, centre[1] - 20), (centre[0] + 1, centre[1] + 20)])

    stack.both(brush)
    assert stack.plain.data.any()
    stack.assert_same()


def test_in_3d_it_shows_and_answers_what_an_ordinary_layer_does(viewer, make_layer) -> None:
    """Levels that napari shows in 3D are the coarsest; here there is one, as of any stack that fits a graphics card."""
    shape = (20, 60, 64)
    plain = viewer.add_labels(np.zeros(shape, np.uint8))
    ours = viewer.add_layer(make_layer(shape))
    rng = np.random.default_rng(0)
    for layer in (plain, ours):
        layer.data_setitem(tuple(rng.integers(0, size, 400) for size in shape), 1 + rng.integers(0, 5, 400))
        rng = np.random.default_rng(0)
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    QApplication.processEvents()
    np.testing.assert_array_equal(ours._slice.image.raw, plain._slice.image.raw)
    hits = []
    for place in np.random.default_rng(1).uniform((0, 0, 0), shape, (40, 3)):
        ray = {"view_direction": (1, 0, 0), "dims_displayed": [0, 1, 2]}
        values = [layer.get_value(place, **ray) for layer in (plain, ours)]
        assert (values[0] or 0) == (values[1] or 0)
        hits.append(values[0] or 0)
    assert any(hits)
    ours.data_setitem((np.array([3]), np.array([4]), np.array([5])), 9)
    plain.data_setitem((np.array([3]), np.array([4]), np.array([5])), 9)
    np.testing.assert_array_equal(ours._slice.image.raw, plain._slice.image.raw)
    viewer.dims.ndisplay = 2


@pytest.mark.parametrize("contour", [1, 4])
def test_outlines_at_full_zoom_are_those_of_an_ordinary_layer(pair, mouse, contour: int) -> None:
    pair.look((700, 950), 1.5)
    assert pair.ours.data_level == 0

    def paint(layer: Any) -> None:
        layer.contour = contour
        for label, row in ((3, 620), (4, 680), (5, 740)):
            tool(layer, "paint", label, 90)
            mouse.drag([(row, 800), (row + 20, 1000)])

    pair.both(paint)
    pictures = []
    for shown in (pair.plain, pair.ours):
        pair.plain.visible, pair.ours.visible = shown is pair.plain, shown is pair.ours
        pictures.append(pair.viewer.screenshot(canvas_only=True, flash=False))
    assert np.ptp(pictures[0]) > 0
    np.testing.assert_array_equal(pictures[0], pictures[1])
