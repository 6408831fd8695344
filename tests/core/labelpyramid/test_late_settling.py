"""The dabs of a stroke leave the coarser levels for later; whoever looks, whenever, sees no difference."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.core.errors import SessionError
from napari_medseg.core.labelpyramid import LabelPyramid, MemoryTiles
from napari_medseg.core.labelpyramid.resample import halved

SIDE = 53
LEVELS = 3

dabs = st.tuples(
    st.integers(0, LEVELS - 1),
    st.tuples(st.integers(-4, SIDE), st.integers(-4, SIDE)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(0, 3),
    st.sampled_from([None, None, None, 0, 1]),
)
"""Level, corner in pixels of level 0, size in pixels of the level, label, and which label alone is changed."""


def paint(pyramid: LabelPyramid, dab: tuple) -> object:
    level, corner, size, value, only = dab
    place = corner[0] >> level, corner[1] >> level
    return pyramid.paint(np.ones(size, bool), place, level, value, only=only)


def everything(pyramid: LabelPyramid) -> list[np.ndarray]:
    return [pyramid.read(k, ((0, h), (0, w))) for k, (h, w) in enumerate(pyramid.level_shapes)]


@given(st.lists(st.lists(dabs, min_size=1, max_size=6), min_size=1, max_size=3))
def test_looking_after_each_dab_changes_nothing(strokes: list[list[tuple]]) -> None:
    late_tiles, watched_tiles = MemoryTiles(), MemoryTiles()
    late, watched = (LabelPyramid((SIDE, SIDE), np.uint8, tiles, 8) for tiles in (late_tiles, watched_tiles))
    for stroke in strokes:
        with late.editing(), watched.editing():
            for dab in stroke:
                boxes = paint(late, dab), paint(watched, dab)
                everything(watched)
                assert boxes[0] == boxes[1]
        for ours, theirs in zip(everything(late), everything(watched), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    keys = sorted(late_tiles.keys())
    assert keys == sorted(watched_tiles.keys())
    assert [late_tiles.get(key) for key in keys] == [watched_tiles.get(key) for key in keys]


def test_what_a_finer_tile_had_not_passed_on_is_taken_away() -> None:
    pyramid = LabelPyramid((64, 64), np.uint8, MemoryTiles(), 8)
    with pyramid.editing():
        pyramid.paint(np.ones((3, 3), bool), (1, 1), 0, 5)
        assert pyramid.paint(np.ones((4, 4), bool), (0, 0), 1, 0) == ((0, 8), (0, 8))
        assert not pyramid.read(0, ((0, 64), (0, 64))).any()
    assert not pyramid.read(0, ((0, 64), (0, 64))).any()


def test_the_coarsest_level_and_the_largest_label_are_never_behind() -> None:
    pyramid = LabelPyramid((64, 64), np.uint8, MemoryTiles(), 8)
    with pyramid.editing():
        pyramid.paint(np.ones((64, 64), bool), (0, 0), 0, 5)
        assert (pyramid.top == 5).all() and pyramid.max_label == 5
        pyramid.paint(np.ones((64, 64), bool), (0, 0), 0, 2)
        assert pyramid.max_label == 2 and (pyramid.top == 2).all()


def test_specks_that_a_coarser_tile_does_not_show_go_under_a_large_shape() -> None:
    pyramid = LabelPyramid((64, 64), np.uint8, MemoryTiles(), 8)
    with pyramid.editing():
        pyramid.paint(np.ones((8, 8), bool), (0, 0), 1, 1)
        pyramid.paint(np.ones((1, 1), bool), (3, 3), 0, 2)
    assert (pyramid.read(1, ((0, 8), (0, 8))) == 1).all()
    with pyramid.editing() as outcome:
        assert pyramid.paint(np.ones((8, 8), bool), (0, 0), 1, 1) == ((0, 8), (0, 8))
    assert outcome.edit is not None
    assert (pyramid.read(0, ((0, 16), (0, 16))) == 1).all()


class Unreadable(MemoryTiles):
    """A drive that is away for a while."""

    away = False

    def get(self, key):
        if self.away:
            raise SessionError("The drive is away.")
        return super().get(key)


def test_what_could_not_be_read_is_settled_later() -> None:
    tiles = Unreadable()
    first = LabelPyramid((64, 64), np.uint8, tiles, 8)
    with first.editing():
        first.paint(np.ones((40, 40), bool), (0, 0), 0, 3)
        first.paint(np.ones((3, 3), bool), (5, 5), 0, 1)
    again = LabelPyramid((64, 64), np.uint8, tiles, 8)
    with again.editing():
        again.paint(np.ones((2, 2), bool), (5, 5), 0, 2)
        tiles.away = True
        with pytest.raises(SessionError):
            again.read(1, ((0, 4), (0, 4)))
        tiles.away = False
    for finer, coarser in pairwise(everything(again)):
        np.testing.assert_array_equal(halved(finer), coarser)
