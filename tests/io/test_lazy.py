from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.core.errors import InputError
from napari_medseg.io.lazy import View

STORED = np.arange(2 * 1 * 4 * 5 * 3).reshape(2, 1, 4, 5, 3)


@given(
    order=st.permutations([0, 2, 3, 4]),
    keys=st.lists(st.one_of(st.integers(0, 1), st.builds(slice, st.integers(0, 1), st.integers(1, 3))), max_size=4),
)
def test_indexes_like_the_transposed_array(order, keys):
    expected = STORED[:, 0].transpose([[0, 2, 3, 4].index(axis) for axis in order])
    view = View(STORED, tuple(order), "file")
    assert view.shape == expected.shape
    assert np.array_equal(view[tuple(keys)], expected[tuple(keys)])


@pytest.mark.parametrize("key", [..., (..., 0), (0, ...), (slice(None), ..., slice(1, 2))])
def test_ellipsis(key):
    view = View(STORED, (0, 2, 3, 4), "file")
    assert np.array_equal(view[key], STORED[:, 0][key])


def test_looks_like_an_array():
    view = View(STORED, (0, 2, 3, 4), "file")
    assert (view.ndim, view.size, len(view), view.dtype) == (4, 120, 2, STORED.dtype)
    assert np.array_equal(np.asarray(view), STORED[:, 0])
    with pytest.raises(IndexError, match="5 indices"):
        view[0, 0, 0, 0, 0]


class Damaged:
    shape = (4, 4)
    dtype = np.dtype("uint8")

    def __getitem__(self, index):
        raise OSError("unexpected end of data")


def test_damage_found_while_reading_names_the_file():
    with pytest.raises(InputError, match=r"slide.tif is damaged or incomplete.*unexpected end of data.*Copy"):
        View(Damaged(), (0, 1), "slide.tif")[:2]
