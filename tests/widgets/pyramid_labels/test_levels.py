"""Levels as the data of a layer."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.core.errors import InputError
from napari_medseg.core.labelpyramid import LabelPyramid, MemoryTiles
from napari_medseg.widgets.pyramid_labels.levels import PyramidData


def test_data_stands_for_level_0() -> None:
    array = np.random.default_rng(0).integers(0, 200, (75, 90)).astype(np.uint8)
    pyramid = LabelPyramid((75, 90), np.uint8, MemoryTiles(), tile_px=16)
    with pyramid.editing():
        pyramid.write(array, (0, 0))
    data = PyramidData(pyramid)
    np.testing.assert_array_equal(np.asarray(data), array)
    np.testing.assert_array_equal(data[10:20, 30], array[10:20, 30])
    assert np.asarray(data, dtype=np.int32).dtype == np.int32 and np.max(data) == array.max()
    assert [level.shape for level in data] == [(75, 90), (38, 45)]


def test_what_is_too_large_for_an_array_is_refused() -> None:
    data = PyramidData(LabelPyramid((100_000, 188_000), np.uint8, MemoryTiles()))
    for read in (lambda: np.asarray(data), lambda: data.astype(int), lambda: data[:, ::2]):
        with pytest.raises(InputError, match="coarser level"):
            read()
    assert data.shape == (100_000, 188_000) and data[5].shape == (3125, 5875)
    assert data[50_000:50_010, 7].shape == (10,)
