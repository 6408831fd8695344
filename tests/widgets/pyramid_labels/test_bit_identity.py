"""The same mouse events on an ordinary layer and on ours leave the same pixels, whatever the zoom."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
RIGHT = Qt.MouseButton.RightButton


def ring(centre: tuple[float, float], radius: float, count: int = 24) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, count)
    return [(centre[0] + radius * np.sin(a), centre[1] + radius * np.cos(a)) for a in angles]


def tool(layer: Any, mode: str, label: int = 1, size: int = 10) -> None:
    layer.selected_label = label
    layer.brush_size = size
    layer.mode = mode


def encircle(mouse: Any, places: list[tuple[float, float]]) -> None:
    mouse.click(places[0], RIGHT)
    for place in places[1:]:
        mouse.move(place)


def polygon(mouse: Any, corners: list[tuple[float, float]]) -> None:
    for corner in corners:
        mouse.click(corner)
    mouse.double_click(corners[-1])


def test_every_tool_leaves_the_same_pixels_as_on_an_ordinary_layer(pair, mouse, seen) -> None:
    pair.look((700, 950), 0.5)

    def brush(layer: Any) -> None:
        tool(layer, "paint", 3, 90)
        mouse.drag([(300, 300), (310, 500), (600, 900)])

    def rings(layer: Any) -> None:
        tool(layer, "paint", 5, 9)
        mouse.drag(ring((900, 600), 200))

    def fill(layer: Any) -> None:
        tool(layer, "fill", 6)
        mouse.click((900, 600))

    def polygons(layer: Any) -> None:
        tool(layer, "polygon", 4)
        polygon(mouse, [(200, 1200), (500, 1250), (560, 1700), (150, 1500)])

    def erase(layer: Any) -> None:
        tool(layer, "erase", 3, 41)
        mouse.drag([(250, 350), (650, 850)])

    def preserve(layer: Any) -> None:
        layer.preserve_labels = True
        tool(layer, "paint", 7, 150)
        mouse.drag([(850, 300), (900, 900)])
        layer.preserve_labels = False

    def encircled(layer: Any) -> None:
        tool(layer, "paint", 8, 12)
        encircle(mouse, ring((1000, 1400), 160, 40))

    def edge(layer: Any) -> None:
        tool(layer, "paint", 9, 200)
        mouse.drag([(1390, 1880), (1300, 1890)])

    actions = [brush, rings, fill, polygons, erase, preserve, encircled, edge]
    views = [((700, 950), 0.4), ((900, 600), 0.9), ((900, 600), 1.3), ((500, 1300), 0.5)]
    views += [((500, 600), 0.7), ((900, 600), 0.25), ((1000, 1400), 0.9), ((1200, 1700), 1.0)]
    for view, action in zip(views, actions):
        pair.look(*view)
        before = pair.plain.data.copy()
        pair.both(action)
        assert (before != pair.plain.data).any(), action
        pair.assert_same()

    states = []
    for number in range(len(actions)):
        states.append(pair.plain.data.copy())
        pair.look(*views[(number + 1) % len(views)])
        pair.both(lambda _: mouse.key(Qt.Key.Key_Z, CTRL))
        pair.assert_same()
    assert not pair.plain.data.any()
    for state in reversed(states):
        pair.both(lambda _: mouse.key(Qt.Key.Key_Z, CTRL | SHIFT))
        pair.assert_same()
        np.testing.assert_array_equal(pair.plain.data, state)
    assert len(seen.edits) == len(actions)
    assert [name.split()[0] for name in seen.names] == [
        "Painted", "Painted", "Filled", "Polygon", "Erased", "Painted", "Encircled", "Painted",
    ]  # fmt: skip


def test_what_is_on_screen_is_what_an_ordinary_layer_shows(pair, mouse) -> None:
    pair.look((700, 950), 1.5)
    assert pair.ours.data_level == 0

    def paint(layer: Any) -> None:
        tool(layer, "paint", 3, 90)
        mouse.drag([(600, 700), (700, 1000)])

    pair.both(paint)
    pictures = []
    for shown in (pair.plain, pair.ours):
        pair.plain.visible, pair.ours.visible = shown is pair.plain, shown is pair.ours
        pictures.append(pair.viewer.screenshot(canvas_only=True, flash=False))
    assert np.ptp(pictures[0]) > 0
    np.testing.assert_array_equal(pictures[0], pictures[1])
