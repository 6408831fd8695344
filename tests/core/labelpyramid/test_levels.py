"""Levels as arrays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.core.errors import InputError
from napari_medseg.core.labelpyramid import LabelPyramid, LevelView, MemoryTiles

SHAPE = (2, 3, 75, 90)


def filled(shape: tuple[int, ...] = SHAPE) -> tuple[LabelPyramid, np.ndarray]:
    array = np.random.default_rng(0).integers(0, 200, shape).astype(np.uint8)
    pyramid = LabelPyramid(shape, np.uint8, MemoryTiles(), tile_px=16)
    with pyramid.editing():
        for plane, index in enumerate(np.ndindex(*shape[:-2])):
            pyramid.write(array[index], (0, 0), plane)
    return pyramid, array


PYRAMID, ARRAY = filled()


def keys(size: int) -> st.SearchStrategy:
    ends = st.none() | st.integers(-size - 2, size + 2)
    return st.integers(-size, size - 1) | st.builds(slice, ends, ends, st.none() | st.just(1) | st.just(-2))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_basic_index_reads_as_from_an_array(data) -> None:
    count = data.draw(st.integers(0, 4))
    key = tuple(data.draw(keys(size)) for size in SHAPE[:count])
    if data.draw(st.booleans()):
        key = (
            *key[: count // 2],
            ...,
            *(data.draw(keys(size)) for size in SHAPE[count // 2 + 4 - count :][: count // 2]),
        )
    try:
        expected = ARRAY[key]
    except IndexError:
        return
    found = LevelView(PYRAMID, 0)[key]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(found), expected)


def test_a_part_of_a_part() -> None:
    part = LevelView(PYRAMID, 0)[:, 1:, 10:60, 20:]
    assert isinstance(part, LevelView) and part.shape == (2, 2, 50, 70)
    np.testing.assert_array_equal(part[1, 0, 5:], ARRAY[1, 1, 15:60, 20:])
    np.testing.assert_array_equal(np.asarray(part[..., 7]), ARRAY[:, 1:, 10:60, 27])


def test_single_pixels() -> None:
    rng = np.random.default_rng(1)
    places = tuple(rng.integers(-size, size, (4, 5)) for size in SHAPE)
    np.testing.assert_array_equal(LevelView(PYRAMID, 0)[places], ARRAY[places])
    with pytest.raises(IndexError):
        LevelView(PYRAMID, 0)[tuple(np.array([size]) for size in SHAPE)]


def test_the_coarsest_level_is_live_in_the_main_thread_and_a_copy_in_others() -> None:
    pyramid, _ = filled((75, 90))
    top = LevelView(pyramid, len(pyramid.level_shapes) - 1)
    kept = np.asarray(top)
    with ThreadPoolExecutor(1) as pool:
        copy = pool.submit(np.asarray, top).result()
    np.testing.assert_array_equal(kept, copy)
    with pyramid.editing():
        pyramid.paint(np.ones((75, 90), bool), (0, 0), 0, 201)
    assert (kept == 201).all() and not (copy == 201).all()
    assert not kept.flags.writeable


def test_what_is_too_large_for_an_array_is_refused() -> None:
    level = LevelView(LabelPyramid((100_000, 188_000), np.uint8, MemoryTiles()), 0)
    with pytest.raises(InputError, match="coarser level"):
        np.asarray(level)


def test_levels_that_are_copied_together_stay_together() -> None:
    pyramid, array = filled((75, 90))
    copy = deepcopy([LevelView(pyramid, level) for level in (0, 1)])
    assert copy[0].pyramid is copy[1].pyramid is not pyramid
    with pyramid.editing():
        pyramid.paint(np.ones((75, 90), bool), (0, 0), 0, 201)
    np.testing.assert_array_equal(copy[0], array)


def test_chunks_fit_the_axes_that_are_left() -> None:
    assert LevelView(PYRAMID, 0).chunks == (1, 1, 16, 16)
    assert LevelView(PYRAMID, 0)[:, 0, :, 3].chunks == (1, 16)
