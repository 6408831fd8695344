"""Masks of brushes and fills, compared with what they are by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.core import brush

scales = st.sampled_from([(1.0, 1.0), (0.5, 0.5), (1.0, 2.0), (3.0, 1.0), (-1.0, 0.25)])
places = st.tuples(st.integers(-30, 130), st.integers(-30, 130))


def by_definition(centre, diameter: float, scale, shape) -> np.ndarray:
    sizes = np.abs(scale) / np.min(np.abs(scale))
    grids = np.meshgrid(*map(np.arange, shape), indexing="ij")
    distance = sum(((grid - at) * size) ** 2 for grid, at, size in zip(grids, centre, sizes))
    return distance <= brush.radius_of(diameter) ** 2


def placed(mask: np.ndarray, corner, shape) -> np.ndarray:
    """The mask in an array; what lies outside is cut off."""
    out = np.zeros([size + 2 * 1000 for size in shape], bool)
    out[tuple(slice(1000 + at, 1000 + at + length) for at, length in zip(corner, mask.shape))] = mask
    return out[tuple(slice(1000, -1000) for _ in shape)]


@given(places, st.integers(1, 90), scales)
@settings(max_examples=60, deadline=None)
def test_a_disc_at_level_0_has_the_pixels_within_its_radius(centre, diameter, scale) -> None:
    mask, corner = brush.disc(centre, diameter, scale, 0)
    np.testing.assert_array_equal(placed(mask, corner, (100, 110)), by_definition(centre, diameter, scale, (100, 110)))


@given(places, st.integers(40, 300), scales, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_disc_at_a_coarse_level_differs_only_along_its_edge(centre, diameter, scale, level) -> None:
    shape, factor = (128, 128), 1 << level
    mask, corner = brush.disc(centre, diameter, scale, level)
    coarse = placed(mask, corner, tuple(size // factor for size in shape))
    fine = np.repeat(np.repeat(coarse, factor, axis=0), factor, axis=1)
    widest = factor * max(np.abs(scale)) / min(np.abs(scale))
    inner = by_definition(centre, max(0, diameter - 2 * widest), scale, shape)
    outer = by_definition(centre, diameter + 2 * widest, scale, shape)
    assert (fine | ~inner).all() and (~fine | outer).all()


@given(st.tuples(*[st.integers(-5, 25)] * 3), st.integers(1, 15), st.sampled_from([(1, 1, 1), (2.5, 0.5, 0.5)]))
@settings(max_examples=40, deadline=None)
def test_a_ball_cut_into_planes_has_the_pixels_within_its_radius(centre, diameter, scale) -> None:
    shape = (9, 20, 22)
    found = brush.ball(centre, diameter, scale, shape)
    out = np.zeros(shape, bool)
    if found is not None:
        for plane, mask, corner in brush.stamps(*found, (0, 1, 2), centre, shape):
            out[plane] |= placed(mask, corner, shape[1:])
    np.testing.assert_array_equal(out, by_definition(centre, diameter, scale, shape))


def test_a_mask_along_other_axes_is_cut_into_lines() -> None:
    mask = np.array([[True, False, True], [False, False, False]])
    found = list(brush.stamps(mask, (3, 5), (1, 2), (0, 0, 0, 7), (2, 6, 9, 8)))
    assert [(stamp.plane, stamp.corner) for stamp in found] == [(3, (5, 7))]
    assert found[0].mask.tolist() == [[True], [False], [True]]


@pytest.mark.parametrize(("contiguous", "expected"), [(True, 2), (False, 3)])
def test_alike(contiguous, expected) -> None:
    labels = np.array([[1, 1, 0], [0, 0, 1]])
    assert brush.alike(labels, (0, 0), contiguous).sum() == expected


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_pixels_are_sorted_by_tile_without_loss(data) -> None:
    shape = (2, 3, 40, 50)
    count = data.draw(st.integers(0, 60))
    indices = [np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=count, max_size=count)), int) for n in shape]
    groups = list(brush.by_tile(indices, shape, 16))
    tiles = [(group.plane, int(group.rows[0]) // 16, int(group.columns[0]) // 16) for group in groups]
    assert len(set(tiles)) == len(tiles)
    assert sorted(np.concatenate([group.chosen for group in groups], axis=None).tolist() if groups else []) == list(
        range(count)
    )
    for group in groups:
        assert np.ptp(group.rows // 16) == np.ptp(group.columns // 16) == 0
        np.testing.assert_array_equal(group.rows, indices[2][group.chosen])
        np.testing.assert_array_equal(indices[0][group.chosen] * 3 + indices[1][group.chosen], group.plane)
