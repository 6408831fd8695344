"""Large brushes and polygons, whose edges have steps."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels
from scipy import ndimage as ndi

from napari_medseg.core.labelpyramid import LabelPyramid, MemoryTiles
from napari_medseg.widgets.pyramid_labels.layer import PyramidLabels


def twins(shape: tuple[int, int], scale: tuple[float, float] = (1.0, 1.0)) -> tuple[Labels, PyramidLabels]:
    pyramid = LabelPyramid(shape, np.uint8, MemoryTiles())
    return Labels(np.zeros(shape, np.uint8), scale=scale), PyramidLabels(pyramid, scale=scale)


def widest_difference(a: np.ndarray, b: np.ndarray) -> float:
    """How far a pixel that differs is from the nearest one that does not."""
    return float(ndi.distance_transform_edt(a != b).max())


@pytest.mark.parametrize(("size", "exact"), [(512, True), (700, False), (1500, False), (2600, False)])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (1.0, 2.0)])
def test_the_edge_of_a_brush_is_exact_up_to_512_and_then_to_a_256th(size, exact, scale) -> None:
    plain, ours = twins((3000, 3000), scale)
    for layer in (plain, ours):
        layer.brush_size = size
        layer.paint((1501, 1703), 1)
    difference = widest_difference(plain.data, np.asarray(ours.data))
    shorter = size / max(scale)
    assert difference == 0 if exact or shorter <= 512 else 0 < difference <= shorter / 256


def test_the_outline_of_a_polygon_is_exact_to_a_256th() -> None:
    plain, ours = twins((3000, 3000))
    corners = [(-200, 100), (300, 2500), (2500, 2900), (1700, 800)]
    for layer in (plain, ours):
        layer.paint_polygon(corners, 1)
    assert 0 < widest_difference(plain.data, np.asarray(ours.data)) <= 2700 / 256


def test_the_zoom_changes_nothing() -> None:
    results = []
    for level in range(2):
        _, ours = twins((3000, 3000))
        ours.data_level = level
        ours.brush_size = 900
        ours.paint((1501, 1703), 1)
        results.append(np.asarray(ours.data))
    np.testing.assert_array_equal(*results)


def test_a_fill_at_any_zoom_stops_at_a_line_of_one_pixel() -> None:
    """Trap 9."""
    plain, ours = twins((3000, 3000))
    for layer in (plain, ours):
        layer.brush_size = 1
        rows, columns = np.arange(200, 2800), np.full(2600, 200)
        layer.data_setitem((np.r_[rows, rows, columns, columns + 2600], np.r_[columns, columns + 2600, rows, rows]), 1)
        layer.data_setitem((np.array([2800]), np.array([2800])), 1)
        layer.fill((1500, 1500), 2)
        layer.contiguous = False
        layer.fill((200, 200), 3)
    np.testing.assert_array_equal(plain.data, ours.data)
    assert ours.data[0, 0] == 0 and ours.data[201, 201] == 2
