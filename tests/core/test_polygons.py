from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from napari_medseg.core.polygons import Filled, Outline, ellipse


def filled(shape: tuple[int, ...], corners, plane: tuple[int, ...] = ()) -> Filled:
    return Filled(shape, [Outline(plane, np.array(corners, float))])


def test_pixels_on_the_outline_are_inside() -> None:
    area = filled((20, 30), [(5, 10), (5, 14), (9, 14), (9, 10)])[:]
    expected = np.zeros((20, 30), np.uint8)
    expected[5:10, 10:15] = 1
    np.testing.assert_array_equal(area, expected)
    assert area.dtype == np.uint8


@given(st.integers(0, 2**16), st.integers(3, 12))
def test_as_scikit_image_fills(seed: int, corners: int) -> None:
    outline = np.random.default_rng(seed).uniform(-5, 35, (corners, 2))
    pixels = np.indices((25, 30)).reshape(2, -1).T
    expected = points_in_poly(pixels, outline).reshape(25, 30)
    assert (filled((25, 30), outline)[:] != expected).sum() <= 1  # a pixel may lie within rounding of the line


@given(st.integers(0, 2**16))
def test_a_part_is_the_part_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    area = Filled(
        (3, 40, 50), [Outline((int(plane),), rng.uniform(-10, 60, (5, 2))) for plane in rng.integers(0, 3, 4)]
    )
    whole = area[:]
    y, x = np.sort(rng.integers(0, 40, 2)), np.sort(rng.integers(0, 50, 2))
    for index in [(1,), (slice(1, 2), slice(*y), slice(*x)), (Ellipsis, slice(*x)), (2, slice(*y), 7),
                  (slice(None), slice(3, 30, 4), slice(None, None, 3))]:  # fmt: skip
        np.testing.assert_array_equal(area[index], whole[index])


def test_an_outline_lies_in_its_plane() -> None:
    area = filled((2, 3, 8, 8), [(1, 1), (1, 6), (6, 6), (6, 1)], plane=(1, 2))
    assert area[1, 2].sum() == 36 and area[:].sum() == 36


def test_outlines_that_overlap_are_joined() -> None:
    box = np.array([(1, 1), (1, 4), (4, 4), (4, 1)], float)
    area = Filled((10, 10), [Outline((), box), Outline((), box + 2)])[:]
    assert area.sum() == 16 + 16 - 4


def test_a_hole_stays_empty_where_an_outline_goes_round_twice() -> None:
    outer, inner = [(0, 0), (0, 9), (9, 9), (9, 0), (0, 0)], [(3, 3), (3, 6), (6, 6), (6, 3), (3, 3)]
    area = filled((10, 10), outer + inner)[:]
    assert area[4, 4] == 0 and area[1, 1] == 1


def test_what_lies_outside_the_image_is_cut_off() -> None:
    assert filled((10, 10), [(-50, -50), (-50, 5.5), (4.5, 5.5), (4.5, -50)])[:].sum() == 5 * 6
    assert not filled((10, 10), [(20, 20), (20, 30), (30, 30)])[:].any()


@pytest.mark.parametrize("turned", [0, 30])
def test_an_ellipse_fills_its_box(turned: float) -> None:
    c, s = np.cos(np.deg2rad(turned)), np.sin(np.deg2rad(turned))
    box = np.array([(-30, -15), (-30, 15), (30, 15), (30, -15)]) @ np.array([[c, -s], [s, c]]) + 50
    area = filled((100, 100), ellipse(box))[:]
    assert area.sum() == pytest.approx(np.pi * 30 * 15, rel=0.02)
    np.testing.assert_allclose(np.argwhere(area).mean(axis=0), 50, atol=0.2)
