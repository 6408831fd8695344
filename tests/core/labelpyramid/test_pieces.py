"""The parts that are hard, each beside an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_medseg.core.edits import TileKey
from napari_medseg.core.labelpyramid import FINE_PX, TileGrid, edit_level
from napari_medseg.core.labelpyramid.filling import connected
from napari_medseg.core.labelpyramid.resample import doubled, halved, magnified
from napari_medseg.core.labelpyramid.slab import Slab
from napari_medseg.core.pyramid import downsample

shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(hnp.arrays(np.int32, shapes, elements=st.sampled_from((-2, 0, 1, 2, 3))))
def test_half_is_the_mode_as_elsewhere(labels: np.ndarray) -> None:
    kept = labels.copy()
    np.testing.assert_array_equal(halved(labels), downsample(labels, 2, "labels"))
    halved(labels)[...] = 9
    np.testing.assert_array_equal(labels, kept)


@given(hnp.arrays(np.uint16, shapes), st.data())
def test_half_of_double_is_the_same(labels: np.ndarray, data: st.DataObject) -> None:
    height, width = (2 * size - data.draw(st.integers(0, 1)) for size in labels.shape)
    large = doubled(labels, (height, width))
    np.testing.assert_array_equal(large, magnified(labels, 2)[:height, :width])
    np.testing.assert_array_equal(halved(large), labels)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)), st.data())
def test_connected_is_what_labelling_finds(mask: np.ndarray, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    rows, columns = (
        np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=count, max_size=count))) for size in mask.shape
    )
    parts, _ = ndimage.label(mask)
    expected = np.isin(parts, parts[rows, columns]) & mask
    np.testing.assert_array_equal(connected(mask, rows, columns), expected)


@given(st.floats(0.1, 200_000))
def test_the_edge_of_a_big_shape_is_fine(extent_px: float) -> None:
    level = edit_level(extent_px)
    assert level == 0 if extent_px <= FINE_PX else 2**level <= np.ceil(extent_px) / 256


@pytest.mark.parametrize(
    ("extent_px", "level"), [(0, 0), (1, 0), (512, 0), (512.5, 1), (1024, 1), (1025, 2), (8163, 4), (80_000, 8)]
)
def test_one_level_more_for_each_doubling(extent_px: float, level: int) -> None:
    assert edit_level(extent_px) == level


def test_levels_of_a_whole_slide() -> None:
    grid = TileGrid((100_000, 188_000), 512)
    assert grid.top == 7
    assert grid.sizes[-1] == (782, 1469)
    assert grid.counts[0] == (196, 368)
    assert grid.extent(TileKey(0, 0, 195, 367)) == (160, 96)


@given(st.tuples(st.integers(1, 80), st.integers(1, 80)), st.sampled_from((2, 4, 6)))
def test_children_partition_their_parent(shape: tuple[int, int], tile_px: int) -> None:
    grid = TileGrid(shape, tile_px)
    for level in range(1, grid.top + 1):
        rows, columns = grid.counts[level]
        for row, column in np.ndindex(rows, columns):
            key = TileKey(0, level, row, column)
            seen = np.zeros(grid.extent(key), int)
            for child in grid.children(key):
                seen[grid.in_parent(child)] += 1
            assert (seen == 1).all()


def test_the_slab_gives_up_what_was_not_used_for_longest() -> None:
    given_up = {}
    slab = Slab(2, 4, np.dtype(np.uint8), lambda key, pixels: given_up.update({key: int(pixels[0, 0])}))
    keys = [TileKey(0, 0, 0, column) for column in range(3)]
    for number, key in enumerate(keys[:2]):
        slab.take(key)[...] = number
    assert slab.get(keys[0])[0, 0] == 0
    slab.take(keys[2])
    assert given_up == {keys[1]: 1}
    assert slab.get(keys[1]) is None
    slab.drop(keys[0])
    slab.take(keys[1])
    assert len(given_up) == 1
