from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_medseg.io import pyramid


def test_levels_halve_y_and_x_until_small():
    assert pyramid.level_shapes((7, 3001, 2050), "zyx") == [(7, 3001, 2050), (7, 1501, 1025), (7, 751, 513)]
    assert pyramid.level_shapes((640, 640, 3), "yxc") == [(640, 640, 3)]


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.integers(1, 3)),
    tile=st.sampled_from([4, 8, 16]),
)
def test_boxes_cover_each_value_once(shape, tile):
    count = np.zeros(shape, int)
    for box in pyramid.boxes(shape, "zyxc", tile):
        count[box] += 1
        assert count[box].shape[1] <= tile and count[box].shape[3] == shape[3]
    assert (count == 1).all()


def test_boxes_within_a_region_cover_it_and_leave_the_far_out():
    touched = np.zeros((40, 40), int)
    for box in pyramid.boxes((40, 40), "yx", 8, within=(slice(9, 20), slice(0, 3))):
        touched[box] += 1
    assert (touched[9:20, 0:3] == 1).all()
    assert touched[:8].sum() == 0 and touched[:, 8:].sum() == 0


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)))
def test_halved_labels_are_the_commonest_of_four(labels):
    halved = pyramid.halve(labels, "yx", labels=True)
    even = np.pad(labels, [(0, size % 2) for size in labels.shape], mode="edge")
    for y, x in np.ndindex(halved.shape):
        block = even[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel()
        assert (block == halved[y, x]).sum() == np.bincount(block).max()


@given(hnp.arrays(np.float32, (6, 4, 2), elements=st.floats(-100, 100, width=16)))
def test_halved_intensities_are_means(block):
    expected = block.reshape(3, 2, 2, 2, 2).mean(axis=(1, 3))
    assert np.allclose(pyramid.halve(block, "yxc", labels=False), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float64", "bool"])
def test_halving_keeps_the_type_and_constants(dtype):
    top = np.ones((5, 3), dtype) if dtype == "bool" else np.full((5, 3), 100, dtype)
    halved = pyramid.halve(top, "yx", labels=False)
    assert halved.dtype == top.dtype and halved.shape == (3, 2) and (halved == top[0, 0]).all()
