"""New labels in the place of all that a pyramid holds: the same as if they had been written into an empty one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.core.labelpyramid import LabelPyramid, MemoryTiles, TileGrid
from napari_medseg.core.labelpyramid.replacing import encoded, replacement

TILE = 8


def whole(pyramid: LabelPyramid) -> np.ndarray:
    planes = [pyramid.read(0, tuple((0, size) for size in pyramid.shape[-2:]), n) for n in range(pyramid.grid.planes)]
    return np.array(planes).reshape(pyramid.shape)


def labels(shape: tuple[int, ...], seed: int, most: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, most + 1, shape, dtype=np.uint8)
    return coarse.repeat(3, axis=-1)[..., : shape[-1]]


@settings(max_examples=40, deadline=None)
@given(
    leading=st.sampled_from([(), (1,), (3,), (2, 2)]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    seed=st.integers(0, 99),
    most=st.integers(0, 3),
)
def test_replacing_is_writing_and_undo_is_the_identity(leading, height, width, seed, most):
    shape = (*leading, height, width)
    old, new = labels(shape, seed, 3), labels(shape, seed + 1, most)
    tiles = MemoryTiles()
    pyramid = LabelPyramid(shape, np.uint8, tiles, TILE)
    with pyramid.editing():
        for plane, picture in enumerate(old.reshape(-1, height, width)):
            pyramid.write(picture, (0, 0), plane)
        pyramid.paint(np.ones((min(4, height), min(4, width)), bool), (0, 0), 0, 5)
    before, blobs = whole(pyramid), dict(tiles.blobs)
    made = encoded(new.reshape(-1, height, width), pyramid.grid, np.uint8)
    edit = replacement(pyramid.grid, tiles, made)
    if edit is None:
        np.testing.assert_array_equal(before, new)
        return
    pyramid.apply(edit.changes)
    np.testing.assert_array_equal(whole(pyramid), new)
    assert tiles.blobs == made
    fresh = LabelPyramid(shape, np.uint8, MemoryTiles(), TILE)
    with fresh.editing():
        for plane, picture in enumerate(new.reshape(-1, height, width)):
            fresh.write(picture, (0, 0), plane)
    for level, size in enumerate(pyramid.grid.sizes):
        box = tuple((0, n) for n in size)
        np.testing.assert_array_equal(pyramid.read(level, box), fresh.read(level, box))
    pyramid.apply(edit.inverse().changes)
    np.testing.assert_array_equal(whole(pyramid), before)
    assert tiles.blobs == blobs


def test_the_same_labels_are_no_edit():
    grid = TileGrid((20, 30), TILE)
    new = encoded([labels((20, 30), 0, 3)], grid, np.uint8)
    tiles = MemoryTiles()
    edit = replacement(grid, tiles, new)
    assert edit is not None and edit.box == ((0, 20), (0, 30))
    tiles.put(edit.changes)
    assert replacement(grid, tiles, new) is None
